//! What is kept of a chain between two answers, and its bytes.

use std::{collections::BTreeSet, time::Duration};

use sha2::{Digest, Sha256};

use super::{KEY_CHANGE_WAIT, OperatorAnchor, TrustLevel};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{Family, GenesisTag},
    key::{PublicKey, SIGNATURES_MAX},
    message::Message,
    record::Selector,
    time::UnixSeconds,
};

/// What DNS has told of a chain so far, as [`super::observe`] keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsTrust {
    /// The owner of its gateway records, accepted first.
    pub(super) found_at: String,
    /// Its genesis, accepted first; none while it publishes no policy.
    pub(super) genesis: Option<GenesisTag>,
    /// Under which word of the operator's all this was learnt.
    pub(super) operator: Option<[u8; 32]>,
    /// What is believed.
    pub(super) held: Option<Held>,
    /// Where keys that were held at any time were seen: who revokes the place revokes them.
    pub(super) places: BTreeSet<(Selector, PublicKey)>,
    /// Keys that will never be believed again.
    pub(super) revoked: BTreeSet<PublicKey>,
    /// A change of keys that waits.
    pub(super) pending: Option<Pending>,
    /// Why nothing is delivered until the operator has looked.
    pub(super) contradiction: Option<String>,
    /// What was told last as a doubt, so that it is told once.
    pub(super) doubt: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) family: Family,
    pub(super) outbox: Vec<u8>,
    pub(super) keys: BTreeSet<PublicKey>,
    pub(super) threshold: usize,
    pub(super) level: TrustLevel,
    pub(super) until: UnixSeconds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// SHA-256 of what was announced: another announcement begins another wait.
    pub(super) change: [u8; 32],
    pub(super) since: UnixSeconds,
}

impl Pending {
    pub(super) fn until(&self) -> UnixSeconds {
        later(self.since, KEY_CHANGE_WAIT)
    }
}

/// Most places and revoked keys that are kept, by far more than a chain has keys in its life; a
/// place beyond them is not remembered, and its key ends only by not being published.
pub(super) const REMEMBERED_MAX: usize = 256;

/// Longest owner name, in bytes (RFC 1035), and longest text that is kept of a difference.
const NAME_BYTES_MAX: usize = 255;
pub(super) const TEXT_BYTES_MAX: usize = 512;

impl DnsTrust {
    /// What is known before any answer was taken in: what the operator says, if anything.
    pub(super) fn begin(found_at: &str, operator: Option<OperatorAnchor<'_>>) -> Self {
        let anchor = operator.map(|operator| operator.trusted);
        let held = anchor.map(|trusted| Held {
            family: trusted.family,
            outbox: trusted.outbox.clone(),
            keys: trusted.keys.keys().copied().collect(),
            threshold: trusted.keys.threshold(),
            level: TrustLevel::Static,
            until: UnixSeconds(u64::MAX),
        });
        let pinned_at = operator.and_then(|operator| operator.found_at);
        Self {
            found_at: pinned_at.unwrap_or(found_at).to_owned(),
            genesis: anchor.map(|trusted| trusted.tag),
            operator: operator.map(mark),
            held,
            places: BTreeSet::new(),
            revoked: BTreeSet::new(),
            pending: None,
            contradiction: None,
            doubt: None,
        }
    }

    /// Whether it was learnt under this word of the operator's. A new word begins anew.
    #[must_use]
    pub fn is_under(&self, operator: Option<OperatorAnchor<'_>>) -> bool {
        self.operator == operator.map(mark)
    }

    /// Selectors to be asked beside those that the policy names: a key that is published still
    /// counts, and one that is revoked does not. At most [`SIGNATURES_MAX`].
    #[must_use]
    pub fn held_selectors(&self) -> Vec<Selector> {
        let held = self.held.as_ref().map(|held| &held.keys);
        let is_held = |key: &PublicKey| held.is_some_and(|keys| keys.contains(key));
        let places = self.places.iter().filter(|(_, key)| is_held(key));
        let selectors: BTreeSet<&Selector> = places.map(|(selector, _)| selector).collect();
        selectors.into_iter().take(SIGNATURES_MAX).cloned().collect()
    }

