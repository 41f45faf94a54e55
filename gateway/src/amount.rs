//! Sums as a user types them.

use distpos_proto::amount::{Amount, AmountError};

/// A whole number of the smallest unit, or on EVM a decimal number and `eth`, `gwei` or `wei`.
pub(crate) fn parse(text: &str, evm: bool) -> Result<Amount, String> {
    let units: &[(&str, usize)] = if evm { &[("eth", 18), ("gwei", 9), ("wei", 0)] } else { &[] };
    if let Some(amount) = in_units(text, units) {
        return amount;
    }
    let expected = match evm {
        true => "whole wei, or such as 1.5eth or 20gwei",
        false => "a whole number of the smallest unit",
    };
    whole(text, expected)
}

/// Decimal digits.
fn whole(text: &str, expected: &str) -> Result<Amount, String> {
    text.parse().map_err(|error| match error {
        AmountError::TooLarge => "amount is 2^256 or more, expected less".into(),
        _ if text.starts_with('-') => format!("amount is {text:?}, expected 0 or more"),
        AmountError::Digits(_) | AmountError::NotMinimal => {
            format!("amount is {text:?}, expected {expected}")
        }
    })
}

/// A sum of a token: a whole number of its smallest unit, or a decimal number and `token` where the
/// token says how many places that has.
pub(crate) fn parse_token(text: &str, decimals: Option<u8>) -> Result<Amount, String> {
    let units: &[(&str, usize)] = match decimals {
        Some(places) => &[("token", usize::from(places))],
        None if text.ends_with("token") => {
            return Err("the token does not say its decimal places: give a whole number".into());
        }
        None => &[],
    };
    in_units(text, units).unwrap_or_else(|| {
        whole(text, "a whole number of the token's smallest unit, or such as 1.5token")
    })
}

/// A sum that ends with one of the units; none if it ends with none.
fn in_units(text: &str, units: &[(&str, usize)]) -> Option<Result<Amount, String>> {
    units.iter().find_map(|(unit, places)| {
        let number = text.strip_suffix(unit)?;
        let Some(digits) = scaled(number.trim_end(), *places) else {
            return Some(Err(match text.starts_with('-') {
                true => format!("amount is {text:?}, expected 0 or more"),
                false => format!("amount is {text:?}, expected up to {places} decimal places"),
            }));
        };
        Some(whole(&digits, "a number"))
    })
}

/// The digits of a decimal number times ten to the `places`, exactly.
fn scaled(number: &str, places: usize) -> Option<String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let dotted = number.contains('.');
    if whole.is_empty() || (dotted && fraction.is_empty()) || fraction.len() > places {
        return None;
    }
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    Some(format!("{whole}{fraction:0<places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_places_are_its_own() {
        let six = |text: &str| parse_token(text, Some(6)).map(|amount| amount.to_string());
        assert_eq!(six("1.5token").unwrap(), "1500000");
        assert_eq!(six("7").unwrap(), "7");
        assert_eq!(parse_token("3token", Some(0)).unwrap().to_string(), "3");
        for wrong in ["1.5", "1.0000001token", "1eth", "token", "-1token"] {
            assert!(six(wrong).is_err(), "{wrong}");
        }
        assert!(parse_token("1token", None).unwrap_err().contains("does not say"));
        assert_eq!(parse_token("1", None).unwrap().to_string(), "1");
    }

    #[test]
    fn units_scale_exactly() {
        let evm = |text: &str| parse(text, true).map(|amount| amount.to_string());
        assert_eq!(evm("1.5eth").unwrap(), "1500000000000000000");
        assert_eq!(evm("0.000000000000000001eth").unwrap(), "1");
        assert_eq!(evm("20gwei").unwrap(), "20000000000");
        assert_eq!(evm("7 wei").unwrap(), "7");
        assert_eq!(evm("7").unwrap(), "7");
        for wrong in ["1.5", "1.5wei", "0.0000000000000000001eth", ".5eth", "1.eth", "-1eth", "eth"]
        {
            assert!(evm(wrong).is_err(), "{wrong}");
        }
        for unit in ["", "wei", "eth"] {
            let told = evm(&format!("1{}{unit}", "0".repeat(78))).unwrap_err();
            assert_eq!(told, "amount is 2^256 or more, expected less");
        }
        for below in ["-1", "-1.5eth"] {
            assert_eq!(evm(below).unwrap_err(), format!("amount is {below:?}, expected 0 or more"));
        }
        assert_eq!(
            parse("1eth", false).unwrap_err(),
            "amount is \"1eth\", expected a whole number of the smallest unit"
        );
    }
}
