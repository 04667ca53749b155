//! Passwords that attackers try first: 20,000 of them, by Royce Williams from leaked ones, as Django 5.2 ships them
//! (`django/contrib/auth/common-passwords.txt.gz`, licence in `assets/common-passwords.LICENSE`).

use std::collections::HashSet;
use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;

const COMPRESSED: &[u8] = include_bytes!("../assets/common-passwords.txt.gz");
/// The most characters around a common password that do not make it a good one.
const MAX_DECORATION: usize = 8;

/// The passwords in lower case.
fn list() -> &'static HashSet<String> {
    static LIST: OnceLock<HashSet<String>> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut text = String::new();
        if let Err(error) = GzDecoder::new(COMPRESSED).read_to_string(&mut text) {
            tracing::error!(%error, "list of common passwords unreadable");
        }
        text.lines().map(str::to_owned).collect()
    })
}

/// Returns true if a password is common: in the list, a repetition of one that is, or one that is with a few digits and
/// signs around it.
pub(crate) fn contains(password: &str) -> bool {
    let password = password.to_lowercase();
    let list = list();
    if list.contains(password.as_str()) || is_repetition(&password, list) {
        return true;
    }
    let word = password.trim_matches(|c: char| !c.is_alphabetic());
    let decoration = password.chars().count() - word.chars().count();
    !word.is_empty() && decoration <= MAX_DECORATION && list.contains(word)
}

/// True if a password is one character, or one common password, again and again.
fn is_repetition(password: &str, list: &HashSet<String>) -> bool {
    let characters: Vec<char> = password.chars().collect();
    (1..=characters.len() / 2).any(|length| {
        let (unit, rest) = characters.split_at(length);
        let is_repeated =
            characters.len().is_multiple_of(length) && rest.chunks(length).all(|part| part == unit);
        is_repeated && (length == 1 || list.contains(&unit.iter().collect::<String>()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_read_whole() {
        assert_eq!(list().len(), 19_640);
        assert!(
            list()
                .iter()
                .all(|password| *password == password.to_lowercase())
        );
    }

    #[test]
    fn common_passwords_are_found_in_any_case_repeated_and_decorated() {
        for common in [
            "Password",
            "passwordpassword",
            "aaaaaaaaaaaa",
            "!!dragon2026!!",
            "monkeymonkeymonkey",
        ] {
            assert!(contains(common), "{common}");
        }
        for other in [
            "",
            "correct horse battery",
            "dragon 1234567890",
            "vqkzjwvqkzjw",
        ] {
            assert!(!contains(other), "{other}");
        }
    }
}
