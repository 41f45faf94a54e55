//! Which chains do not answer, and since when.

use distpos_proto::{chain::ChainId, time::UnixMillis};

use crate::{error::SpoolError, row, store::Table, transaction::Tx};

/// How long a chain has not answered, as far as anybody tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The first attempt in vain since it last answered.
    pub since: UnixMillis,
    /// The newest one.
    pub last: UnixMillis,
}

impl Tx<'_> {
    /// How long a chain has not answered; none if it did the last time, or nobody noted it.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn silence(&self, chain: ChainId) -> Result<Option<Silence>, SpoolError> {
        let bytes = self.get(Table::Meta, &key(chain))?;
        let read = |bytes: Vec<u8>| {
            row::read(Table::Meta, &bytes, 2, |input| {
                let since = UnixMillis(input.uint("silent since")?);
                Ok(Silence { since, last: UnixMillis(input.uint("silent last")?) })
            })
        };
        bytes.map(read).transpose()
    }

    /// Notes that a chain does not answer.
    pub fn set_silence(&mut self, chain: ChainId, silence: Silence) {
        let value = row::write(2, |out| {
            out.uint(silence.since.0).uint(silence.last.0);
        });
        self.set(Table::Meta, &key(chain), value);
    }

    /// Notes that a chain has answered.
    pub fn end_silence(&mut self, chain: ChainId) {
        self.unset(Table::Meta, &key(chain));
    }
}

/// One row a chain that the queue has messages for, among the single facts.
fn key(chain: ChainId) -> Vec<u8> {
    [b"silent/".as_slice(), &row::chain_key(chain)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spool;

    #[tokio::test]
    async fn a_silence_is_kept_for_each_chain_until_it_ends() {
        let (spool, gone) = (Spool::in_memory(), "dead".parse::<ChainId>().unwrap());
        let silence = Silence { since: UnixMillis(5), last: UnixMillis(9) };
        let noting = spool.transact(move |tx| {
            tx.set_silence(gone, silence);
            Ok::<_, SpoolError>(())
        });
        noting.await.unwrap();
        let of = |chain: ChainId| spool.read(|tx| tx.silence(chain)).unwrap();
        assert_eq!((of(gone), of("e2e4".parse().unwrap())), (Some(silence), None));
        let ending = spool.transact(move |tx| {
            tx.end_silence(gone);
            Ok::<_, SpoolError>(())
        });
        ending.await.unwrap();
        assert_eq!(spool.read(|tx| tx.silence(gone)).unwrap(), None);
    }
}
