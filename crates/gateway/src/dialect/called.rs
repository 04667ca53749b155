//! Which hosted tools a model server used for a response: each has a report, and a price, of its own.

use usage::{Kind, Metric};

use crate::answer::Word;

/// How often each was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    searches: i64,
    file_searches: i64,
    /// Containers that programs ran in.
    sessions: i64,
}

/// The hosted tools that items of an answer tell of.
#[derive(Default)]
pub(crate) struct Items {
    called: Called,
    /// The containers that programs ran in, as far as they are kept.
    containers: Vec<Word>,
}

/// The most containers that are told apart; programs in others have one each.
const MAX_CONTAINERS: usize = 256;

impl Items {
    /// Adds an item of this type, whose action has that type, and whose program ran in that container.
    pub(crate) fn add(&mut self, kind: &str, action: &str, container: Word) {
        match kind {
            // A page that is opened, or searched for words, belongs to the search that found it.
            "web_search_call" if matches!(action, "search" | "") => self.called.searches += 1,
            "file_search_call" => self.called.file_searches += 1,
            // Several programs of a response can run in one container, which is paid for once.
            "code_interpreter_call" if !self.containers.contains(&container) => {
                self.called.sessions += 1;
                if self.containers.len() < MAX_CONTAINERS {
                    self.containers.push(container);
                }
            }
            _ => {}
        }
    }

    /// Adds the items of another list.
    pub(super) fn add_all(&mut self, others: &Self) {
        self.called.searches += others.called.searches;
        self.called.file_searches += others.called.file_searches;
        for container in &others.containers {
            self.add("code_interpreter_call", "", *container);
        }
    }

    /// Returns how often each tool was used.
    pub(crate) fn called(&self) -> Called {
        self.called
    }
}

impl Called {
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

#[cfg(test)]
mod tests {
    use super::super::Text;
    use crate::answer::Document;

    fn counts(output: &str) -> [i64; 3] {
        let json = format!(r#"{{"output":{output}}}"#);
        let document = Document::of(json.as_bytes(), &mut Text::default());
        let called = document.items.called();
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
