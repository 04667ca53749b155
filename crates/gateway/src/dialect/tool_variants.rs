//! The variants of hosted tools on which prices depend: the size of the context of web searches, and the memory of containers.

use serde::{Deserialize, Serialize};
use usage::{DEFAULT_CONTAINER_MEMORY, DEFAULT_CONTEXT_LEVEL};

/// The sizes of a search context, the smallest first.
const CONTEXT_LEVELS: [&str; 3] = ["low", "medium", "high"];
/// The memories of a container, the smallest first.
const CONTAINER_MEMORIES: [&str; 4] = ["1g", "4g", "16g", "64g"];

/// The variants of the hosted tools of a request. An answer does not tell which of several tools was used, so the largest
/// variant counts. An unknown one is the largest of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ToolVariants {
    context_level: Option<Box<str>>,
    container_memory: Option<Box<str>>,
    /// True if the request may bring tools of any variant.
    pub(super) is_unknown: bool,
}

impl ToolVariants {
    /// Adds a web search with this size of its context, the default one if it names none.
    pub(super) fn add_search(&mut self, level: Option<&str>) {
        let level = level.unwrap_or(DEFAULT_CONTEXT_LEVEL);
        raise(&mut self.context_level, level, &CONTEXT_LEVELS);
    }

    /// Adds a container with this memory.
    pub(super) fn add_container(&mut self, memory: &str) {
        raise(&mut self.container_memory, memory, &CONTAINER_MEMORIES);
    }

    /// Returns the size of the search context; `None` if that is unknown.
    pub(super) fn context_level(&self) -> Option<&str> {
        let level = self.context_level.as_deref();
        let level = level.unwrap_or(DEFAULT_CONTEXT_LEVEL);
        (!self.is_unknown).then_some(level)
    }

    /// Returns the memory of new containers, which is the smallest if the request names none; `None` if it is unknown.
    pub(super) fn container_memory(&self) -> Option<&str> {
        let memory = self.named_memory().unwrap_or(DEFAULT_CONTAINER_MEMORY);
        (!self.is_unknown).then_some(memory)
    }

    /// Returns the memory of new containers that the request names.
    pub(crate) fn named_memory(&self) -> Option<&str> {
        self.container_memory.as_deref()
    }
}

/// Sets a variant to a larger one.
fn raise(largest: &mut Option<Box<str>>, variant: &str, known: &[&str]) {
    let rank = |variant: &str| {
        let place = known.iter().position(|known| *known == variant);
        place.unwrap_or(known.len())
    };
    let is_larger = |largest: &str| rank(variant) > rank(largest);
    if largest.as_deref().is_none_or(is_larger) {
        *largest = Some(variant.into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fields, messages::MESSAGES};

    /// Returns the size of the search context and the memory of the container of a request.
    fn variants(body: &str) -> [Option<String>; 2] {
        let fields = Fields::of_json(body.as_bytes(), &["tools", "web_search_options"]);
        let variants = fields.expect(body).view.tools.variants();
        [variants.context_level(), variants.container_memory()].map(|it| it.map(str::to_owned))
    }

    /// Requests, the size of their search context and the memory of their containers.
    const CASES: &[(&str, &str, &str)] = &[
        ("{}", "medium", "1g"),
        (r#"{"tools":[{"type":"web_search"}]}"#, "medium", "1g"),
        (
            r#"{"tools":[{"type":"web_search","search_context_size":null}]}"#,
            "medium",
            "1g",
        ),
        (
            r#"{"tools":[{"type":"web_search_preview","search_context_size":"low"}]}"#,
            "low",
            "1g",
        ),
        (
            r#"{"tools":[{"type":"web_search","search_context_size":"high"},{"search_context_size":"low","type":"web_search"}]}"#,
            "high",
            "1g",
        ),
        (
            r#"{"tools":[{"type":"web_search","search_context_size":"low"},{"type":"web_search"}]}"#,
            "medium",
            "1g",
        ),
        // A choice of a tool is no tool of its own.
        (
            r#"{"tools":[{"type":"web_search","search_context_size":"low"}],"tool_choice":{"type":"web_search"}}"#,
            "low",
            "1g",
        ),
        (
            r#"{"web_search_options":{"search_context_size":"high"}}"#,
            "high",
            "1g",
        ),
        (r#"{"web_search_options":{}}"#, "medium", "1g"),
        (
            r#"{"tools":[{"type":"function","search_context_size":"high"}]}"#,
            "medium",
            "1g",
        ),
        (
            r#"{"tools":[{"type":"web_search","search_context_size":"huge"},{"type":"web_search","search_context_size":"high"}]}"#,
            "huge",
            "1g",
        ),
        (
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","memory_limit":"4g"}}]}"#,
            "medium",
            "4g",
        ),
        (
            r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto","memory_limit":"16g"}},
                    {"type":"shell","environment":{"type":"container_auto","memory_limit":"64g"}},
                    {"type":"code_interpreter","container":{"type":"auto"}}]}"#,
            "medium",
            "64g",
        ),
        (
            r#"{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}"#,
            "medium",
            "1g",
        ),
        (
            r#"{"input":[{"type":"additional_tools","tools":[{"type":"web_search","search_context_size":"high"}]}]}"#,
            "high",
            "1g",
        ),
    ];

    #[test]
    fn largest_variant_of_several_tools_counts() {
        for (body, level, memory) in CASES.iter().copied() {
            let expected = [level, memory].map(|variant| Some(variant.to_owned()));
            assert_eq!(variants(body), expected, "{body}");
        }
    }

    #[test]
    fn stored_prompt_and_messages_have_tools_of_unknown_variants() {
        let prompt = r#"{"prompt":{"id":"pmpt_1"},"tools":[{"type":"web_search"}]}"#;
        assert_eq!(variants(prompt), [None, None]);
        let message =
            br#"{"model":"m","tools":[{"type":"web_search_20250305","name":"web_search"}]}"#;
        let fields = Fields::of_call(&http::HeaderMap::new(), message, &MESSAGES);
        let variants = fields.expect("a request").view.tools.variants();
        assert_eq!(variants.context_level(), None);
    }

    #[test]
    fn variant_that_servers_could_read_differently_is_refused() {
        for tool in [
            r#"{"type":"web_search","search_context_size":"low","search_context_size":"high"}"#,
            r#"{"type":"web_search","Search_Context_Size":"high"}"#,
            r#"{"type":"code_interpreter","container":{"type":"auto","memory_limit":"1g","memory_limit":"64g"}}"#,
        ] {
            let body = format!(r#"{{"tools":[{tool}]}}"#);
            let fields = Fields::of_json(body.as_bytes(), &["tools"]);
            assert!(fields.is_err(), "{tool}");
        }
    }
}
