//! Numbers: what stands for many of them, and how they are shown.

/// Returns the value in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 50.0)
}

/// Returns the smallest value that `percent` of all values do not exceed. The median of an even number of values is the
/// mean of the two in the middle.
pub fn percentile(values: impl IntoIterator<Item = f64>, percent: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let count = values.len();
    if count == 0 {
        return f64::NAN;
    }
    if percent == 50.0 && count.is_multiple_of(2) {
        return f64::midpoint(values[count / 2 - 1], values[count / 2]);
    }
    let rank = (percent / 100.0 * count as f64).ceil() as usize;
    values[rank.clamp(1, count) - 1]
}

/// Formats a whole number: `12,345`.
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let negative = value < 0.0 && digits != "0";
    if negative { format!("-{text}") } else { text }
}

/// Formats microseconds as milliseconds: `0.123`.
pub fn milliseconds(microseconds: f64) -> String {
    format!("{:.3}", microseconds / 1_000.0)
}

/// Formats a number with two decimals: `0.12`.
pub fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

/// Formats a Markdown table; all columns but the first are numbers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<&str> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rules = (0..head.len()).map(|index| if index == 0 { "---" } else { "---:" });
    let mut text = line(&mut head.iter().copied());
    text += &line(&mut rules.into_iter());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred = || (1..=100).map(f64::from);
        assert_eq!(percentile(hundred(), 95.0), 95.0);
        assert_eq!(percentile(hundred(), 100.0), 100.0);
        assert_eq!(percentile([7.0], 99.0), 7.0);
        assert!(median([]).is_nan());
    }

    #[test]
    fn numbers_are_shown_for_readers() {
        assert_eq!(whole(1_234_567.4), "1,234,567");
        assert_eq!(whole(999.0), "999");
        assert_eq!(whole(-1_000.0), "-1,000");
        assert_eq!(whole(-0.2), "0");
        assert_eq!(milliseconds(1_234.0), "1.234");
    }

    #[test]
    fn a_table_is_markdown() {
        let text = table(&["a", "b"], &[vec!["x".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "| a | b |\n| --- | ---: |\n| x | 1 |\n");
    }
}
