//! Values that TOML has no type for: proto's types, durations, sizes, hex, sums of money.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use distpos_proto::{
    amount::{Amount, AmountError},
    message::Asset,
};
use serde::{Deserialize, Deserializer, de};

/// Stands between a key and what is wrong with it: serde carries nothing but a text, and a table
/// that is judged as a whole knows which of its keys is wrong.
const OF_KEY: char = '\u{1f}';

/// An error about a key of the table that is being read.
pub(super) fn at(key: &str, what: impl fmt::Display) -> String {
    format!("{key}{OF_KEY}{what}")
}

/// The key that an error is about, and what is wrong with it.
pub(super) fn of_key(message: &str) -> Option<(&str, &str)> {
    message.split_once(OF_KEY)
}

/// A value that is read from its text form, so that an error points at that very text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Text<T>(T);

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map(Text).map_err(de::Error::custom)
    }
}

/// Reads one value from its text.
pub(crate) fn one<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    Text::deserialize(input).map(|Text(value)| value)
}

/// Reads a value that may be absent.
pub(super) fn optional<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    one(input).map(Some)
}

/// Reads an array of texts.
pub(crate) fn list<'de, D, T>(input: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let texts = Vec::<Text<T>>::deserialize(input)?;
    Ok(texts.into_iter().map(|Text(value)| value).collect())
}

/// Reads one text, or an array of them.
pub(super) fn one_or_list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text, or an array of texts")]
    enum Texts {
        One(String),
        List(Vec<String>),
    }
    Ok(match Texts::deserialize(input)? {
        Texts::One(text) => vec![text],
        Texts::List(texts) => texts,
    })
}

/// Reads a sum of an EVM chain's coin: `"0.05eth"`, `"20gwei"`, or whole wei.
pub(super) fn coin<'de, D: Deserializer<'de>>(input: D) -> Result<Amount, D::Error> {
    let text = String::deserialize(input)?;
    crate::amount::parse(&text, true).map_err(de::Error::custom)
}

/// Reads a table whose keys are read from their text.
pub(super) fn map<'de, D, K, V>(input: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: FromStr + Ord,
    K::Err: fmt::Display,
    V: Deserialize<'de>,
{
    let texts = BTreeMap::<Text<K>, V>::deserialize(input)?;
    Ok(texts.into_iter().map(|(Text(key), value)| (key, value)).collect())
}

/// Reads `"500ms"`, `"10s"`, `"5m"`, `"24h"` or `"7d"`.
pub(super) fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    parse_duration(&text).map_err(de::Error::custom)
}

/// A duration that may be absent; never zero.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Duration>, D::Error> {
    match duration(input)? {
        Duration::ZERO => Err(de::Error::custom(
            "found a duration of zero, expected a longer one, or to leave the key out",
        )),
        duration => Ok(Some(duration)),
    }
}

/// A sum in the smallest unit: a text of decimal digits, or a whole number where TOML can hold it.
pub(super) fn amount<'de, D: Deserializer<'de>>(input: D) -> Result<Amount, D::Error> {
    struct Sum;
    impl de::Visitor<'_> for Sum {
        type Value = Amount;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sum in the smallest unit, such as \"1000000000000000000\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
            u64::try_from(number)
                .map(Amount::from)
                .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
            Ok(Amount::from(number))
        }
    }
    input.deserialize_any(Sum)
}

/// What a whole number of the smallest unit looks like, for errors about accounts and rules.
const SUM: &str = "a whole number of the asset's smallest unit, such as \"1000000\"";

/// A whole number of an asset's smallest unit.
///
/// # Errors
/// Says what was found and what was expected.
pub fn parse_sum(text: &str) -> Result<Amount, String> {
    text.parse().map_err(|error| match error {
        AmountError::Digits(found) => format!("found {found:?}, expected {SUM}"),
        AmountError::TooLarge | AmountError::NotMinimal => {
            let digits = text.len();
            format!("found a number of {digits} digits, 2^256 or more, expected less than 2^256")
        }
    })
}

/// An asset's name.
///
/// # Errors
/// Says what was found and what was expected.
pub fn parse_asset(text: &str) -> Result<Asset, String> {
    text.parse().map_err(|_| {
        let found = shortened(text);
        format!(
            "found {found:?}, expected an asset, <issuer chain-id>/<label>, such as \"e2e4/coin\""
        )
    })
}

/// A sum of an asset; says what is expected in the words of accounts.
pub(super) fn sum<'de, D: Deserializer<'de>>(input: D) -> Result<Amount, D::Error> {
    struct Sum;
    impl de::Visitor<'_> for Sum {
        type Value = Amount;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(SUM)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
            parse_sum(text).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, found: i64) -> Result<Amount, E> {
            let wrong = || E::custom(format_args!("found {found}, expected {SUM}"));
            u64::try_from(found).map(Amount::from).map_err(|_| wrong())
        }

        fn visit_f64<E: de::Error>(self, found: f64) -> Result<Amount, E> {
            Err(E::custom(format_args!("found {found:?}, expected {SUM}")))
        }
    }
    input.deserialize_any(Sum)
}

