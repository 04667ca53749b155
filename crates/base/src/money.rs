//! Money: exact integers of billionths of a US dollar, converted to floating point only for JSON.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

/// An amount in billionths of a US dollar, up to 9.2 billion dollars. Arithmetic saturates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NanoDollars(pub i64);

/// Nano-dollars in a dollar.
const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
/// Nano-dollars in a cent.
const NANOS_PER_CENT: i64 = NANOS_PER_DOLLAR / 100;

impl NanoDollars {
    /// Converts an amount of US cents.
    #[must_use]
    pub fn from_cents(cents: i64) -> Self {
        Self(cents.saturating_mul(NANOS_PER_CENT))
    }

    /// Returns the amount in US cents, rounded down.
    #[must_use]
    pub fn whole_cents(self) -> i64 {
        self.0.div_euclid(NANOS_PER_CENT)
    }

    /// Parses a decimal number of US dollars, such as `1.25`: no sign, no exponent, at most 9 decimals, less than a
    /// billion dollars.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            !part.is_empty() && part.len() <= most && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 9) || !digits(fraction, 9) {
            return None;
        }
        let dollars: i64 = whole.parse().ok()?;
        let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
        Some(Self(dollars * NANOS_PER_DOLLAR + nanos))
    }

    /// Returns the price of `quantity` units when `self` is the price of `per` units, rounded once, half to even.
    #[must_use]
    pub fn for_quantity(self, quantity: i64, per: i64) -> Self {
        self.for_quantity_times(quantity, per, Factor::ONE)
    }

    /// Returns [`NanoDollars::for_quantity`] times `factor`, still rounded once. Saturates.
    #[must_use]
    pub fn for_quantity_times(self, quantity: i64, per: i64, factor: Factor) -> Self {
        let exact = i128::from(self.0) * i128::from(quantity);
        let Some(exact) = exact.checked_mul(factor.numerator) else {
            return Self(i64::MAX);
        };
        let per = i128::from(per) * factor.denominator;
        let (quotient, rest) = (exact.div_euclid(per), exact.rem_euclid(per));
        let up = rest * 2 > per || (rest * 2 == per && quotient % 2 != 0);
        Self(i64::try_from(quotient + i128::from(up)).unwrap_or(i64::MAX))
    }

    /// Returns true if [`NanoDollars::for_quantity_times`] is exact for every quantity.
    #[must_use]
    pub fn is_whole_for_each(self, per: i64, factor: Factor) -> bool {
        let each = i128::from(self.0).checked_mul(factor.numerator);
        each.is_some_and(|each| each % (i128::from(per) * factor.denominator) == 0)
    }

    /// Formats the exact amount of US dollars for programs: `1.25`, without trailing zeros.
    #[must_use]
    pub fn decimal(self) -> impl fmt::Display {
        Decimal(self)
    }

    /// Converts to the nearest double of US dollars, for JSON.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the wire has a JSON number here; this is the one conversion"
    )]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / NANOS_PER_DOLLAR as f64
    }
}

/// Formats as [`NanoDollars::decimal`] says.
struct Decimal(NanoDollars);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NanoDollars(nanos) = self.0;
        let per_dollar = NANOS_PER_DOLLAR.unsigned_abs();
        let sign = if nanos < 0 { "-" } else { "" };
        let (whole, rest) = (
            nanos.unsigned_abs() / per_dollar,
            nanos.unsigned_abs() % per_dollar,
        );
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{rest:09}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// An exact factor on a price, such as a half for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    numerator: i128,
    denominator: i128,
}

impl Factor {
    /// The factor 1.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// The product of factors that are too large for 128 bits.
    const MAX: Self = Self {
        numerator: i128::MAX,
        denominator: 1,
    };

    /// Parses a decimal number, such as `0.5`: no sign, no exponent, at most 9 decimals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        NanoDollars::parse(text)
            .map(|scaled| Self::reduced(scaled.0.into(), NANOS_PER_DOLLAR.into()))
    }

    /// Returns a factor that is a number of billionths; 0 for a negative number.
    #[must_use]
    pub fn of_billionths(billionths: i64) -> Self {
        Self::reduced(billionths.max(0).into(), NANOS_PER_DOLLAR.into())
    }

    /// Returns the factor in billionths, rounded down; `i64::MAX` if it is larger.
    #[must_use]
    pub fn billionths(self) -> i64 {
        let scaled = self.numerator.saturating_mul(NANOS_PER_DOLLAR.into());
        i64::try_from(scaled / self.denominator).unwrap_or(i64::MAX)
    }

    fn reduced(numerator: i128, denominator: i128) -> Self {
        let (mut divisor, mut rest) = (denominator, numerator);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        Self {
            numerator: numerator / divisor,
            denominator: denominator / divisor,
        }
    }
}

/// Formats the form that [`Factor::parse`] reads, if the factor has at most 9 decimals.
impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = self.numerator.saturating_mul(NANOS_PER_DOLLAR.into()) / self.denominator;
        let per_one = i128::from(NANOS_PER_DOLLAR);
        let decimals = format!("{:09}", scaled % per_one);
        write!(f, "{}", scaled / per_one)?;
        match decimals.trim_end_matches('0') {
            "" => Ok(()),
            decimals => write!(f, ".{decimals}"),
        }
    }
}

