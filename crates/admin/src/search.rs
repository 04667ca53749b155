//! Search for a text in the names of a list.

use base::inline_schema;
use schemars::json_schema;
use serde::{Deserialize, Deserializer};

use crate::operation::TenantStatement;

/// Maximum length of a searched text, in characters.
const MAX_SEARCH_LENGTH: usize = 100;

/// A searched text: a part of a name, in any case.
#[derive(Clone, Debug)]
pub struct Search(String);

impl<'de> Deserialize<'de> for Search {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().count() > MAX_SEARCH_LENGTH {
            return Err(serde::de::Error::custom(format_args!(
                "must have at most {MAX_SEARCH_LENGTH} characters"
            )));
        }
        Ok(Self(text))
    }
}

inline_schema!(Search, "Search", |_| json_schema!({
    "type": "string", "maxLength": MAX_SEARCH_LENGTH, "x-orgplane": true,
}));

impl Search {
    /// Restricts a list to the rows in which one of the columns contains the text.
    ///
    /// Letters are compared by their small form, and only those of the text, so that the result does not depend on the
    /// letters that the locale of a database knows.
    pub(crate) fn within(&self, list: &mut TenantStatement, columns: &[&'static str]) {
        let text = self.0.trim();
        let pattern = pattern(text);
        let (capital, small) = capitals(text);
        for (index, column) in columns.iter().enumerate() {
            list.push(if index == 0 { " AND (" } else { " OR " });
            list.push("translate(").push(column).push(", ");
            list.bind(capital.as_str()).push(", ");
            list.bind(small.as_str()).push(") LIKE ");
            list.bind(pattern.as_str()).push(" ESCAPE '!'");
        }
        list.push(")");
    }

    /// True if a name that no database has contains the text.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.0.trim().to_lowercase())
    }
}

/// Returns the pattern of texts with small letters that contain `text`, in which `%` and `_` stand for themselves.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars().map(small_form) {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// Returns the capital forms of the letters of `text`, and the small forms in the same order.
fn capitals(text: &str) -> (String, String) {
    text.chars()
        .map(small_form)
        .filter_map(|small| Some((only(small.to_uppercase())?, small)))
        .filter(|(capital, small)| capital != small && small_form(*capital) == *small)
        .unzip()
}

/// Returns the small form of a letter, or the character itself where there is none of one character.
fn small_form(character: char) -> char {
    only(character.to_lowercase()).unwrap_or(character)
}

/// Returns the only item.
fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_the_text_stand_for_themselves() {
        for (text, expected) in [
            ("Ada", "%ada%"),
            ("50%_off!", "%50!%!_off!!%"),
            ("ÄRZTE", "%ärzte%"),
            ("", "%%"),
        ] {
            assert_eq!(pattern(text), expected);
        }
    }

    #[test]
    fn letters_with_two_forms_of_one_character_are_translated() {
        for (text, expected) in [
            ("Ab1", ("AB", "ab")),
            ("äÄ", ("ÄÄ", "ää")),
            ("ß%", ("", "")),
            ("И", ("И", "и")),
        ] {
            let (capital, small) = capitals(text);
            assert_eq!((capital.as_str(), small.as_str()), expected);
        }
    }
}
