//! Amounts of money in the text of price maps and price books, exact to a billionth of a dollar.

use std::fmt;

use anyhow::{Context, Result, bail};

/// Decimals of an amount.
const MAX_DECIMAL_DIGITS: i32 = 9;
/// Digits of a number in a price map: 128 bits hold them times a million.
const MAX_MANTISSA_DIGITS: usize = 24;

/// An amount in billionths of a US dollar, or a factor in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub i64);

impl Amount {
    /// The factor 1.
    pub const ONE: Self = Self(1_000_000_000);

    /// Parses an amount of a price book, such as `1.25`.
    pub fn parse(text: &str) -> Result<Self> {
        match Self::of_units(text, 1)? {
            (amount, true) => Ok(amount),
            _ => bail!("{text} has more than {MAX_DECIMAL_DIGITS} decimals"),
        }
    }

    /// Returns `units` times the number, such as `2.5e-06`, and true if the result is exact; else the result is rounded,
    /// half to even. The number never is a floating-point number.
    pub fn of_units(number: &str, units: i128) -> Result<(Self, bool)> {
        let read = || {
            let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let digits = format!("{whole}{fraction}");
            let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || digits.len() > MAX_MANTISSA_DIGITS {
                return None;
            }
            let exponent: i32 = exponent.parse().ok()?;
            let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
            let scaled = digits.parse::<i128>().ok()?.checked_mul(units)?;
            let (exact, is_exact) = shifted(scaled, shift.checked_add(MAX_DECIMAL_DIGITS)?)?;
            Some((Self(i64::try_from(exact).ok()?), is_exact))
        };
        read().with_context(|| format!("{number} is not a price"))
    }

    /// Returns `self` divided by `other`, if that is exact to a billionth.
    pub fn ratio_to(self, other: Self) -> Option<Self> {
        let scaled = i128::from(self.0) * i128::from(Self::ONE.0);
        let is_exact = other.0 != 0 && scaled % i128::from(other.0) == 0;
        let ratio = is_exact.then(|| scaled / i128::from(other.0))?;
        Some(Self(i64::try_from(ratio).ok()?))
    }
}

/// Returns `number` times 10 to the power of `shift`, rounded half to even, and true if nothing was rounded.
fn shifted(number: i128, shift: i32) -> Option<(i128, bool)> {
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        return Some((number.checked_mul(power?)?, true));
    }
    let power = power?;
    let (quotient, rest) = (number / power, number % power);
    let up = rest * 2 > power || (rest * 2 == power && quotient % 2 != 0);
    Some((quotient + i128::from(up), rest == 0))
}

/// Formats the shortest decimal number: `1.25`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        write!(f, "{whole}")?;
        match format!("{rest:09}").trim_end_matches('0') {
            "" => Ok(()),
            decimals => write!(f, ".{decimals}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly_in_every_notation() {
        for (number, units, expected) in [
            ("0.0000025", 1_000_000, "2.5"),
            ("2.5e-06", 1_000_000, "2.5"),
            ("2.5E-6", 1_000_000, "2.5"),
            ("1.25e-7", 1_000_000, "0.125"),
            ("0", 1_000_000, "0"),
            ("0.01", 1_000, "10"),
            ("15", 1, "15"),
        ] {
            let (amount, is_exact) = Amount::of_units(number, units).expect(number);
            assert_eq!((amount.to_string().as_str(), is_exact), (expected, true));
        }
    }

    #[test]
    fn a_number_with_too_many_decimals_is_rounded_and_says_so() {
        for (number, expected) in [
            ("0.000833333333333", "0.000833333"),
            ("0.0000000005", "0"),
            ("0.0000000015", "0.000000002"),
        ] {
            let (amount, is_exact) = Amount::of_units(number, 1).expect(number);
            assert_eq!((amount.to_string().as_str(), is_exact), (expected, false));
        }
        assert!(Amount::parse("0.0000000001").is_err());
    }

    #[test]
    fn what_is_not_a_price_is_refused() {
        for number in ["", "-1", ".5", "1e", "NaN", "1e999", "1e-999", "1,5", "0x1"] {
            assert!(Amount::of_units(number, 1).is_err(), "{number}");
        }
    }

    #[test]
    fn a_ratio_is_exact_or_absent() {
        let ratio = |one: &str, other: &str| {
            let of = |text| Amount::parse(text).expect(text);
            of(one).ratio_to(of(other)).map(|ratio| ratio.to_string())
        };
        assert_eq!(ratio("3.5", "2"), Some("1.75".to_owned()));
        assert_eq!(ratio("0.25", "0.15"), None);
        assert_eq!(ratio("1", "0"), None);
    }
}
