//! CBOR by hand, so that wrong bytes can be made on purpose and right ones read aloud.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The head of a value: major type and number, in the shortest form.
pub(crate) fn head(major: u8, number: u64) -> Vec<u8> {
    let major = major << 5;
    let tail = number.to_be_bytes();
    match number {
        0..=23 => vec![major | tail[7]],
        24..=0xff => vec![major | 24, tail[7]],
        0x100..=0xffff => [&[major | 25], &tail[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], &tail[4..]].concat(),
        _ => [&[major | 27], &tail[..]].concat(),
    }
}

pub(crate) fn uint(number: u64) -> Vec<u8> {
    head(0, number)
}

pub(crate) fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// A map's pairs, each key and value already encoded.
#[derive(Clone)]
pub(crate) struct Pairs(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl Pairs {
    /// Pairs of the keys 0, 1, 2 … with these values.
    pub(crate) fn of(values: Vec<Vec<u8>>) -> Self {
        Self((0..).map(uint).zip(values).collect())
    }

    /// The same, with another value at a key.
    pub(crate) fn with(&self, key: usize, value: Vec<u8>) -> Self {
        let mut pairs = self.clone();
        pairs.0[key].1 = value;
        pairs
    }

    /// The map, in the order of the pairs.
    pub(crate) fn map(&self) -> Vec<u8> {
        [head(5, self.0.len() as u64), self.body()].concat()
    }

    /// The pairs without the map's head.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(key, value)| [key.clone(), value.clone()].concat()).collect()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Bytes as hex, or described where they are too long to print.
pub(crate) fn described(bytes: &[u8]) -> Value {
    if bytes.len() <= 4096 {
        return json!(hex(bytes));
    }
    json!({ "length": bytes.len(), "sha256": hex(&Sha256::digest(bytes)) })
}

/// Diagnostic notation (RFC 8949, 8) of well-formed CBOR of the kinds used here; byte strings that
/// hold such CBOR themselves are read too: `<< … >>`.
pub(crate) fn diagnostic(bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(item(&mut rest).expect("CBOR of the kinds that are used"));
    }
    items.join(", ")
}

fn item(rest: &mut &[u8]) -> Option<String> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    let width = match first & 31 {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let mut number = u64::from(first & 31);
    if width > 0 {
        let (bytes, tail) = rest.split_at_checked(width)?;
        number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        *rest = tail;
    }
    let length = usize::try_from(number).ok()?;
    match first >> 5 {
        0 => Some(number.to_string()),
        2 => {
            let (bytes, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            // Only maps and arrays are looked into: a hash may look like a number by chance.
            let mut inner = bytes;
            if bytes.first().is_some_and(|b| matches!(b >> 5, 4 | 5))
                && let Some(text) = item(&mut inner)
                && inner.is_empty()
            {
                return Some(format!("<< {text} >>"));
            }
            Some(format!("h'{}'", hex(bytes)))
        }
        3 => {
            let (bytes, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Some(format!("{:?}", std::str::from_utf8(bytes).ok()?))
        }
        4 => {
            let items: Option<Vec<_>> = (0..length).map(|_| item(rest)).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        5 => {
            let pairs: Option<Vec<_>> =
                (0..length).map(|_| Some(format!("{}: {}", item(rest)?, item(rest)?))).collect();
            Some(format!("{{{}}}", pairs?.join(", ")))
        }
        _ => None,
    }
}
