//! Recursive Length Prefix, read strictly: one encoding for one value, lengths checked first.
//!
//! Headers and receipts are read by position, as raw items: typed structures refuse what other
//! chains add. The item heads are decoded by `alloy-rlp`, which refuses every length that is not
//! in its shortest form.

use alloy_rlp::Header;
use thiserror::Error;

/// Why bytes are not the RLP expected. The giver's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RlpError {
    /// No item starts here, or it is longer than the bytes, or its length is not the shortest.
    #[error("bytes are no canonical RLP item: {0}")]
    Item(alloy_rlp::Error),
    /// Bytes after the item.
    #[error("{found} bytes follow the RLP item, expected none")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// A string in place of a list, or the other way round.
    #[error("RLP item is {found}, expected {expected}")]
    Kind {
        /// What was found.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A list of too many or too few items.
    #[error("RLP list has {found} items, expected {min} to {max}")]
    Items {
        /// How many were found; where there are too many, counting stopped there.
        found: usize,
        /// The fewest expected.
        min: usize,
        /// The most expected.
        max: usize,
    },
    /// A string of another length than its field has.
    #[error("RLP string has {found} bytes, expected {expected}")]
    Length {
        /// Its length.
        found: usize,
        /// The expected length.
        expected: usize,
    },
    /// A number with leading zeros, or of more than 64 bits.
    #[error("RLP string is no number of at most 64 bits in its shortest form")]
    Number,
}

/// An item: a byte string, or a list of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'b> {
    /// The whole item, with its length.
    pub raw: &'b [u8],
    /// The string's bytes, or the list's items one after the other.
    pub payload: &'b [u8],
    /// Whether it is a list.
    pub is_list: bool,
}

impl<'b> Item<'b> {
    /// Reads the item at the start of `input` and moves past it.
    ///
    /// # Errors
    /// [`RlpError::Item`] if there is none.
    pub fn next(input: &mut &'b [u8]) -> Result<Self, RlpError> {
        let start = *input;
        let mut rest = start;
        let head = Header::decode(&mut rest).map_err(RlpError::Item)?;
        let short = RlpError::Item(alloy_rlp::Error::InputTooShort);
        let (payload, rest) = rest.split_at_checked(head.payload_length).ok_or(short)?;
        let raw = &start[..start.len() - rest.len()];
        *input = rest;
        Ok(Self { raw, payload, is_list: head.list })
    }

    /// Reads `bytes` as one item and nothing more.
    ///
    /// # Errors
    /// [`RlpError`] if it is none or bytes follow.
    pub fn only(bytes: &'b [u8]) -> Result<Self, RlpError> {
        let mut rest = bytes;
        let item = Self::next(&mut rest)?;
        if rest.is_empty() { Ok(item) } else { Err(RlpError::Trailing { found: rest.len() }) }
    }

    /// The bytes of a string.
    ///
    /// # Errors
    /// [`RlpError::Kind`] if it is a list.
    pub fn string(&self) -> Result<&'b [u8], RlpError> {
        if self.is_list {
            return Err(RlpError::Kind { found: "a list", expected: "a string" });
        }
        Ok(self.payload)
    }

    /// A string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`RlpError`] if it is a list or of another length.
    pub fn fixed<const N: usize>(&self) -> Result<[u8; N], RlpError> {
        let bytes = self.string()?;
        bytes.try_into().map_err(|_| RlpError::Length { found: bytes.len(), expected: N })
    }

    /// A number in its shortest form, as RLP writes them: zero is the empty string.
    ///
    /// # Errors
    /// [`RlpError`] if it is a list, has leading zeros or is past 64 bits.
    pub fn number(&self) -> Result<u64, RlpError> {
        let bytes = self.string()?;
        if bytes.len() > 8 || bytes.first() == Some(&0) {
            return Err(RlpError::Number);
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The items of a list of `min` to `max` items.
    ///
    /// # Errors
    /// [`RlpError`] if it is a string, an item of it is none, or there are too few or too many.
    pub fn items(&self, min: usize, max: usize) -> Result<Vec<Self>, RlpError> {
        if !self.is_list {
            return Err(RlpError::Kind { found: "a string", expected: "a list" });
        }
        let (mut items, mut rest) = (Vec::new(), self.payload);
        while !rest.is_empty() {
            if items.len() == max {
                return Err(RlpError::Items { found: max + 1, min, max });
            }
            items.push(Self::next(&mut rest)?);
        }
        if items.len() < min {
            return Err(RlpError::Items { found: items.len(), min, max });
        }
        Ok(items)
    }

    /// The items of a list of exactly `N` items.
    ///
    /// # Errors
    /// As [`Item::items`].
    pub fn array<const N: usize>(&self) -> Result<[Self; N], RlpError> {
        let items = self.items(N, N)?;
        let found = items.len();
        items.try_into().map_err(|_| RlpError::Items { found, min: N, max: N })
    }
}

/// A number as an RLP string: the key of a transaction or receipt in its trie.
#[must_use]
pub fn number_key(number: u64) -> Vec<u8> {
    alloy_rlp::encode(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_its_shortest_form_is_refused() {
        let number = |bytes: &[u8]| Item::only(bytes).unwrap().number();
        assert_eq!(number(&[0x80]), Ok(0));
        assert_eq!(number(&[0x7f]), Ok(127));
        assert_eq!(number(&[0x82, 1, 0]), Ok(256));
        assert_eq!(number(&[0x00]), Err(RlpError::Number));
        assert_eq!(number(&[0x82, 0, 1]), Err(RlpError::Number));
        assert_eq!(number(&[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(RlpError::Number));
        let kind = RlpError::Kind { found: "a list", expected: "a string" };
        assert_eq!(number(&[0xc0]), Err(kind));
        let single = alloy_rlp::Error::NonCanonicalSingleByte;
        assert_eq!(Item::only(&[0x81, 0x7f]), Err(RlpError::Item(single)));
        let size = alloy_rlp::Error::NonCanonicalSize;
        assert_eq!(Item::only(&[0xb8, 1, 0xff]), Err(RlpError::Item(size)));
        assert_eq!(Item::only(&[0x80, 0x80]), Err(RlpError::Trailing { found: 1 }));
        let short = RlpError::Item(alloy_rlp::Error::InputTooShort);
        assert_eq!(Item::only(&[]), Err(short));
        assert_eq!(Item::only(&[0xbf, 255, 255, 255, 255, 255, 255, 255, 255]), Err(short));
    }

    #[test]
    fn a_list_has_as_many_items_as_its_reader_expects() {
        let list = Item::only(&[0xc3, 1, 2, 3]).unwrap();
        assert_eq!(list.items(3, 3).unwrap().len(), 3);
        assert_eq!(list.items(0, 2), Err(RlpError::Items { found: 3, min: 0, max: 2 }));
        assert_eq!(list.items(4, 9), Err(RlpError::Items { found: 3, min: 4, max: 9 }));
        assert_eq!(list.array::<2>(), Err(RlpError::Items { found: 3, min: 2, max: 2 }));
        let kind = RlpError::Kind { found: "a string", expected: "a list" };
        assert_eq!(Item::only(&[0x80]).unwrap().items(0, 9), Err(kind));
        let cut = Item::only(&[0xc2, 0x82, 1]).unwrap();
        assert!(matches!(cut.items(0, 9), Err(RlpError::Item(_))), "an item past its list's end");
    }
}
