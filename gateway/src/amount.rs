//! Sums as a user types them.

use distpos_proto::amount::Amount;

/// A whole number of the smallest unit, or on EVM a decimal number and `eth`, `gwei` or `wei`.
pub(crate) fn parse(text: &str, evm: bool) -> Result<Amount, String> {
    let units: &[(&str, usize)] = if evm { &[("eth", 18), ("gwei", 9), ("wei", 0)] } else { &[] };
    for (unit, places) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return scaled(number.trim_end(), *places).ok_or_else(|| {
                format!("amount is {text:?}, expected up to {places} decimal places")
            });
        }
    }
    text.parse().map_err(|_| match evm {
        true => format!("amount is {text:?}, expected whole wei, or such as 1.5eth or 20gwei"),
        false => format!("amount is {text:?}, expected a whole number of the smallest unit"),
    })
}

/// A decimal number times ten to the `places`, exactly.
fn scaled(number: &str, places: usize) -> Option<Amount> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let dotted = number.contains('.');
    if whole.is_empty() || (dotted && fraction.is_empty()) || fraction.len() > places {
        return None;
    }
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(evm(&format!("1{}eth", "0".repeat(77))).is_err(), "2^256 and more");
        assert_eq!(
            parse("1eth", false).unwrap_err(),
            "amount is \"1eth\", expected a whole number of the smallest unit"
        );
    }
}
