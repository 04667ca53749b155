//! Numbers for people: with separators between thousands, amounts of money, shares.

use base::NanoDollars;

/// Formats a whole number with commas between thousands: `1,234,567`.
#[must_use]
pub fn whole(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        // A minus sign, as wide as a digit.
        text.push('\u{2212}');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats an amount of US dollars: cents, or as many decimals as an amount below ten cents needs for two digits:
/// `$1,234.50`, `$0.0012`. An amount above 0 is never shown as 0.
#[must_use]
pub fn money(amount: NanoDollars) -> String {
    let sign = if amount.0 < 0 { "\u{2212}" } else { "" };
    let nanos = amount.0.unsigned_abs();
    let decimals = decimals_for(nanos);
    let scale = 10_u64.pow(9 - decimals);
    let rounded = (u128::from(nanos) + u128::from(scale / 2)) / u128::from(scale);
    let unit = 10_u128.pow(decimals);
    let dollars = i64::try_from(rounded / unit).unwrap_or(i64::MAX);
    let width = decimals as usize;
    format!("{sign}${}.{:0width$}", whole(dollars), rounded % unit)
}

/// Returns the number of decimals that show two digits of an amount: 2 to 9.
fn decimals_for(nanos: u64) -> u32 {
    if nanos == 0 {
        return 2;
    }
    // A dollar has 10 digits.
    let digits = nanos.ilog10() + 1;
    11_u32.saturating_sub(digits).clamp(2, 9)
}

/// Formats `part` of `total` as a percentage: `12 %`, `0.3 %`; an em dash if `total` is 0.
#[must_use]
pub fn share(part: f64, total: f64) -> String {
    if total <= 0.0 {
        return "\u{2014}".to_owned();
    }
    let percent = part / total * 100.0;
    if percent == 0.0 || percent >= 10.0 {
        format!("{percent:.0}\u{a0}%")
    } else {
        format!("{percent:.1}\u{a0}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (-1_234_567, "\u{2212}1,234,567"),
            (i64::MIN, "\u{2212}9,223,372,036,854,775,808"),
        ] {
            assert_eq!(whole(number), expected);
        }
    }

    #[test]
    fn money_shows_cents_and_never_hides_a_small_amount() {
        for (nanos, expected) in [
            (0, "$0.00"),
            (1_234_500_000_000, "$1,234.50"),
            (999_999_999_999, "$1,000.00"),
            (60_000_000, "$0.060"),
            (1_200_000, "$0.0012"),
            (1, "$0.000000001"),
            (99, "$0.000000099"),
            (-2_500_000_000, "\u{2212}$2.50"),
            (i64::MAX, "$9,223,372,036.85"),
        ] {
            assert_eq!(money(NanoDollars(nanos)), expected, "{nanos}");
        }
    }

    #[test]
    fn shares_have_two_digits_at_most() {
        for (part, total, expected) in [
            (0.0, 10.0, "0\u{a0}%"),
            (0.03, 10.0, "0.3\u{a0}%"),
            (1.234, 10.0, "12\u{a0}%"),
            (1.0, 0.0, "\u{2014}"),
        ] {
            assert_eq!(share(part, total), expected);
        }
    }
}
