//! Numbers of bytes, as operators write and read them.

use std::{fmt, str::FromStr};

/// A number of bytes: `512MiB`, `10GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl fmt::Display for Bytes {
    /// In the largest unit of which there is one, with one decimal where it is no whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) =
            UNITS.into_iter().find(|(_, shift)| self.0 >> shift > 0).unwrap_or(("B", 0));
        let (whole, rest) = (self.0 >> shift, u128::from(self.0 & ((1 << shift) - 1)));
        match (rest * 10) >> shift {
            0 => write!(f, "{whole} {unit}"),
            tenth => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let found: String = text.chars().take(80).collect();
            format!("found {found:?}, expected a size such as \"256MiB\" or \"10GiB\"")
        };
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_their_unit_and_told_in_the_largest() {
        let read = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!(read("0B"), Ok(0));
        assert_eq!(read("3KiB"), Ok(3072));
        assert_eq!(read("10GiB"), Ok(10 << 30));
        for wrong in ["", "10", "MiB", "1.5GiB", "-1MiB", "10 GiB", "10GB", "16777216TiB"] {
            let error = read(wrong).unwrap_err();
            assert!(error.starts_with(&format!("found {wrong:?}, expected a size")), "{error}");
        }
        let told = |bytes| Bytes(bytes).to_string();
        assert_eq!((told(0).as_str(), told(1023).as_str()), ("0 B", "1023 B"));
        assert_eq!((told(1 << 30).as_str(), told(1_600_000_000).as_str()), ("1 GiB", "1.4 GiB"));
        assert_eq!(told(u64::MAX), "16777215.9 TiB");
    }
}
