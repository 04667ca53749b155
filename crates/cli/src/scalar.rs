//! Numbers and booleans as Go, and so the official command line, reads them.

/// Parses a whole number in any of the usual bases: `42`, `0x2a`, `0b101010`, `0o52`, `052`, `1_000`.
pub fn integer(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, base)| Some((base, lower.strip_prefix(prefix)?)))
        .filter(|(_, digits)| !digits.is_empty())
        .unwrap_or((10, &lower));
    let is_grouped_well = !digits.ends_with('_')
        && !digits.contains("__")
        && lower.starts_with(|first: char| first.is_ascii_digit());
    let number = i64::from_str_radix(&format!("{sign}{}", digits.replace('_', "")), base);
    number
        .ok()
        .filter(|_| is_grouped_well)
        .ok_or_else(|| format!("must be a whole number, not '{text}'"))
}

/// Parses a boolean as Go does.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("must be true or false, not '{text}'")),
    }
}

/// Parses a largest number of items; -1 means all.
pub fn max_items(text: &str) -> Result<i64, String> {
    let wrong = || format!("must be a number of items, or -1 for all, not '{text}'");
    let number = integer(text).map_err(|_| wrong())?;
    if number < -1 {
        Err(wrong())
    } else {
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{boolean, integer};

    #[test]
    fn numbers_have_any_of_the_usual_bases() {
        for (text, number) in [
            ("42", 42),
            ("-1", -1),
            ("+7", 7),
            ("0", 0),
            ("0x2A", 42),
            ("0b101010", 42),
            ("0o52", 42),
            ("052", 42),
            ("1_000", 1000),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in [
            "",
            "-",
            "x",
            "1.5",
            "08",
            "0x",
            "_1",
            "1_",
            "1__0",
            "9223372036854775808",
        ] {
            assert!(integer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!((boolean("T"), boolean("0")), (Ok(true), Ok(false)));
        assert!(boolean("yes").is_err());
    }
}
