//! Headers: those this chain's gateways attest, and those of other chains that were authenticated.

use distpos_proto::{
    cbor::CborError,
    chain::{ChainId, Height},
    header::{Header, HeaderHash},
    light::Known,
};

use crate::{
    error::SpoolError,
    row,
    store::{Order, Span, Table},
    transaction::Tx,
};

/// Most headers remembered of one foreign chain; the highest stay.
pub const KNOWN_HEADERS_MAX: u64 = 10_000;

/// A header of the own chain and the hashes of its leaves, in their order.
type OwnHeader = (Header, Vec<[u8; 32]>);

impl Tx<'_> {
    /// The attested header of a height of the own chain, and the hashes of its leaves.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn own_header(&self, height: Height) -> Result<Option<OwnHeader>, SpoolError> {
        let bytes = self.get(Table::OwnHeaders, &height.0.to_be_bytes())?;
        bytes.map(|bytes| read_own(&bytes)).transpose()
    }

    /// Puts an attested header of the own chain on record. A signer does so before it signs, so
    /// that a crash never leads to two headers for one height; the same header again is no change.
    ///
    /// # Errors
    /// [`SpoolError::Equivocation`] if another header or other leaves are on record.
    pub fn put_own_header(
        &mut self,
        header: &Header,
        leaves: &[[u8; 32]],
    ) -> Result<(), SpoolError> {
        if let Some((held, held_leaves)) = self.own_header(header.height)? {
            if held == *header && held_leaves == leaves {
                return Ok(());
            }
            let (held, offered) = (held.hash(), header.hash());
            return Err(SpoolError::Equivocation { height: header.height, held, offered });
        }
        let value = row::write(2, |out| {
            out.bytes(&header.bytes()).bytes(leaves.as_flattened());
        });
        self.set(Table::OwnHeaders, &header.height.0.to_be_bytes(), value);
        Ok(())
    }

    /// The highest attested header of the own chain.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn last_own_header(&self) -> Result<Option<Header>, SpoolError> {
        let rows = self.rows(Table::OwnHeaders, &Span::all(), Order::Descending, 1)?;
        rows.first().map(|(_, value)| Ok(read_own(value)?.0)).transpose()
    }

    /// Attested headers of the own chain from one height through another, ascending.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn own_headers(
        &self,
        from: Height,
        to: Height,
        limit: usize,
    ) -> Result<Vec<Header>, SpoolError> {
        let span = Span::through(&from.0.to_be_bytes(), &to.0.to_be_bytes());
        let rows = self.rows(Table::OwnHeaders, &span, Order::Ascending, limit)?;
        rows.iter().map(|(_, value)| Ok(read_own(value)?.0)).collect()
    }

    /// What was authenticated before of a foreign chain, around a header that is to be judged.
    ///
    /// # Errors
    /// [`SpoolError`] if the store cannot be read.
    pub fn known(
        &self,
        chain: ChainId,
        height: Height,
        previous: HeaderHash,
    ) -> Result<Known, SpoolError> {
        let table = Table::KnownPrevious;
        let after = self.get(table, &previous_key(chain, previous))?;
        let after_previous = after
            .map(|bytes| row::read(table, &bytes, 1, |input| Ok(HeaderHash(input.fixed("hash")?))));
        Ok(Known {
            at_height: self.known_at(&height_key(chain, height))?.map(|(hash, _)| hash),
            after_previous: after_previous.transpose()?,
        })
    }

    /// Remembers an authenticated header of a foreign chain; of the newest
    /// [`KNOWN_HEADERS_MAX`], by height.
    ///
    /// # Errors
    /// [`SpoolError::Equivocation`] if it contradicts one on record, which stands.
    pub fn put_known(
        &mut self,
        chain: ChainId,
        height: Height,
        hash: HeaderHash,
        previous: HeaderHash,
    ) -> Result<(), SpoolError> {
        let known = self.known(chain, height, previous)?;
        // A first header has no predecessor to share: gateways begin at different blocks.
        let first = previous == HeaderHash::NONE;
        let after = known.after_previous.filter(|_| !first);
        let mut held = known.at_height.into_iter().chain(after);
        if let Some(held) = held.find(|held| *held != hash) {
            return Err(SpoolError::Equivocation { height, held, offered: hash });
        }
        if known.at_height.is_some() {
            return Ok(());
        }
        let value = row::write(2, |out| {
            out.bytes(&hash.0).bytes(&previous.0);
        });
        self.set(Table::KnownHeaders, &height_key(chain, height), value);
        let value = row::write(1, |out| {
            out.bytes(&hash.0);
        });
        if !first {
            self.set(Table::KnownPrevious, &previous_key(chain, previous), value);
        }
        let count = self.known_count(chain)?.saturating_add(1);
        if count > KNOWN_HEADERS_MAX {
            return self.forget_lowest(chain);
        }
        self.set_known_count(chain, count);
        Ok(())
    }

    fn forget_lowest(&mut self, chain: ChainId) -> Result<(), SpoolError> {
        let span = Span::prefix(&row::chain_key(chain));
        for (key, value) in self.rows(Table::KnownHeaders, &span, Order::Ascending, 1)? {
            let (_, previous) = read_known(&value)?;
            self.unset(Table::KnownHeaders, &key);
            self.unset(Table::KnownPrevious, &previous_key(chain, previous));
        }
        Ok(())
    }

    fn known_at(&self, key: &[u8]) -> Result<Option<(HeaderHash, HeaderHash)>, SpoolError> {
        let bytes = self.get(Table::KnownHeaders, key)?;
        bytes.map(|bytes| read_known(&bytes)).transpose()
    }

    fn known_count(&self, chain: ChainId) -> Result<u64, SpoolError> {
        let bytes = self.get(Table::Meta, known_count_key(chain).as_bytes())?;
        bytes.map_or(Ok(0), |bytes| {
            row::read(Table::Meta, &bytes, 1, |input| input.uint("known headers"))
        })
    }

    fn set_known_count(&mut self, chain: ChainId, count: u64) {
        let value = row::write(1, |out| {
            out.uint(count);
        });
        self.set(Table::Meta, known_count_key(chain).as_bytes(), value);
    }
}

fn known_count_key(chain: ChainId) -> String {
    format!("known/{chain}")
}

fn height_key(chain: ChainId, height: Height) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&row::chain_key(chain));
    key[16..].copy_from_slice(&height.0.to_be_bytes());
    key
}

fn previous_key(chain: ChainId, previous: HeaderHash) -> [u8; 48] {
    let mut key = [0; 48];
    key[..16].copy_from_slice(&row::chain_key(chain));
    key[16..].copy_from_slice(&previous.0);
    key
}

fn read_known(bytes: &[u8]) -> Result<(HeaderHash, HeaderHash), SpoolError> {
    row::read(Table::KnownHeaders, bytes, 2, |input| {
        Ok((HeaderHash(input.fixed("hash")?), HeaderHash(input.fixed("previous")?)))
    })
}

fn read_own(bytes: &[u8]) -> Result<OwnHeader, SpoolError> {
    row::read(Table::OwnHeaders, bytes, 2, |input| {
        let header = Header::from_bytes(input.bytes("header", Header::BYTES_MAX)?)?;
        let (leaves, rest) = input.bytes("leaves", usize::MAX)?.as_chunks();
        if !rest.is_empty() {
            return Err(CborError { field: "leaves", expected: "hashes of 32 bytes" });
        }
        Ok((header, leaves.to_vec()))
    })
}