impl Mul for Factor {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let numerator = self.numerator.checked_mul(other.numerator);
        let denominator = self.denominator.checked_mul(other.denominator);
        match (numerator, denominator) {
            (Some(numerator), Some(denominator)) => Self::reduced(numerator, denominator),
            _ => Self::MAX,
        }
    }
}

impl PartialOrd for Factor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Factor {
    fn cmp(&self, other: &Self) -> Ordering {
        let mine = self.numerator.checked_mul(other.denominator);
        match (mine, other.numerator.checked_mul(self.denominator)) {
            (Some(mine), Some(others)) => mine.cmp(&others),
            // Too large to be compared exactly.
            _ => (self.numerator / self.denominator).cmp(&(other.numerator / other.denominator)),
        }
    }
}

impl Add for NanoDollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NanoDollars {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Formats the exact amount for people: `$1.25`, with at least two decimals.
impl fmt::Display for NanoDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let per_dollar = NANOS_PER_DOLLAR.unsigned_abs();
        let nanos = self.0.unsigned_abs();
        let decimals = format!("{:09}", nanos % per_dollar);
        let (cents, rest) = decimals.split_at(2);
        let rest = rest.trim_end_matches('0');
        write!(f, "{sign}${}.{cents}{rest}", nanos / per_dollar)
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_survives_its_text() {
        for text in ["1", "0.5", "2", "0.000000001", "1.75", "0"] {
            let factor = Factor::parse(text).expect(text);
            assert_eq!(factor.to_string(), text);
        }
    }

    #[test]
    fn factors_are_ordered_and_counted_in_billionths() {
        let factor = |text| Factor::parse(text).expect("a factor");
        assert!(factor("0.5") < Factor::ONE && factor("2") > factor("1.999999999"));
        assert_eq!(factor("1.1").billionths(), 1_100_000_000);
        assert_eq!(Factor::of_billionths(1_100_000_000), factor("1.1"));
        assert_eq!(Factor::of_billionths(-1), factor("0"));
        let large = factor("999999999.999999999");
        let product = large * large * large;
        assert_eq!(product.billionths(), i64::MAX, "beyond 128 bits");
        assert!(product > large && product * large == product);
    }

    #[test]
    fn decimal_numbers_are_parsed_exactly() {
        assert_eq!(NanoDollars::parse("1.25"), Some(NanoDollars(1_250_000_000)));
        assert_eq!(NanoDollars::parse("0.000000001"), Some(NanoDollars(1)));
        assert_eq!(NanoDollars::parse("10"), Some(NanoDollars(10_000_000_000)));
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000001",
            "1000000000",
            "١",
        ] {
            assert_eq!(NanoDollars::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_quantity_is_rounded_once_half_to_even() {
        let price = NanoDollars::parse("0.0375").expect("a price");
        assert_eq!(price.for_quantity(1_000_000, 1_000_000), price);
        assert_eq!(
            price.for_quantity(1, 1_000_000),
            NanoDollars(38),
            "37.5 rounds to the even 38"
        );
        assert_eq!(
            price.for_quantity(3, 1_000_000),
            NanoDollars(112),
            "112.5 rounds to the even 112"
        );
        assert_eq!(
            NanoDollars::parse("1.25")
                .expect("a price")
                .for_quantity(8, 1_000_000),
            NanoDollars(10_000)
        );
    }

    #[test]
    fn a_price_is_rounded_once_with_its_factor() {
        let (price, half) = (NanoDollars(1), Factor::parse("0.5").expect("a factor"));
        assert_eq!(half * Factor::parse("2.0").expect("a factor"), Factor::ONE);
        assert_eq!(
            price.for_quantity_times(3, 1, half),
            NanoDollars(2),
            "1.5 rounds to the even 2"
        );
        assert_eq!(
            price.for_quantity_times(1, 2, Factor::parse("2").expect("a factor")),
            price,
            "rounded twice it would be 0"
        );
        assert_eq!(
            price.for_quantity_times(5, 1, half * half),
            NanoDollars(1),
            "1.25 rounds to 1"
        );
        assert_eq!(
            NanoDollars(i64::MAX).for_quantity_times(i64::MAX, 1, half),
            NanoDollars(i64::MAX)
        );
        assert_eq!(Factor::parse("0"), Some(Factor::reduced(0, 1)));
    }

    #[test]
    fn display_shows_every_decimal() {
        for (nanos, text) in [
            (0, "$0.00"),
            (1, "$0.000000001"),
            (10_125_000, "$0.010125"),
            (1_250_000_000, "$1.25"),
            (12_300_000_000, "$12.30"),
            (-1_500_000_000, "-$1.50"),
        ] {
            assert_eq!(NanoDollars(nanos).to_string(), text);
        }
    }

    #[test]
    fn decimal_is_exact() {
        for (nanos, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-10_125_000, "-0.010125"),
            (12_300_000_000, "12.3"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(NanoDollars(nanos).decimal().to_string(), text);
        }
    }

    #[test]
    fn dollars_print_without_binary_rounding() {
        assert_eq!(NanoDollars(10_125_000).dollars().to_string(), "0.010125");
    }
}
