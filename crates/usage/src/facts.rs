//! Facts about models beside their prices: limits of tokens, kind, modalities and efforts of reasoning.

use std::collections::{HashMap, HashSet};

use base::ModelKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model_name::lookup_names;

/// The form of content that a model reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
}

/// The time for which a model server keeps the prompt cache of a request: a value of `prompt_cache_retention`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum PromptCacheRetention {
    /// In memory, for minutes.
    #[serde(rename = "in_memory")]
    InMemory,
    /// For up to a day.
    #[serde(rename = "24h")]
    Day,
}

/// The facts about a model: a `[[model]]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
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
    /// The forms of content that the model reads; empty if that is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_modalities: Vec<Modality>,
    /// The forms of content that the model writes; empty if that is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modalities: Vec<Modality>,
    /// The efforts of reasoning that requests may ask for, the lowest first; empty if that is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning_efforts: Vec<String>,
    /// The values of `prompt_cache_retention` that requests may have; empty if that is unknown. Decides what zero data retention
    /// adds to requests or refuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_cache_retention: Vec<PromptCacheRetention>,
}

/// The facts about models.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    all: HashMap<String, ModelFact>,
    /// The names of models whose facts do not ship with the program.
    configured: HashSet<String>,
}

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
        let configured = facts.iter().map(|fact| fact.name.clone()).collect();
        let all = built_in.model.into_iter().chain(facts);
        Self {
            all: all.map(|fact| (fact.name.clone(), fact)).collect(),
            configured,
        }
    }

    /// Returns the facts about a model. A name that ends in a date falls back to the name without the date, and a
    /// fine-tuned model `ft:BASE:…` to `ft:BASE`.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<&ModelFact> {
        lookup_names(model).find_map(|name| self.all.get(name))
    }

    /// Returns the values of `prompt_cache_retention` that requests for a model may have; empty if that is unknown.
    #[must_use]
    pub fn prompt_cache_retention(&self, model: &str) -> &[PromptCacheRetention] {
        self.of(model)
            .map_or(&[], |fact| &fact.prompt_cache_retention)
    }

    /// Returns the kind of a model that the operator has configured; `None` if the kind is unknown, or ships with the
    /// program. A rate limit that does not fit a configured kind is refused, which must not happen after an update.
    #[must_use]
    pub fn configured_kind_of(&self, model: &str) -> Option<ModelKind> {
        let fact = self.of(model)?;
        fact.kind.filter(|_| self.configured.contains(&fact.name))
    }
}

#[cfg(test)]
mod tests {
    use base::UnixTime;

    use super::*;
    use crate::{ItemName, Metric, PriceBook};

    /// Models whose limits of tokens nobody publishes.
    const WITHOUT_LIMITS: [&str; 5] = [
        "gpt-4o-mini-tts",
        "gpt-5.5-cyber",
        "gpt-5.5-cyber-preview",
        "gpt-rosalind-discovery",
        "gpt-rosalind-research",
    ];

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
            let is_known = !makes_images && !WITHOUT_LIMITS.contains(&model);
            if !is_known || !sells(Metric::InputTokens) {
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
        assert!(checked >= 80, "only {checked} models");
    }

    #[test]
    fn a_dated_name_has_the_facts_of_its_model_and_own_facts_win() {
        let own = ModelFact {
            name: "gpt-4".to_owned(),
            context_window: Some(7),
            ..ModelFact::default()
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
            ("gpt-6.3-sol", None),
            ("ft:gpt-4.1-2025-04-14:acme::AbC", Some(32_768)),
            ("ft:gpt-4.1-2025-04-15:acme::AbC", None),
        ] {
            assert_eq!(output(model), expected, "{model}");
        }
        for (model, expected) in [
            ("gpt-5.5", &[PromptCacheRetention::Day][..]),
            ("gpt-6.1-sol", &[PromptCacheRetention::Day]),
            (
                "gpt-5.4-2026-03-05",
                &[PromptCacheRetention::InMemory, PromptCacheRetention::Day],
            ),
            ("gpt-4o", &[]),
            ("unheard of", &[]),
        ] {
            assert_eq!(facts.prompt_cache_retention(model), expected, "{model}");
        }
        let window = facts.of("gpt-4").and_then(|fact| fact.context_window);
        assert_eq!(window, Some(7), "the whole table is replaced");
    }
}
