//! Call data from text: `greet(string,uint256) "hello world" 5`.
//!
//! A function's name, the types of its arguments in brackets, then a value for each of them, apart
//! by white space. Without a name (`(string,uint256) "hello world" 5`) only the arguments are
//! written, as `abi.encode` does and `abi.decode` in a recipient's `onDistpos` reads. `docs/senders.md`
//! says how each kind of value is written. The name and types are those of Solidity's ABI; names of
//! arguments may stand after the types and mean nothing.

use alloy_primitives::keccak256;
use thiserror::Error;

use self::{
    reader::Reader,
    types::Kind,
    value::{Value, write_all},
};

mod reader;
#[cfg(test)]
mod tests;
mod types;
mod value;

/// How deep arrays and tuples may stand in each other: more than any contract has, and far from what
/// reading them needs of the stack.
const DEPTH_MAX: usize = 16;

/// Why a text is no call data. The user's to repair.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CalldataError {
    /// The function's name or the types of its arguments.
    #[error("found {found:?} in the signature, expected {expected}")]
    Signature {
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// Fewer or more values than the signature has arguments.
    #[error("found {found} values, expected {expected}: one for each argument of {signature}")]
    Count {
        /// How many values there are.
        found: usize,
        /// How many arguments.
        expected: usize,
        /// The function.
        signature: String,
    },
    /// A value that its type does not have.
    #[error("argument {place} ({kind}): found {found:?}, expected {expected}")]
    Argument {
        /// Which one, from 1; in arrays and tuples such as `2[0]`.
        place: String,
        /// Its type.
        kind: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
}

/// Encodes a call, or arguments alone.
///
/// # Errors
/// [`CalldataError`] names the argument, its type, and what was expected.
pub fn encode(text: &str) -> Result<Vec<u8>, CalldataError> {
    let mut input = Reader::new(text);
    let name = input.word();
    let kinds = types::arguments(&mut input)?;
    let types: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    let signature = format!("{name}({})", types.join(","));
    let values = values(&mut input, &kinds, &signature)?;
    let mut out = Vec::new();
    if !name.is_empty() {
        out.extend(&keccak256(&signature)[..4]);
    }
    write_all(&values, &mut out);
    Ok(out)
}

fn values(
    input: &mut Reader<'_>,
    kinds: &[Kind],
    signature: &str,
) -> Result<Vec<Value>, CalldataError> {
    let count = |found| CalldataError::Count {
        found,
        expected: kinds.len(),
        signature: signature.to_owned(),
    };
    let mut values = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let apart = input.skip_space();
        if input.is_at_end() {
            return Err(count(index));
        }
        let place = (index + 1).to_string();
        if index > 0 && !apart {
            let wrong = "white space before it";
            return Err(value::wrong(&place, kind, &input.shown(), wrong));
        }
        values.push(value::read(input, kind, &place, "")?);
    }
    input.skip_space();
    if input.is_at_end() {
        return Ok(values);
    }
    let more = input.rest().split_whitespace().count();
    Err(count(kinds.len() + more))
}
