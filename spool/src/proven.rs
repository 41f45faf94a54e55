//! What is remembered of proofs until their messages end: who gave them, and which sequences of a
//! source were proven.

use distpos_proto::{
    cbor::{CborError, Reader},
    chain::ChainId,
    message::{Fields, Message, MessageId},
    standing::{
        Subject,
        sequences::{Gap, STRETCHES_MAX, Sequences, Stretch},
    },
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Who gave the first proof of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prover {
    /// The gateway, `host:port`.
    pub gateway: String,
    /// Whether it was soon enough after the claim, and before the message expired.
    pub in_time: bool,
}

impl Tx<'_> {
    /// Who proved a message; none if nobody has, or it has ended.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn prover(&self, id: &MessageId) -> Result<Option<Prover>, SpoolError> {
        let bytes = self.get(Table::Provers, &id.0)?;
        let read = |bytes: Vec<u8>| {
            row::read(Table::Provers, &bytes, 2, |input| {
                let gateway = input.text("gateway", Subject::GATEWAY_BYTES_MAX)?.to_owned();
                Ok(Prover { gateway, in_time: input.uint("in time")? == 1 })
            })
        };
        bytes.map(read).transpose()
    }

    /// Notes who proved a message; the first one stays.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn put_prover(&mut self, id: &MessageId, prover: &Prover) -> Result<(), SpoolError> {
        if self.prover(id)?.is_none() {
            let value = row::write(2, |out| {
                out.text(&prover.gateway).uint(prover.in_time.into());
            });
            self.set(Table::Provers, &id.0, value);
        }
        Ok(())
    }

    /// Who proved a message, and forgets it: it has ended, or is let go.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn take_prover(&mut self, id: &MessageId) -> Result<Option<Prover>, SpoolError> {
        let prover = self.prover(id)?;
        if prover.is_some() {
            self.unset(Table::Provers, &id.0);
        }
        Ok(prover)
    }

    /// Notes the sequences of messages of a source that were proven. A source that was begun anew,
    /// or whose outbox is another one now, numbers from the start.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn note_proven(
        &mut self,
        source: ChainId,
        messages: &[&Message],
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let before = self.held(source)?;
        let mut held = before.clone();
        // By sequence, so that what is proven together starts with the first.
        let mut fields: Vec<&Fields> = messages.iter().map(|message| message.fields()).collect();
        fields.sort_unstable_by_key(|fields| fields.sequence);
        for fields in fields {
            let mut known = held.take().filter(|held| held.is_of(fields));
            let of = known.get_or_insert_with(|| Held::starting(fields));
            of.sequences.note(fields.sequence, now);
            held = known;
        }
        if let Some(held) = held.filter(|held| before.as_ref() != Some(held)) {
            self.put_held(source, &held);
        }
        Ok(())
    }

    /// Which sources keep messages back for too long: [`Tx::take_gaps`] has something to give.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn overdue(&self, now: UnixMillis) -> Result<Vec<ChainId>, SpoolError> {
        let rows = self.rows(Table::Sequences, &Span::all(), Order::Ascending, usize::MAX)?;
        let mut found = Vec::new();
        for (key, value) in rows {
            let chain = <[u8; 16]>::try_from(key.as_slice()).ok();
            let chain = chain.and_then(|bytes| row::chain_of(bytes).ok());
            let chain = chain.ok_or_else(|| row::corrupt(Table::Sequences, "a key is no chain"))?;
            if read_held(&value)?.sequences.is_overdue(now) {
                found.push(chain);
            }
        }
        Ok(found)
    }

    /// The messages of a source that are missing for too long. Each gap is given once.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn take_gaps(&mut self, source: ChainId, now: UnixMillis) -> Result<Vec<Gap>, SpoolError> {
        let Some(mut held) = self.held(source)? else { return Ok(Vec::new()) };
        let gaps = held.sequences.overdue(now);
        if !gaps.is_empty() {
            self.put_held(source, &held);
        }
        Ok(gaps)
    }

    fn held(&self, source: ChainId) -> Result<Option<Held>, SpoolError> {
        let bytes = self.get(Table::Sequences, &row::chain_key(source))?;
        bytes.map(|bytes| read_held(&bytes)).transpose()
    }

    fn put_held(&mut self, source: ChainId, held: &Held) {
        let value = row::write(4, |out| {
            out.bytes(&held.tag).bytes(&held.outbox).uint(held.sequences.through());
            out.array(held.sequences.above().len() * 3);
            for stretch in held.sequences.above() {
                out.uint(stretch.from).uint(stretch.to).uint(stretch.since.0);
            }
        });
        self.set(Table::Sequences, &row::chain_key(source), value);
    }
}

/// The sequences of one source, and which outbox of which genesis counted them.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    tag: [u8; 8],
    outbox: Vec<u8>,
    sequences: Sequences,
}

impl Held {
    fn starting(fields: &Fields) -> Self {
        let sequences = Sequences::starting(fields.sequence);
        Self { tag: fields.source_tag.0, outbox: fields.outbox.clone(), sequences }
    }

    fn is_of(&self, fields: &Fields) -> bool {
        self.tag == fields.source_tag.0 && self.outbox == fields.outbox
    }
}

fn read_held(bytes: &[u8]) -> Result<Held, SpoolError> {
    row::read(Table::Sequences, bytes, 4, |input| {
        let tag = input.fixed("tag")?;
        let outbox = input.bytes("outbox", Message::OUTBOX_BYTES_MAX)?.to_vec();
        let through = input.uint("through")?;
        let count = input.array("stretches", STRETCHES_MAX * 3)? / 3;
        let above = (0..count).map(|_| read_stretch(input)).collect::<Result<_, _>>()?;
        let wrong = CborError { field: "stretches", expected: "ascending, with gaps between" };
        let sequences = Sequences::from_parts(through, above).ok_or(wrong)?;
        Ok(Held { tag, outbox, sequences })
    })
}

fn read_stretch(input: &mut Reader<'_>) -> Result<Stretch, CborError> {
    let (from, to) = (input.uint("stretch from")?, input.uint("stretch to")?);
    Ok(Stretch { from, to, since: UnixMillis(input.uint("stretch since")?) })
}
