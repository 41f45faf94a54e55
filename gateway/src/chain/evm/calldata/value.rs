//! A value of a type, from text and into words.

use alloy_primitives::U256;
use data_encoding::HEXLOWER_PERMISSIVE;

use super::{
    super::wallet::account_of,
    CalldataError,
    reader::{Reader, shortened},
    types::Kind,
};

/// A value as the ABI writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// 32 bytes in place.
    Word([u8; 32]),
    /// Bytes or a string.
    Bytes(Vec<u8>),
    /// A tuple, or an array of a length that its type says.
    Fixed(Vec<Self>),
    /// An array of any length.
    Counted(Vec<Self>),
}

impl Value {
    fn is_dynamic(&self) -> bool {
        match self {
            Self::Word(_) => false,
            Self::Bytes(_) | Self::Counted(_) => true,
            Self::Fixed(items) => items.iter().any(Self::is_dynamic),
        }
    }

    /// How much it takes among the heads, in bytes.
    fn head_bytes(&self) -> usize {
        match self {
            Self::Fixed(items) if !self.is_dynamic() => items.iter().map(Self::head_bytes).sum(),
            _ => 32,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Word(word) => out.extend(word),
            Self::Bytes(bytes) => {
                out.extend(U256::from(bytes.len()).to_be_bytes::<32>());
                out.extend(bytes);
                out.resize(out.len() + bytes.len().next_multiple_of(32) - bytes.len(), 0);
            }
            Self::Fixed(items) => write_all(items, out),
            Self::Counted(items) => {
                out.extend(U256::from(items.len()).to_be_bytes::<32>());
                write_all(items, out);
            }
        }
    }
}

/// Heads, then tails.
pub(super) fn write_all(items: &[Value], out: &mut Vec<u8>) {
    let heads: usize = items.iter().map(Value::head_bytes).sum();
    let mut tails = Vec::new();
    for item in items {
        if item.is_dynamic() {
            out.extend(U256::from(heads + tails.len()).to_be_bytes::<32>());
            item.write(&mut tails);
        } else {
            item.write(out);
        }
    }
    out.extend(tails);
}

/// Reads one value. `ends` holds what ends it inside an array or a tuple.
pub(super) fn read(
    input: &mut Reader<'_>,
    kind: &Kind,
    place: &str,
    ends: &str,
) -> Result<Value, CalldataError> {
    match kind {
        Kind::Array { item, length } => {
            let kinds = |_| Some(item.as_ref());
            let items = list(input, kind, place, ('[', ']'), kinds)?;
            match length {
                None => Ok(Value::Counted(items)),
                Some(length) if *length == items.len() => Ok(Value::Fixed(items)),
                Some(length) => {
                    let found = format!("{} values", items.len());
                    Err(wrong(place, kind, &found, &length.to_string()))
                }
            }
        }
        Kind::Tuple(kinds) => {
            let items = list(input, kind, place, ('(', ')'), |index| kinds.get(index))?;
            if items.len() == kinds.len() {
                return Ok(Value::Fixed(items));
            }
            let found = format!("{} values", items.len());
            Err(wrong(place, kind, &found, &kinds.len().to_string()))
        }
        plain => {
            let text = text(input, plain, place, ends)?;
            scalar(plain, &text).map_err(|expected| wrong(place, plain, &text, &expected))
        }
    }
}

/// The values between two brackets; `kinds` gives the type of each.
fn list<'k>(
    input: &mut Reader<'_>,
    kind: &Kind,
    place: &str,
    (open, close): (char, char),
    kinds: impl Fn(usize) -> Option<&'k Kind>,
) -> Result<Vec<Value>, CalldataError> {
    if !input.take(open) {
        let expected = format!("values between {open} and {close}, such as {open}1,2{close}");
        return Err(wrong(place, kind, &input.shown(), &expected));
    }
    let mut items = Vec::new();
    input.skip_space();
    if input.take(close) {
        return Ok(items);
    }
    let ends = [',', close].iter().collect::<String>();
    loop {
        input.skip_space();
        let Some(of_item) = kinds(items.len()) else {
            let expected = format!("{close} after {} values", items.len());
            return Err(wrong(place, kind, &input.shown(), &expected));
        };
        items.push(read(input, of_item, &format!("{place}[{}]", items.len()), &ends)?);
        input.skip_space();
        if input.take(close) {
            return Ok(items);
        }
        if !input.take(',') {
            let expected = format!(", or {close} after a value");
            return Err(wrong(place, kind, &input.shown(), &expected));
        }
    }
}

