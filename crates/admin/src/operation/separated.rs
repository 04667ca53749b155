//! List parameters of query strings whose values may be comma-separated.

use std::ops::Deref;

use base::inline_schema;
use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};

/// A list of ids or words: each value of the parameter may hold several, separated by commas. Empty items are ignored. Not
/// for names that may contain a comma, such as those of models and line items.
#[derive(Clone, Debug)]
pub struct Separated<T>(Vec<T>);

impl<T> Default for Separated<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Separated<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for Separated<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Separated<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::<String>::deserialize(deserializer)?;
        let items = values.iter().flat_map(|value| value.split(','));
        let items = items.filter(|item| !item.is_empty()).enumerate();
        let read = |(index, item)| {
            T::deserialize(StrDeserializer::<D::Error>::new(item))
                .map_err(|error| D::Error::custom(format_args!("[{index}]: {error}")))
        };
        items.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// Splits the error of a [`Separated`] into the index of its item, as `[1]`, and the message.
pub(super) fn split_index(error: &str) -> Option<(&str, &str)> {
    let (index, error) = error.split_once(": ")?;
    let digits = index.strip_prefix('[')?.strip_suffix(']')?;
    let is_index = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_index.then_some((index, error))
}

inline_schema!(
    Separated<T>, Vec::<T>::schema_name(), |generator| Vec::<T>::json_schema(generator); for T: JsonSchema
);

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::operation::parse::query;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        ProjectId,
        Model,
    }

    #[derive(Debug, Deserialize)]
    struct SeparatedQuery {
        #[serde(default)]
        ids: Separated<String>,
        #[serde(default)]
        words: Separated<Word>,
    }

    #[test]
    fn strangers_1_items_may_be_separate_values_or_comma_separated() {
        for text in [
            "ids=a&ids=b",
            "ids=a,b",
            "ids[]=a,b",
            "ids%5B%5D=a%2Cb",
            "ids[0]=a&ids[1]=b",
            "ids=,a,,b,",
            "ids=a&ids=,&ids=b",
        ] {
            let query: SeparatedQuery = query(Some(text)).expect(text);
            assert_eq!(*query.ids, ["a", "b"], "{text}");
        }
        let both: SeparatedQuery = query(Some("words=project_id,model")).expect("words");
        assert_eq!(*both.words, [Word::ProjectId, Word::Model]);
        for none in ["", "ids=", "ids=,"] {
            assert!(
                query::<SeparatedQuery>(Some(none))
                    .expect(none)
                    .ids
                    .is_empty()
            );
        }
    }

    #[test]
    fn strangers_1_error_names_the_item() {
        for (text, param) in [
            ("words=model,colour", "words[1]"),
            ("words=model&words=project_id,colour", "words[2]"),
            ("words=colour", "words[0]"),
        ] {
            let error = query::<SeparatedQuery>(Some(text)).expect_err(text);
            assert_eq!(error.param.as_deref(), Some(param), "{text}");
            assert!(error.message.contains("`colour`"), "{}", error.message);
        }
    }
}
