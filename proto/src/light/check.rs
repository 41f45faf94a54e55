//! The checks that families share: who speaks, when, and whether the bytes are a message.

use super::{Authenticated, CLOCK_SKEW_MAX, Invalid, Known, Trusted, Verdict};
use crate::{
    chain::{ChainId, GenesisTag, Height},
    envelope::{Envelope, Origin},
    header::{HeaderHash, SignedHeader},
    key::{Domain, KeySignature},
    message::Message,
    proof::merkle::TreeProof,
    stage::Proven,
    time::UnixSeconds,
};

/// A signed header of any kind, as these checks see it.
pub(super) struct Shown<'h> {
    pub(super) chain: ChainId,
    pub(super) tag: GenesisTag,
    pub(super) time: UnixSeconds,
    pub(super) previous: HeaderHash,
    /// What two headers of one height must agree in.
    pub(super) content: HeaderHash,
    pub(super) domain: Domain,
    pub(super) bytes: Vec<u8>,
    pub(super) signatures: &'h [KeySignature],
}

impl<'h> From<&'h SignedHeader> for Shown<'h> {
    fn from(signed: &'h SignedHeader) -> Self {
        let header = &signed.header;
        Self {
            chain: header.chain,
            tag: header.tag,
            time: header.time,
            previous: header.previous,
            content: header.content(),
            domain: Domain::Header,
            bytes: header.bytes(),
            signatures: &signed.signatures,
        }
    }
}

/// Judges a header: chain, signatures, time, conflict, in this order. The last comes
/// after the others because only an authenticated header contradicts anything.
pub(super) fn authenticate(
    cache: &mut Authenticated,
    trusted: &Trusted,
    known: Known,
    shown: &Shown<'_>,
    now: UnixSeconds,
) -> Result<HeaderHash, Verdict> {
    let hash = HeaderHash(shown.domain.hash(&shown.bytes));
    let key_set = trusted.keys.hash();
    chain(trusted, shown)?;
    if !cache.holds(key_set, hash) {
        signatures(trusted, shown)?;
        cache.insert(key_set, hash);
    }
    time(shown, now)?;
    conflict(known, shown)?;
    Ok(shown.content)
}

fn chain(trusted: &Trusted, shown: &Shown<'_>) -> Result<(), Invalid> {
    if shown.chain == trusted.chain && shown.tag == trusted.tag {
        return Ok(());
    }
    Err(Invalid::Chain {
        found: format!("{}/{}", shown.chain, shown.tag),
        expected: format!("{}/{}", trusted.chain, trusted.tag),
    })
}

fn signatures(trusted: &Trusted, shown: &Shown<'_>) -> Result<(), Invalid> {
    if trusted.keys.endorses(shown.domain, &shown.bytes, shown.signatures) {
        return Ok(());
    }
    Err(Invalid::Signatures { threshold: trusted.keys.threshold() })
}

fn time(shown: &Shown<'_>, now: UnixSeconds) -> Result<(), Verdict> {
    if shown.time.0 <= now.0.saturating_add(CLOCK_SKEW_MAX) {
        return Ok(());
    }
    Err(Verdict::NotYet("the block's time is in this gateway's future"))
}

/// A first header has no predecessor to share: gateways begin to attest at different blocks.
fn conflict(known: Known, shown: &Shown<'_>) -> Result<(), Verdict> {
    let offered = shown.content;
    let after = known.after_previous.filter(|_| shown.previous != HeaderHash::NONE);
    let held = [known.at_height, after].into_iter().flatten();
    match held.into_iter().find(|held| *held != offered) {
        None => Ok(()),
        Some(held) => Err(Verdict::Conflict { held, offered }),
    }
}

/// An authenticated block: what is proven in it becomes [`Proven`].
pub(super) struct Block<'t> {
    pub(super) trusted: &'t Trusted,
    pub(super) hash: HeaderHash,
    pub(super) height: Height,
    pub(super) time: UnixSeconds,
}

impl Block<'_> {
    /// The messages under the block's root.
    pub(super) fn messages_of_tree(
        &self,
        tree: &TreeProof,
        leaf_count: u64,
        root: &[u8; 32],
    ) -> Result<Vec<Proven>, Invalid> {
        let inclusion = |error: &dyn std::fmt::Display| Invalid::Inclusion(error.to_string());
        tree.verify(leaf_count, root).map_err(|error| inclusion(&error))?;
        let leaves = tree.indices.iter().zip(&tree.leaves);
        leaves
            .map(|(index, leaf)| {
                let index = u32::try_from(*index).map_err(|error| inclusion(&error))?;
                let message = Message::from_bytes(leaf);
                let message = message.map_err(|error| Invalid::Content(error.to_string()))?;
                self.proven(message, index)
            })
            .collect()
    }

    /// A message whose bytes were found in the block, if it is one of this chain's outbox.
    pub(super) fn proven(&self, message: Message, index: u32) -> Result<Proven, Invalid> {
        self.source(&message)?;
        self.outbox(&message)?;
        self.expires(&message)?;
        let origin = Origin { height: self.height, index };
        Ok(Proven::by_light(Envelope { message, origin }, self.hash))
    }

    fn source(&self, message: &Message) -> Result<(), Invalid> {
        let (fields, trusted) = (message.fields(), self.trusted);
        if fields.source == trusted.chain && fields.source_tag == trusted.tag {
            return Ok(());
        }
        Err(Invalid::Content(format!(
            "source is {}/{}, expected {}/{}",
            fields.source, fields.source_tag, trusted.chain, trusted.tag
        )))
    }

    fn outbox(&self, message: &Message) -> Result<(), Invalid> {
        let (found, expected) = (&message.fields().outbox, &self.trusted.outbox);
        if found == expected {
            return Ok(());
        }
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Err(Invalid::Content(format!("outbox is {}, expected {}", hex(found), hex(expected))))
    }

    fn expires(&self, message: &Message) -> Result<(), Invalid> {
        let after = message.fields().expires.0.saturating_sub(self.time.0);
        let max = Message::EXPIRES_AFTER_MAX;
        if after <= max { Ok(()) } else { Err(Invalid::Expires { after, max }) }
    }
}
