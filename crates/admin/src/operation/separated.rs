//! Lists in query strings whose items may come in one value, separated by commas.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};

/// A list of ids or words: each value of the parameter may hold several, separated by commas. An empty item counts as
/// absent. Not for names that can have a comma themselves, such as those of models and line items.
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
        let read = |(place, item)| {
            T::deserialize(StrDeserializer::<D::Error>::new(item))
                .map_err(|error| D::Error::custom(format_args!("[{place}]: {error}")))
        };
        items.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// Splits the error of a [`Separated`] into the place of its item, `[1]`, and what is wrong with it.
pub(super) fn place_in(error: &str) -> Option<(&str, &str)> {
    let (place, error) = error.split_once(": ")?;
    let digits = place.strip_prefix('[')?.strip_suffix(']')?;
    let is_place = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_place.then_some((place, error))
}

impl<T: JsonSchema> JsonSchema for Separated<T> {
    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

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
    struct Query {
        #[serde(default)]
        ids: Separated<String>,
        #[serde(default)]
        words: Separated<Word>,
    }

    #[test]
    fn strangers_1_items_come_one_by_one_or_separated_by_commas() {
        for text in [
            "ids=a&ids=b",
            "ids=a,b",
            "ids[]=a,b",
            "ids%5B%5D=a%2Cb",
            "ids[0]=a&ids[1]=b",
            "ids=,a,,b,",
            "ids=a&ids=,&ids=b",
        ] {
            let query: Query = query(Some(text)).expect(text);
            assert_eq!(*query.ids, ["a", "b"], "{text}");
        }
        let both: Query = query(Some("words=project_id,model")).expect("words");
        assert_eq!(*both.words, [Word::ProjectId, Word::Model]);
        for none in ["", "ids=", "ids=,"] {
            assert!(query::<Query>(Some(none)).expect(none).ids.is_empty());
        }
    }

    #[test]
    fn strangers_1_the_item_that_is_wrong_is_named() {
        for (text, param) in [
            ("words=model,colour", "words[1]"),
            ("words=model&words=project_id,colour", "words[2]"),
            ("words=colour", "words[0]"),
        ] {
            let error = query::<Query>(Some(text)).expect_err(text);
            assert_eq!(error.param.as_deref(), Some(param), "{text}");
            assert!(error.message.contains("`colour`"), "{}", error.message);
        }
    }
}
