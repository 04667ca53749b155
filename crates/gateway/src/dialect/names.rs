//! Names of members, compared as the laxest reader compares them.

use base::{Error, Result};

/// Finds a name among those that are known.
///
/// # Errors
/// 400: it is one of them for servers that read names without regard to case, but is not spelt like it.
pub(super) fn find(name: &str, known: &[&'static str]) -> Result<Option<usize>> {
    for (index, known) in known.iter().enumerate() {
        if name == *known {
            return Ok(Some(index));
        }
        if folds_to(name, known) {
            return Err(misspelt(name, known));
        }
    }
    Ok(None)
}

/// True if `name` is `known`, which is ASCII in small letters, for a server that folds case: as Go folds, and as Java and .NET
/// do, for which two more letters are an i; or for one in C, for which a name ends with its first NUL.
pub(super) fn folds_to(name: &str, known: &str) -> bool {
    let mut known = known.chars();
    for letter in name.chars() {
        match known.next() {
            Some(expected) if expected == folded(letter) => {}
            Some(_) => return false,
            None => return letter == '\0',
        }
    }
    known.next().is_none()
}

fn folded(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        _ => letter.to_ascii_lowercase(),
    }
}

fn misspelt(name: &str, known: &str) -> Error {
    let message = format!(
        "{name} must be written {known}: some model servers read names without regard to case, and others do not."
    );
    Error::invalid(name, message)
}

/// The refusal of a field that is given twice.
pub(super) fn twice(name: &str) -> Error {
    Error::invalid(name, format!("{name} is given more than once."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_folding_compares_as_the_laxest_reader_does() {
        let known = ["model", "tools", "stream_options", "file_id", "skill_id"];
        for (name, index) in [
            ("model", Some(0)),
            ("file_id", Some(3)),
            ("models", None),
            ("mode", None),
            ("", None),
            ("m\u{f6}del", None),
            ("file-id", None),
        ] {
            assert_eq!(find(name, &known).ok(), Some(index), "{name}");
        }
        for name in [
            "Model",
            "MODEL",
            "tool\u{17f}",
            "\u{17f}tream_optionS",
            "f\u{131}le_id",
            "F\u{130}LE_ID",
            "s\u{212a}ill_id",
            "model\0",
            "Model\0s",
        ] {
            let error = find(name, &known).expect_err(name);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(name))
            );
        }
    }
}
