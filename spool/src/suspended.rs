//! Which pairs of chains the operator has suspended. A pair is a source and a destination; here one
//! of them is always the own chain, so a peer and a direction name it.

use distpos_proto::{
    cbor::{CborError, Writer},
    chain::ChainId,
    time::UnixMillis,
};

use crate::{
    error::SpoolError,
    queue::Direction,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Most bytes of a text in a row: a reason, or who gave it.
const TEXT_BYTES_MAX: usize = 1_024;
/// What begins these rows' keys, among the single facts.
const PREFIX: &[u8] = b"suspended/";

/// A pair that the operator has suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSuspension {
    /// Since when.
    pub since: UnixMillis,
    /// When it ends by itself: at this moment it is over.
    pub until: UnixMillis,
    /// Who did it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Tx<'_> {
    /// The suspension of what goes to a chain, or comes from it; none if it goes on, or the time
    /// was up at `now`.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn pair_suspension(
        &self,
        direction: Direction,
        peer: ChainId,
        now: UnixMillis,
    ) -> Result<Option<PairSuspension>, SpoolError> {
        let bytes = self.get(Table::Meta, &key(direction, peer))?;
        let held = bytes.map(|bytes| read(&bytes)).transpose()?;
        Ok(held.filter(|held| held.until > now))
    }

    /// Suspends a pair, instead of how it was suspended before.
    pub fn suspend_pair(&mut self, direction: Direction, peer: ChainId, held: &PairSuspension) {
        let value = row::write(4, |out: &mut Writer| {
            out.uint(held.since.0).uint(held.until.0).text(&held.by).text(&held.why);
        });
        self.set(Table::Meta, &key(direction, peer), value);
    }

    /// Lets a pair go on.
    pub fn resume_pair(&mut self, direction: Direction, peer: ChainId) {
        self.unset(Table::Meta, &key(direction, peer));
    }

    /// Every suspended pair, also those whose time is up and that nobody has let go on yet.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn suspended_pairs(&self) -> Result<Vec<(Direction, ChainId, PairSuspension)>, SpoolError> {
        let rows = self.rows(Table::Meta, &Span::prefix(PREFIX), Order::Ascending, usize::MAX)?;
        rows.iter()
            .map(|(key, value)| {
                let (direction, peer) = read_key(key)
                    .ok_or_else(|| row::corrupt(Table::Meta, "a key is no suspended pair"))?;
                Ok((direction, peer, read(value)?))
            })
            .collect()
    }
}

fn key(direction: Direction, peer: ChainId) -> Vec<u8> {
    let way = match direction {
        Direction::Outbound => b'o',
        Direction::Inbound => b'i',
    };
    [PREFIX, &row::chain_key(peer), &[way]].concat()
}

fn read_key(key: &[u8]) -> Option<(Direction, ChainId)> {
    let (way, chain) = key.strip_prefix(PREFIX)?.split_last()?;
    let direction = match way {
        b'o' => Direction::Outbound,
        b'i' => Direction::Inbound,
        _ => return None,
    };
    Some((direction, row::chain_of(chain.try_into().ok()?).ok()?))
}

fn read(bytes: &[u8]) -> Result<PairSuspension, SpoolError> {
    row::read(Table::Meta, bytes, 4, |input| {
        let since = UnixMillis(input.uint("suspended since")?);
        let until = UnixMillis(input.uint("suspended until")?);
        let by = input.text("suspended by", TEXT_BYTES_MAX)?.into();
        Ok::<_, CborError>(PairSuspension {
            since,
            until,
            by,
            why: input.text("suspended for", TEXT_BYTES_MAX)?.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spool;

    #[tokio::test]
    async fn a_pair_is_suspended_in_its_direction_until_its_time_is_up() {
        let spool = Spool::in_memory();
        let (one, other) = ("dead".parse::<ChainId>().unwrap(), "e2e4".parse().unwrap());
        let held = PairSuspension {
            since: UnixMillis(5),
            until: UnixMillis(9),
            by: "uid 0".into(),
            why: "it is being moved".into(),
        };
        let row = held.clone();
        let suspending = spool.transact(move |tx| {
            tx.suspend_pair(Direction::Inbound, one, &row);
            Ok::<_, SpoolError>(())
        });
        suspending.await.unwrap();
        let of = |direction, chain, now| {
            spool.read(|tx| tx.pair_suspension(direction, chain, UnixMillis(now))).unwrap()
        };
        assert_eq!(of(Direction::Inbound, one, 8), Some(held.clone()));
        assert_eq!(of(Direction::Inbound, one, 9), None);
        assert_eq!(of(Direction::Outbound, one, 8), None);
        assert_eq!(of(Direction::Inbound, other, 8), None);
        let all = spool.read(|tx| tx.suspended_pairs()).unwrap();
        assert_eq!(all, [(Direction::Inbound, one, held)]);
        let resuming = spool.transact(move |tx| {
            tx.resume_pair(Direction::Inbound, one);
            Ok::<_, SpoolError>(())
        });
        resuming.await.unwrap();
        assert_eq!(spool.read(|tx| tx.suspended_pairs()).unwrap(), []);
    }
}