/// A sum that may be absent.
pub(super) fn optional_sum<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Amount>, D::Error> {
    sum(input).map(Some)
}

/// A sum that may be absent, and makes no sense as zero.
pub(super) fn optional_positive_sum<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Amount>, D::Error> {
    match sum(input)? {
        zero if zero.is_zero() => Err(de::Error::custom(
            "found 0, expected more than zero, or to leave the key out: then there is no limit",
        )),
        sum => Ok(Some(sum)),
    }
}

/// An asset that may be absent.
pub(super) fn optional_asset<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Asset>, D::Error> {
    parse_asset(&String::deserialize(input)?).map(Some).map_err(de::Error::custom)
}

/// An asset as the name of a table.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct AssetKey(Asset);

impl<'de> Deserialize<'de> for AssetKey {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        parse_asset(&String::deserialize(input)?).map(Self).map_err(de::Error::custom)
    }
}

/// A table whose keys are assets.
pub(super) fn by_asset<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
    input: D,
) -> Result<BTreeMap<Asset, V>, D::Error> {
    let tables = BTreeMap::<AssetKey, V>::deserialize(input)?;
    Ok(tables.into_iter().map(|(AssetKey(asset), value)| (asset, value)).collect())
}

/// A whole number that `read` takes; anything else is an error that says what is expected.
pub(super) fn number<'de, D: Deserializer<'de>, T>(
    input: D,
    expected: &'static str,
    read: impl Fn(i64) -> Option<T>,
) -> Result<T, D::Error> {
    struct Number<R>(&'static str, R);
    impl<T, R: Fn(i64) -> Option<T>> de::Visitor<'_> for Number<R> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_i64<E: de::Error>(self, found: i64) -> Result<T, E> {
            let Self(expected, read) = self;
            let wrong = || E::custom(format_args!("found {found}, expected {expected}"));
            read(found).ok_or_else(wrong)
        }

        fn visit_f64<E: de::Error>(self, found: f64) -> Result<T, E> {
            Err(E::custom(format_args!("found {found:?}, expected {}", self.0)))
        }

        fn visit_str<E: de::Error>(self, found: &str) -> Result<T, E> {
            let found = shortened(found);
            Err(E::custom(format_args!("found {found:?}, expected {}", self.0)))
        }
    }
    input.deserialize_any(Number(expected, read))
}

/// A whole number above zero that may be absent.
pub(super) fn optional_positive<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<u64>, D::Error> {
    let positive = |found| u64::try_from(found).ok().filter(|found| *found > 0);
    number(input, "a whole number above zero", positive).map(Some)
}

/// An address and a port.
pub(super) fn socket<'de, D: Deserializer<'de>>(input: D) -> Result<SocketAddr, D::Error> {
    socket_of(&String::deserialize(input)?).map_err(de::Error::custom)
}

/// An array of them.
pub(super) fn sockets<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<Text<Socket>>::deserialize(input)?;
    Ok(texts.into_iter().map(|Text(Socket(address))| address).collect())
}

struct Socket(SocketAddr);

impl FromStr for Socket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        socket_of(text).map(Self)
    }
}

fn socket_of(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let found = shortened(text);
        format!("found {found:?}, expected an address with its port, such as \"127.0.0.1:7334\"")
    })
}

/// An address that may be absent.
pub(super) fn optional_ip<'de, D: Deserializer<'de>>(input: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(input)?;
    text.parse().map(Some).map_err(|_| {
        let found = shortened(&text);
        de::Error::custom(format_args!(
            "found {found:?}, expected an address such as \"192.0.2.7\""
        ))
    })
}

/// Bytes in hex, with or without `0x` in front, upper and lower case.
///
/// # Errors
/// Says what was found and what was expected.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .map_err(|_| format!("found {:?}, expected pairs of hex digits", shortened(text)))
}

/// A duration with its unit.
///
/// # Errors
/// Says what was found and what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] =
        [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    in_units(text, &UNITS).map(Duration::from_millis).ok_or_else(|| {
        let found = shortened(text);
        format!(
            "found {found:?}, expected a duration such as \"500ms\", \"10s\", \"5m\" or \"24h\""
        )
    })
}

/// A whole number and one of the units.
fn in_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("24h"), parse_duration("1d"));
        for wrong in ["", "10", "s", "10 s", "1.5s", "-1s", "10sec", "99999999999999999999s"] {
            let error = parse_duration(wrong).unwrap_err();
            assert!(error.starts_with(&format!("found {wrong:?}, expected a duration")), "{error}");
        }
        assert!(parse_duration(&format!("{}d", u64::MAX)).is_err(), "must not overflow");
    }

    #[test]
    fn hex_may_have_its_0x_but_not_half_a_byte() {
        assert_eq!(parse_hex("0xAb01"), Ok(vec![0xab, 1]));
        assert_eq!(parse_hex("ab01"), Ok(vec![0xab, 1]));
        assert!(parse_hex("abc").is_err());
        assert!(parse_hex("0xzz").is_err());
    }
}
