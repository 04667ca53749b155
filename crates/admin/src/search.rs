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
    pub(crate) fn within(&self, list: &mut TenantStatement, columns: &[&'static str]) {
        let pattern = pattern(&self.0);
        for (index, column) in columns.iter().enumerate() {
            list.push(if index == 0 { " AND (" } else { " OR " });
            list.push("lower(").push(column).push(") LIKE ");
            list.bind(pattern.as_str()).push(" ESCAPE '!'");
        }
        list.push(")");
    }

    /// True if a name that no database has contains the text.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.0.trim().to_lowercase())
    }
}

/// Returns the pattern of texts in lower case that contain `text`, in which `%` and `_` stand for themselves.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.trim().to_lowercase().chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_of_the_text_stand_for_themselves() {
        for (text, expected) in [
            ("Ada", "%ada%"),
            (" 50%_off! ", "%50!%!_off!!%"),
            ("ÄRZTE", "%ärzte%"),
            ("", "%%"),
        ] {
            assert_eq!(pattern(text), expected);
        }
    }
}