/// The text of one value: in quotation marks, or up to white space or what ends it.
fn text(
    input: &mut Reader<'_>,
    kind: &Kind,
    place: &str,
    ends: &str,
) -> Result<String, CalldataError> {
    let before = input.shown();
    let Some(quote @ ('"' | '\'')) = input.peek() else {
        return Ok(input.until(|c| c.is_whitespace() || ends.contains(c)).to_owned());
    };
    input.take(quote);
    let mut text = String::new();
    loop {
        let escaped = match input.next() {
            Some(end) if end == quote => return Ok(text),
            Some('\\') => input.next(),
            Some(other) => {
                text.push(other);
                continue;
            }
            None => return Err(wrong(place, kind, &before, "a second quotation mark")),
        };
        text.push(match escaped {
            Some('n') => '\n',
            Some('t') => '\t',
            Some(same @ ('\\' | '"' | '\'')) => same,
            _ => return Err(wrong(place, kind, &before, r#"after a \ one of n t \ " '"#)),
        });
    }
}

/// A value that is one word or a row of bytes; else what was expected.
fn scalar(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Uint { bits } => uint(text, *bits).map(Value::Word),
        Kind::Int { bits } => int(text, *bits).map(Value::Word),
        Kind::Address => address(text).map(Value::Word),
        Kind::Bool => match text {
            "true" => Ok(Value::Word(U256::from(1).to_be_bytes())),
            "false" => Ok(Value::Word([0; 32])),
            _ => Err("true or false".into()),
        },
        Kind::FixedBytes { length } => {
            let bytes = bytes(text).filter(|bytes| bytes.len() == *length);
            let bytes = bytes.ok_or_else(|| format!("0x and {} hex digits", length * 2))?;
            let mut word = [0; 32];
            word[..*length].copy_from_slice(&bytes);
            Ok(Value::Word(word))
        }
        Kind::Bytes => {
            bytes(text).map(Value::Bytes).ok_or_else(|| "0x and pairs of hex digits".into())
        }
        Kind::String => Ok(Value::Bytes(text.into())),
        Kind::Array { .. } | Kind::Tuple(_) => unreachable!("read by `list`"),
    }
}

fn uint(text: &str, bits: usize) -> Result<[u8; 32], String> {
    number(text)
        .filter(|found| found.bit_len() <= bits)
        .map(|found| found.to_be_bytes())
        .ok_or_else(|| format!("a whole number from 0, below 2^{bits}"))
}

/// Two's complement over the whole word.
fn int(text: &str, bits: usize) -> Result<[u8; 32], String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let bound = U256::from(1) << (bits - 1);
    number(digits)
        .filter(|found| if negative { *found <= bound } else { *found < bound })
        .map(|found| if negative { found.wrapping_neg() } else { found })
        .map(|found| found.to_be_bytes())
        .ok_or_else(|| format!("a whole number from -2^{0}, below 2^{0}", bits - 1))
}

/// Digits, or `0x` and hex digits; nothing else that a number may look like elsewhere.
fn number(text: &str) -> Option<U256> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| U256::from_str_radix(digits, u64::from(radix)).ok()).flatten()
}

fn address(text: &str) -> Result<[u8; 32], String> {
    let digits = text.strip_prefix("0x").and_then(|digits| digits.parse().ok());
    let Some(digits) = digits else { return Err("0x and 40 hex digits".into()) };
    match account_of(&digits) {
        Ok(address) => Ok(address.into_word().0),
        Err(error) => Err(format!("0x and 40 hex digits ({error})")),
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.strip_prefix("0x")?.as_bytes()).ok()
}

pub(super) fn wrong(place: &str, kind: &Kind, found: &str, expected: &str) -> CalldataError {
    CalldataError::Argument {
        place: place.to_owned(),
        kind: kind.to_string(),
        found: shortened(found),
        expected: expected.to_owned(),
    }
}
