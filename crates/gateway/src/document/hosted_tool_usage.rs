//! The hosted tools that a model server used for a response. Each is reported, and priced, by itself.

use std::collections::BTreeSet;

use usage::{Metric, UsageKind};

use super::short_text::ShortText;

/// The number of uses of each hosted tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostedToolUsage {
    web_searches: i64,
    file_searches: i64,
    /// The containers that programs ran in.
    code_interpreter_sessions: i64,
}

/// The hosted tools that the output items of an answer show.
#[derive(Clone, Default)]
pub(crate) struct OutputItems {
    usage: HostedToolUsage,
    /// The ids of the containers that programs ran in, up to [`MAX_CONTAINERS`].
    containers: Vec<ShortText>,
}

/// The most containers that are told apart. Beyond them, each program counts as a container of its own.
const MAX_CONTAINERS: usize = 256;

impl OutputItems {
    /// Adds an item by its type, the type of its action, and the container of its program.
    pub(crate) fn add(&mut self, item_type: &str, action: &str, container: ShortText) {
        match item_type {
            // A page that is opened or searched belongs to the web search that found it.
            "web_search_call" if matches!(action, "search" | "") => self.usage.web_searches += 1,
            "file_search_call" => self.usage.file_searches += 1,
            // Several programs of a response can run in one container, which is charged once.
            "code_interpreter_call" if !self.containers.contains(&container) => {
                self.usage.code_interpreter_sessions += 1;
                if self.containers.len() < MAX_CONTAINERS {
                    self.containers.push(container);
                }
            }
            _ => {}
        }
    }

    /// Adds the items of another list.
    pub(crate) fn add_all(&mut self, others: &Self) {
        self.usage.web_searches += others.usage.web_searches;
        self.usage.file_searches += others.usage.file_searches;
        for container in &others.containers {
            self.add("code_interpreter_call", "", *container);
        }
    }

    /// Returns the number of uses of each tool, without the containers that are `known`.
    pub(crate) fn usage_without(&self, known: &BTreeSet<String>) -> HostedToolUsage {
        let containers = self.containers.iter();
        let known = containers.filter(|container| known.contains(container.as_str()));
        let known = i64::try_from(known.count()).unwrap_or(i64::MAX);
        HostedToolUsage {
            code_interpreter_sessions: self.usage.code_interpreter_sessions - known,
            ..self.usage
        }
    }
}

impl HostedToolUsage {
    /// Returns the usage of an answer that reports its number of web searches.
    pub(crate) fn of_web_searches(web_searches: i64) -> Self {
        Self {
            web_searches,
            ..Self::default()
        }
    }

    /// Returns the reports that have a use to count, with the metric and the number.
    pub(crate) fn reports(self) -> impl Iterator<Item = (UsageKind, Metric, i64)> {
        let all = [
            (
                UsageKind::WebSearchCalls,
                Metric::NumRequests,
                self.web_searches,
            ),
            (
                UsageKind::FileSearchCalls,
                Metric::NumRequests,
                self.file_searches,
            ),
            (
                UsageKind::CodeInterpreterSessions,
                Metric::NumSessions,
                self.code_interpreter_sessions,
            ),
        ];
        all.into_iter().filter(|(_, _, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::document::{Document, GeneratedText};

    fn counts(output: &str) -> [i64; 3] {
        counts_without(&[], output)
    }

    fn counts_without(known: &[&str], output: &str) -> [i64; 3] {
        let known: BTreeSet<String> = known.iter().map(|id| (*id).to_owned()).collect();
        let json = format!(r#"{{"output":{output}}}"#);
        let document = Document::of(json.as_bytes(), &mut GeneratedText::default());
        let usage = document.items.usage_without(&known);
        [
            usage.web_searches,
            usage.file_searches,
            usage.code_interpreter_sessions,
        ]
    }

    #[test]
    fn each_tool_is_counted_in_the_unit_of_its_price() {
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

    #[test]
    fn a_known_container_is_no_new_session() {
        let output = r#"[{"type":"code_interpreter_call","container_id":"c1"},{"type":"code_interpreter_call","container_id":"c1"},
                        {"type":"code_interpreter_call","container_id":"c2"},{"type":"code_interpreter_call"}]"#;
        assert_eq!(counts(output), [0, 0, 3]);
        assert_eq!(counts_without(&["c1", "c3"], output), [0, 0, 2]);
    }
}
