//! The types of a function's arguments.

use std::fmt;

use super::{CalldataError, DEPTH_MAX, reader::Reader};

/// A type of Solidity's ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Uint {
        bits: usize,
    },
    Int {
        bits: usize,
    },
    Address,
    Bool,
    /// `bytes1` to `bytes32`.
    FixedBytes {
        length: usize,
    },
    Bytes,
    String,
    /// `T[]`, or with a length `T[3]`.
    Array {
        item: Box<Self>,
        length: Option<usize>,
    },
    Tuple(Vec<Self>),
}

/// As signatures name it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint { bits } => write!(f, "uint{bits}"),
            Self::Int { bits } => write!(f, "int{bits}"),
            Self::Address => f.write_str("address"),
            Self::Bool => f.write_str("bool"),
            Self::FixedBytes { length } => write!(f, "bytes{length}"),
            Self::Bytes => f.write_str("bytes"),
            Self::String => f.write_str("string"),
            Self::Array { item, length: None } => write!(f, "{item}[]"),
            Self::Array { item, length: Some(length) } => write!(f, "{item}[{length}]"),
            Self::Tuple(kinds) => {
                f.write_str("(")?;
                for (index, kind) in kinds.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{kind}")?;
                }
                f.write_str(")")
            }
        }
    }
}

/// The types in brackets.
pub(super) fn arguments(input: &mut Reader<'_>) -> Result<Vec<Kind>, CalldataError> {
    list(input, 0)
}

fn list(input: &mut Reader<'_>, depth: usize) -> Result<Vec<Kind>, CalldataError> {
    input.skip_space();
    if !input.take('(') {
        return Err(wrong(input, "( and the types of the arguments"));
    }
    input.skip_space();
    if input.take(')') {
        return Ok(Vec::new());
    }
    let mut kinds = Vec::new();
    loop {
        kinds.push(kind(input, depth + 1)?);
        // Where it is kept and what it is called: `string memory text`.
        while !input.word().is_empty() {}
        input.skip_space();
        match input.next() {
            Some(',') => {}
            Some(')') => return Ok(kinds),
            _ => return Err(wrong(input, ", or ) after a type")),
        }
    }
}

fn kind(input: &mut Reader<'_>, depth: usize) -> Result<Kind, CalldataError> {
    if depth > DEPTH_MAX {
        return Err(wrong(input, "fewer arrays and tuples in each other"));
    }
    input.skip_space();
    let mut found = if input.peek() == Some('(') {
        Kind::Tuple(list(input, depth)?)
    } else {
        let before = input.shown();
        match input.word() {
            "tuple" => Kind::Tuple(list(input, depth)?),
            word => named(word).ok_or(CalldataError::Signature {
                found: before,
                expected: "a type: uint256, int8, address, bool, bytes, bytes32, string, or a tuple",
            })?,
        }
    };
    let mut brackets = 0;
    while input.take('[') {
        brackets += 1;
        if depth + brackets > DEPTH_MAX {
            return Err(wrong(input, "fewer arrays and tuples in each other"));
        }
        let digits = input.until(|c| !c.is_ascii_digit());
        let length = match digits {
            "" => None,
            digits => match digits.parse() {
                Ok(length) if !digits.starts_with('0') => Some(length),
                _ => return Err(wrong(input, "an array's length from 1")),
            },
        };
        if !input.take(']') {
            return Err(wrong(input, "] after an array's length"));
        }
        found = Kind::Array { item: Box::new(found), length };
    }
    Ok(found)
}

fn named(word: &str) -> Option<Kind> {
    let number = |digits: &str| -> Option<usize> {
        let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let bits = |digits: &str| match digits {
        "" => Some(256),
        digits => number(digits).filter(|bits| (8..=256).contains(bits) && bits % 8 == 0),
    };
    match word {
        "address" => Some(Kind::Address),
        "bool" => Some(Kind::Bool),
        "bytes" => Some(Kind::Bytes),
        "string" => Some(Kind::String),
        word => {
            if let Some(digits) = word.strip_prefix("uint") {
                return bits(digits).map(|bits| Kind::Uint { bits });
            }
            if let Some(digits) = word.strip_prefix("int") {
                return bits(digits).map(|bits| Kind::Int { bits });
            }
            let length = number(word.strip_prefix("bytes")?)?;
            (1..=32).contains(&length).then_some(Kind::FixedBytes { length })
        }
    }
}

fn wrong(input: &Reader<'_>, expected: &'static str) -> CalldataError {
    CalldataError::Signature { found: input.shown(), expected }
}
