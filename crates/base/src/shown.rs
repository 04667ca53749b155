//! Texts from outside, as errors show them.

/// The longest beginning of a text that an error shows.
const MAX_SHOWN_CHARACTERS: usize = 80;

/// Returns the beginning of a text from outside, as errors show it: at most 80 characters.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN_CHARACTERS).collect()
}
