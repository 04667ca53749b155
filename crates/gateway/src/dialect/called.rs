//! Which hosted tools a model server used for a response: each has a report, and a price, of its own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;
use usage::{Kind, Metric};

/// How often each was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    searches: i64,
    file_searches: i64,
    /// Containers that programs ran in.
    sessions: i64,
}

/// What all types of such items have in them.
static CALL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_call\""));

/// One of the things that a response is made of.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    action: Option<Action<'a>>,
    #[serde(borrow, default)]
    container_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
}

impl Called {
    /// By the `output` of a response. What is not as the contract has it counts as nothing.
    pub(super) fn of(output: Option<&RawValue>) -> Self {
        let output = output.map(RawValue::get);
        let output = output.filter(|output| CALL.find(output.as_bytes()).is_some());
        let items = output.map(serde_json::from_str::<Vec<Item<'_>>>);
        let Some(Ok(items)) = items else {
            return Self::default();
        };
        let (mut called, mut containers) = (Self::default(), HashSet::new());
        for item in &items {
            match item.kind.as_ref() {
                "web_search_call" if item.is_search() => called.searches += 1,
                "file_search_call" => called.file_searches += 1,
                // Several programs of a response can run in one container, which is paid for once.
                "code_interpreter_call" if containers.insert(&item.container_id) => {
                    called.sessions += 1;
                }
                _ => {}
            }
        }
        called
    }

    /// The reports that it goes into, and how much of what.
    pub(crate) fn reports(self) -> impl Iterator<Item = (Kind, Metric, i64)> {
        let all = [
            (Kind::WebSearchCalls, Metric::NumRequests, self.searches),
            (
                Kind::FileSearchCalls,
                Metric::NumRequests,
                self.file_searches,
            ),
            (
                Kind::CodeInterpreterSessions,
                Metric::NumSessions,
                self.sessions,
            ),
        ];
        all.into_iter().filter(|(_, _, count)| *count > 0)
    }
}

impl Item<'_> {
    /// A page that is opened, or searched for words, belongs to the search that found it.
    fn is_search(&self) -> bool {
        let action = self.action.as_ref();
        action.is_none_or(|action| matches!(action.kind.as_ref(), "search" | ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> [i64; 3] {
        let output: Box<RawValue> = serde_json::from_str(output).expect("JSON");
        let called = Called::of(Some(&output));
        [called.searches, called.file_searches, called.sessions]
    }

    #[test]
    fn each_tool_is_counted_as_it_is_sold() {
        for (output, expected) in [
            (
                r#"[{"type":"message","content":[{"text":"a web_search_call"}]}]"#,
                [0, 0, 0],
            ),
            (
                r#"[{"type":"web_search_call","action":{"type":"search","query":"x"}},{"type":"web_search_call"}]"#,
                [2, 0, 0],
            ),
            (
                r#"[{"type":"web_search_call","action":{"type":"open_page"}}]"#,
                [0, 0, 0],
            ),
            (
                r#"[{"type":"file_search_call","queries":[]},{"type":"file_search_call"}]"#,
                [0, 2, 0],
            ),
            (
                r#"[{"type":"code_interpreter_call","container_id":"c1"},{"type":"code_interpreter_call","container_id":"c1"},
                    {"type":"code_interpreter_call","container_id":"c2"}]"#,
                [0, 0, 2],
            ),
            (
                r#"[{"type":"function_call"},{"type":"web_search_call"}]"#,
                [1, 0, 0],
            ),
            (r#"{"type":"web_search_call"}"#, [0, 0, 0]),
            ("null", [0, 0, 0]),
        ] {
            assert_eq!(counts(output), expected, "{output}");
        }
    }
}