    /// The owner of the gateway records that were accepted first.
    #[must_use]
    pub fn found_at(&self) -> &str {
        &self.found_at
    }

    /// The genesis that was accepted first; none while the chain has published no policy.
    #[must_use]
    pub fn genesis(&self) -> Option<GenesisTag> {
        self.genesis
    }

    /// How its keys are known; none while none are.
    #[must_use]
    pub fn level(&self) -> Option<TrustLevel> {
        self.held.as_ref().map(|held| held.level)
    }

    /// The keys that are held, ascending by their bytes.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.held.iter().flat_map(|held| &held.keys)
    }

    /// How many of the keys must sign; none while none are held.
    #[must_use]
    pub fn threshold(&self) -> Option<usize> {
        self.held.as_ref().map(|held| held.threshold)
    }

    /// Until when the keys are good without being confirmed; none while none are held, and for
    /// those that the operator anchored.
    #[must_use]
    pub fn good_until(&self) -> Option<UnixSeconds> {
        let held = self.held.as_ref().filter(|held| held.level < TrustLevel::Static);
        held.map(|held| held.until)
    }

    /// Where a key was seen.
    pub fn selectors_of(&self, key: PublicKey) -> impl Iterator<Item = &Selector> {
        self.places.iter().filter(move |(_, at)| *at == key).map(|(selector, _)| selector)
    }

    /// Keys that are revoked.
    pub fn revoked(&self) -> impl Iterator<Item = &PublicKey> {
        self.revoked.iter()
    }

    /// When the wait for a change of keys is over; none if nothing waits.
    #[must_use]
    pub fn waiting_until(&self) -> Option<UnixSeconds> {
        self.pending.as_ref().map(Pending::until)
    }

    /// Why nothing is delivered until the operator has looked.
    #[must_use]
    pub fn contradiction(&self) -> Option<&str> {
        self.contradiction.as_deref()
    }

    /// The one encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(9).text(&self.found_at);
        optional(&mut out, self.genesis.as_ref().map(|tag| tag.0.as_slice()));
        optional(&mut out, self.operator.as_ref().map(<[u8; 32]>::as_slice));
        match &self.held {
            None => out.array(0),
            Some(held) => held.write(&mut out),
        };
        out.array(self.places.len());
        for (selector, key) in &self.places {
            out.array(2).text(selector.as_str()).bytes(key.as_bytes());
        }
        write_keys(&mut out, &self.revoked);
        match &self.pending {
            None => out.array(0),
            Some(pending) => out.array(2).bytes(&pending.change).uint(pending.since.0),
        };
        for text in [&self.contradiction, &self.doubt] {
            optional(&mut out, text.as_ref().map(String::as_bytes));
        }
        out.finish()
    }

    /// Reads what [`DnsTrust::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`CborError`] names the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        let mut input = Reader::new(bytes);
        length(&mut input, "trust", &[9], "nine fields")?;
        let state = Self {
            found_at: input.text("trust found_at", NAME_BYTES_MAX)?.to_owned(),
            genesis: fixed(&mut input, "trust genesis")?.map(GenesisTag),
            operator: fixed(&mut input, "trust operator")?,
            held: Held::read(&mut input)?,
            places: read_places(&mut input)?,
            revoked: read_keys(&mut input, "trust revoked", REMEMBERED_MAX)?,
            pending: read_pending(&mut input)?,
            contradiction: read_text(&mut input, "trust contradiction")?,
            doubt: read_text(&mut input, "trust doubt")?,
        };
        input.end("trust")?;
        Ok(state)
    }
}

