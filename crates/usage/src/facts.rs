//! Facts about models beside their prices: context window and maximum output.

use std::collections::HashMap;

use base::ModelKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::price::undated;

/// The facts about a model: a `[[model]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFact {
    /// The name by which upstreams know the model.
    pub name: String,
    /// The kind of the model, which decides what limits make sense for it; `None` if each may be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ModelKind>,
    /// The most tokens of a request and its answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    /// The most tokens of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The most tokens of an input image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_image_tokens: Option<u32>,
}

/// The facts about models.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts(HashMap<String, ModelFact>);

#[derive(Deserialize)]
struct File {
    model: Vec<ModelFact>,
}

impl ModelFacts {
    /// Returns the facts that ship with the program, with `facts` in place of those about the same models.
    ///
    /// # Panics
    /// The facts that ship cannot be parsed, which a test excludes.
    #[must_use]
    pub fn with(facts: Vec<ModelFact>) -> Self {
        let built_in: File =
            toml::from_str(include_str!("facts.toml")).expect("the built-in facts are understood");
        let all = built_in.model.into_iter().chain(facts);
        Self(all.map(|fact| (fact.name.clone(), fact)).collect())
    }

    /// Returns the facts about a model. A name that ends in a date falls back to the name without the date.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&ModelFact> {
        let undated = || self.0.get(undated(model)?);
        self.0.get(model).or_else(undated)
    }

    /// Returns the kind of a model; `None` if it is unknown.
    #[must_use]
    pub fn kind_of(&self, model: &str) -> Option<ModelKind> {
        self.of(model)?.kind
    }
}

#[cfg(test)]
mod tests {
    use base::UnixTime;

    use super::*;
    use crate::{ItemName, Metric, PriceBook};

    #[test]
    fn every_model_that_is_charged_by_tokens_has_facts() {
        let (book, facts) = (PriceBook::built_in(), ModelFacts::with(Vec::new()));
        let mut checked = 0;
        for model in book.models() {
            let sells = |metric| book.sells(model, UnixTime(0), metric);
            let mut entries = book.entries_from(model, UnixTime(0));
            // The tokens of generated images are bounded by the number of images.
            let makes_images =
                entries.any(|entry| entry.dearest(ItemName::OutputImageTokens).is_some());
            if makes_images || !sells(Metric::InputTokens) {
                continue;
            }
            let fact = facts.of(model);
            let fact = fact.unwrap_or_else(|| panic!("{model} has a price and no facts"));
            let window = fact.context_window;
            assert!(window.is_some(), "{model} has no context_window");
            if sells(Metric::OutputTokens) {
                let output = fact.max_output_tokens;
                assert!(output.is_some(), "{model} has no max_output_tokens");
                assert!(output <= window, "{model} writes more than its window");
            }
            checked += 1;
        }
        assert!(checked >= 25, "only {checked} models");
    }

    #[test]
    fn a_dated_name_has_the_facts_of_its_model_and_own_facts_win() {
        let own = ModelFact {
            name: "gpt-4".to_owned(),
            kind: None,
            context_window: Some(7),
            max_output_tokens: None,
            max_image_tokens: None,
        };
        let facts = ModelFacts::with(vec![own]);
        let output = |model| facts.of(model).and_then(|fact| fact.max_output_tokens);
        for (model, expected) in [
            ("gpt-5", Some(128_000)),
            ("gpt-5-2025-08-07", Some(128_000)),
            ("gpt-4o-2024-05-13", Some(4_096)),
            ("gpt-4o-2024-08-06", Some(16_384)),
            ("gpt-5-chat-0123", None),
            ("-2024-08-06", None),
            ("gpt-4", None),
            ("unheard of", None),
        ] {
            assert_eq!(output(model), expected, "{model}");
        }
        let window = facts.of("gpt-4").and_then(|fact| fact.context_window);
        assert_eq!(window, Some(7), "the whole table is replaced");
    }
}
