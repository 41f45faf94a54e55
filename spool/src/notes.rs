//! Single facts: the chain cursor, chains that were seen, pins.

use distpos_proto::{
    chain::{BlockHash, ChainId, Height},
    time::UnixMillis,
};

use crate::{error::SpoolError, row, store::Table, transaction::Tx};

/// How far the own chain has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last block whose messages and events are in the spool.
    pub height: Height,
    /// Its hash.
    pub block: BlockHash,
}

const CURSOR: &[u8] = b"cursor";

impl Tx<'_> {
    /// How far the own chain has been read; none at the very start.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn cursor(&self) -> Result<Option<Cursor>, SpoolError> {
        let bytes = self.get(Table::Meta, CURSOR)?;
        let read = |bytes: Vec<u8>| {
            row::read(Table::Meta, &bytes, 2, |input| {
                let height = Height(input.uint("cursor height")?);
                Ok(Cursor { height, block: BlockHash(input.fixed("cursor block")?) })
            })
        };
        bytes.map(read).transpose()
    }

    /// Notes how far the own chain has been read: in the same closure that puts what was read.
    pub fn set_cursor(&mut self, cursor: Cursor) {
        let value = row::write(2, |out| {
            out.uint(cursor.height.0).bytes(&cursor.block.0);
        });
        self.set(Table::Meta, CURSOR, value);
    }

    /// When a chain was first known here or sent to; none if never.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn seen(&self, chain: ChainId) -> Result<Option<UnixMillis>, SpoolError> {
        let bytes = self.get(Table::Seen, &row::chain_key(chain))?;
        let read = |bytes: Vec<u8>| row::read(Table::Seen, &bytes, 1, |input| input.uint("seen"));
        Ok(bytes.map(read).transpose()?.map(UnixMillis))
    }

    /// Notes that a chain is known here or was sent to; the first time stays.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn set_seen(&mut self, chain: ChainId, now: UnixMillis) -> Result<(), SpoolError> {
        if self.seen(chain)?.is_none() {
            let value = row::write(1, |out| {
                out.uint(now.0);
            });
            self.set(Table::Seen, &row::chain_key(chain), value);
        }
        Ok(())
    }

    /// A note under a name: pins and the like.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn meta_get(&self, key: &str) -> Result<Option<Vec<u8>>, SpoolError> {
        let bytes = self.get(Table::Meta, &note_key(key))?;
        let read = |bytes: Vec<u8>| {
            row::read(Table::Meta, &bytes, 1, |input| Ok(input.bytes("note", usize::MAX)?.to_vec()))
        };
        bytes.map(read).transpose()
    }

    /// Sets a note.
    pub fn meta_set(&mut self, key: &str, note: &[u8]) {
        let value = row::write(1, |out| {
            out.bytes(note);
        });
        self.set(Table::Meta, &note_key(key), value);
    }

    /// Removes a note.
    pub fn meta_remove(&mut self, key: &str) {
        self.unset(Table::Meta, &note_key(key));
    }
}

/// Notes lie apart from the spool's own rows in the same table.
fn note_key(key: &str) -> Vec<u8> {
    [b"note/", key.as_bytes()].concat()
}