impl Held {
    fn write<'w>(&self, out: &'w mut Writer) -> &'w mut Writer {
        out.array(6).text(self.family.word()).bytes(&self.outbox);
        write_keys(out, &self.keys);
        let threshold = u64::try_from(self.threshold).unwrap_or(u64::MAX);
        out.uint(threshold).text(self.level.word()).uint(self.until.0)
    }

    fn read(input: &mut Reader<'_>) -> Result<Option<Self>, CborError> {
        if length(input, "trust held", &[0, 6], "nothing, or six fields")? == 0 {
            return Ok(None);
        }
        let (field, expected) = ("trust family", "a family");
        let family = input.text(field, 16)?.parse().map_err(|_| CborError { field, expected })?;
        let outbox = input.bytes("trust outbox", Message::OUTBOX_BYTES_MAX)?.to_vec();
        let keys = read_keys(input, "trust keys", SIGNATURES_MAX)?;
        let threshold = input.uint("trust threshold")?;
        let threshold = usize::try_from(threshold).unwrap_or(usize::MAX);
        let (field, expected) = ("trust level", "a level");
        let level = input.text(field, 16)?.parse().map_err(|_| CborError { field, expected })?;
        let until = UnixSeconds(input.uint("trust until")?);
        Ok(Some(Self { family, outbox, keys, threshold, level, until }))
    }
}

/// The operator's word as a hash: when it changes, what was learnt under it is forgotten.
fn mark(operator: OperatorAnchor<'_>) -> [u8; 32] {
    let trusted = operator.trusted;
    let mut out = Writer::default();
    out.array(6).text(&trusted.chain.to_string()).bytes(&trusted.tag.0);
    out.text(trusted.family.word()).bytes(&trusted.outbox).bytes(&trusted.keys.hash());
    out.text(operator.found_at.unwrap_or_default());
    Sha256::digest(out.finish()).into()
}

/// A moment later than another; the end of time where that would overflow.
pub(super) fn later(time: UnixSeconds, delay: Duration) -> UnixSeconds {
    UnixSeconds(time.0.saturating_add(delay.as_secs()))
}

fn optional(out: &mut Writer, bytes: Option<&[u8]>) {
    match bytes {
        None => out.array(0),
        Some(bytes) => out.array(1).bytes(bytes),
    };
}

fn write_keys(out: &mut Writer, keys: &BTreeSet<PublicKey>) {
    out.array(keys.len());
    for key in keys {
        out.bytes(key.as_bytes());
    }
}

fn length(
    input: &mut Reader<'_>,
    field: &'static str,
    known: &[usize],
    expected: &'static str,
) -> Result<usize, CborError> {
    let found = input.array(field, known.iter().copied().max().unwrap_or(0))?;
    if known.contains(&found) { Ok(found) } else { Err(CborError { field, expected }) }
}

fn fixed<const N: usize>(
    input: &mut Reader<'_>,
    field: &'static str,
) -> Result<Option<[u8; N]>, CborError> {
    match length(input, field, &[0, 1], "nothing, or one value")? {
        0 => Ok(None),
        _ => input.fixed(field).map(Some),
    }
}

fn read_text(input: &mut Reader<'_>, field: &'static str) -> Result<Option<String>, CborError> {
    if length(input, field, &[0, 1], "nothing, or one text")? == 0 {
        return Ok(None);
    }
    let bytes = input.bytes(field, TEXT_BYTES_MAX)?;
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

fn read_key(input: &mut Reader<'_>, field: &'static str) -> Result<PublicKey, CborError> {
    PublicKey::from_bytes(input.fixed(field)?)
        .map_err(|_| CborError { field, expected: "an ed25519 key" })
}

fn read_keys(
    input: &mut Reader<'_>,
    field: &'static str,
    max: usize,
) -> Result<BTreeSet<PublicKey>, CborError> {
    (0..input.array(field, max)?).map(|_| read_key(input, field)).collect()
}

fn read_places(input: &mut Reader<'_>) -> Result<BTreeSet<(Selector, PublicKey)>, CborError> {
    let field = "trust places";
    let count = input.array(field, REMEMBERED_MAX)?;
    let place = |_| {
        length(input, field, &[2], "a selector and a key")?;
        let text = input.text(field, 63)?;
        let expected = "a selector";
        let selector = text.parse().map_err(|_| CborError { field, expected })?;
        Ok((selector, read_key(input, field)?))
    };
    (0..count).map(place).collect()
}

fn read_pending(input: &mut Reader<'_>) -> Result<Option<Pending>, CborError> {
    let field = "trust pending";
    if length(input, field, &[0, 2], "nothing, or a change and its time")? == 0 {
        return Ok(None);
    }
    let (change, since) = (input.fixed(field)?, UnixSeconds(input.uint(field)?));
    Ok(Some(Pending { change, since }))
}
