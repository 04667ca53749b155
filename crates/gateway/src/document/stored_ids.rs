//! The ids of what an answer leaves at its upstream: a response with its items and its conversation, a chat completion, or the
//! items of a list; and the containers that programs ran in, which a model server keeps even if it does not store the response.

use std::collections::HashSet;

use base::ids::MAX_ID_LENGTH;

use super::json_scanner::{JsonScanner, JsonVisitor};
use crate::object_kind::{ObjectKind, is_plausible};

/// The most ids that are kept of one answer.
const MAX_IDS: usize = 2_000;

/// The kind of an answer that has ids of stored objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredAnswer {
    /// A response, whole or as events.
    Response,
    /// A response that is not stored: only its containers are kept.
    UnstoredResponse,
    /// A chat completion, whole or as chunks.
    ChatCompletion,
    /// A list of items.
    ItemList,
}

/// A scanner that finds the ids in the documents of an answer. Text that cannot be an id counts as none.
pub(crate) struct StoredIdScanner {
    scanner: JsonScanner<IdPath>,
    visitor: IdVisitor,
}

/// The path to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdPath {
    /// A line of the output of a batch.
    BatchLine,
    /// The answer on a line.
    BatchAnswer,
    Root,
    Response,
    Items,
    Item,
    Contents,
    Content,
    Annotations,
    Annotation,
    /// A conversation: its id, or an object that has it.
    Conversation,
    Id(ObjectKind),
    Skipped,
}

struct IdVisitor {
    answer: StoredAnswer,
    found: HashSet<(ObjectKind, String)>,
    /// The string that is being read; empty once it cannot be an id.
    open: String,
    is_broken: bool,
}

impl StoredIdScanner {
    /// Returns a scanner of an answer of which nothing has come.
    pub(crate) fn new(answer: StoredAnswer) -> Self {
        Self::at(IdPath::Root, answer)
    }

    /// Returns a scanner of the lines of a batch's output, each of which is a document with an answer.
    pub(crate) fn of_batch_lines(answer: StoredAnswer) -> Self {
        Self::at(IdPath::BatchLine, answer)
    }

    fn at(root: IdPath, answer: StoredAnswer) -> Self {
        Self {
            scanner: JsonScanner::new(root),
            visitor: IdVisitor {
                answer,
                found: HashSet::new(),
                open: String::new(),
                is_broken: false,
            },
        }
    }

    /// Reads the next bytes of a document.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.scanner.feed(&mut self.visitor, bytes);
    }

    /// Ends a document.
    pub(crate) fn end_document(&mut self) {
        self.scanner.reset();
        self.visitor.clear();
    }

    /// Forgets the ids that have been found.
    pub(crate) fn clear(&mut self) {
        self.visitor.found.clear();
    }

    /// True if no id has been found.
    pub(crate) fn is_empty(&self) -> bool {
        self.visitor.found.is_empty()
    }

    /// True if the id of a response has been found.
    pub(crate) fn has_response(&self) -> bool {
        self.found().any(|(kind, _)| kind == ObjectKind::Response)
    }

    /// True if this id has been found.
    pub(crate) fn contains(&self, kind: ObjectKind, id: &str) -> bool {
        self.found().any(|found| found == (kind, id))
    }

    /// Returns the ids that have been found so far.
    pub(crate) fn found(&self) -> impl Iterator<Item = (ObjectKind, &str)> {
        let found = self.visitor.found.iter();
        found.map(|(kind, id)| (*kind, id.as_str()))
    }
}

impl IdVisitor {
    fn clear(&mut self) {
        self.open.clear();
        self.is_broken = false;
    }
}

impl JsonVisitor for IdVisitor {
    type Path = IdPath;
    const SKIPPED: IdPath = IdPath::Skipped;

    fn is_skipped(path: IdPath) -> bool {
        path == IdPath::Skipped
    }

    fn member(&mut self, of: IdPath, key: &[u8]) -> IdPath {
        use StoredAnswer::{Response, UnstoredResponse};
        match (of, self.answer) {
            (IdPath::BatchLine, _) if key == b"response" => IdPath::BatchAnswer,
            (IdPath::BatchAnswer, _) if key == b"body" => IdPath::Root,
            (IdPath::Root, Response | UnstoredResponse) if key == b"response" => IdPath::Response,
            (IdPath::Root, Response | UnstoredResponse) if key == b"item" => IdPath::Item,
            (IdPath::Root, Response | UnstoredResponse) if key == b"annotation" => {
                IdPath::Annotation
            }
            (IdPath::Root, Response | UnstoredResponse) | (IdPath::Response, _) => match key {
                b"id" => IdPath::Id(ObjectKind::Response),
                b"output" => IdPath::Items,
                b"conversation" => IdPath::Conversation,
                _ => IdPath::Skipped,
            },
            (IdPath::Root, StoredAnswer::ChatCompletion) if key == b"id" => {
                IdPath::Id(ObjectKind::ChatCompletion)
            }
            (IdPath::Root, StoredAnswer::ItemList) if key == b"data" => IdPath::Items,
            (IdPath::Item, _) if key == b"id" => IdPath::Id(ObjectKind::ResponseItem),
            (IdPath::Item, Response | UnstoredResponse) if key == b"content" => IdPath::Contents,
            (IdPath::Content, _) if key == b"annotations" => IdPath::Annotations,
            (IdPath::Item | IdPath::Annotation, Response | UnstoredResponse)
                if key == b"container_id" =>
            {
                IdPath::Id(ObjectKind::Container)
            }
            (IdPath::Conversation, _) if key == b"id" => IdPath::Id(ObjectKind::Conversation),
            _ => IdPath::Skipped,
        }
    }

    fn element(&mut self, of: IdPath) -> IdPath {
        match of {
            IdPath::Items => IdPath::Item,
            IdPath::Contents => IdPath::Content,
            IdPath::Annotations => IdPath::Annotation,
            _ => IdPath::Skipped,
        }
    }

    fn begin(&mut self, _: IdPath, _: bool) {}

    fn end(&mut self, _: IdPath) {}

    fn text(&mut self, _: IdPath, part: &[u8]) {
        match std::str::from_utf8(part) {
            Ok(part) if self.open.len() + part.len() <= MAX_ID_LENGTH => self.open.push_str(part),
            _ => self.is_broken = true,
        }
    }

    fn end_text(&mut self, path: IdPath) {
        let kind = match path {
            IdPath::Id(kind) => Some(kind),
            IdPath::Conversation => Some(ObjectKind::Conversation),
            _ => None,
        };
        let is_kept = |kind: &ObjectKind| {
            self.answer != StoredAnswer::UnstoredResponse || *kind == ObjectKind::Container
        };
        if let Some(kind) = kind.filter(is_kept)
            && !self.is_broken
            && self.found.len() < MAX_IDS
            && is_plausible(&self.open)
        {
            self.found.insert((kind, std::mem::take(&mut self.open)));
        }
        self.clear();
    }

    fn scalar(&mut self, _: IdPath, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answer: StoredAnswer, documents: &[&str], chunk: usize) -> Vec<String> {
        let mut scanner = StoredIdScanner::new(answer);
        for document in documents {
            for part in document.as_bytes().chunks(chunk) {
                scanner.feed(part);
            }
            scanner.end_document();
        }
        let found = scanner.found();
        let mut found: Vec<String> = found
            .map(|(kind, id)| format!("{}={id}", kind.as_str()))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn the_ids_of_a_response_are_found_in_one_document_and_in_events() {
        let response = r#"{"id":"resp_1","output":[{"id":"msg_1","content":[{"id":"x"}]},{"id":null}],
            "conversation":{"id":"conv_1"},"metadata":{"id":"y"},"usage":{"id":"z"}}"#;
        let all = [
            "conversation=conv_1",
            "response=resp_1",
            "response_item=msg_1",
        ];
        for chunk in [1, 7, 1_000] {
            assert_eq!(found(StoredAnswer::Response, &[response], chunk), all);
            let created = format!(r#"{{"type":"response.created","response":{response}}}"#);
            let item =
                r#"{"type":"response.output_item.added","item":{"id":"fc_1"},"item_id":"q"}"#;
            let events = [&*created, item, "[DONE]", r#"{"response":{"id":"resp_1""#];
            let events = found(StoredAnswer::Response, &events, chunk);
            let mut all = all.to_vec();
            all.insert(2, "response_item=fc_1");
            assert_eq!(events, all);
        }
        let named = r#"{"conversation":"conv_1"}"#;
        let named = found(StoredAnswer::Response, &[named], 1);
        assert_eq!(named, ["conversation=conv_1"]);
    }

    #[test]
    fn the_answers_of_a_batch_are_found_line_by_line() {
        let mut scanner = StoredIdScanner::of_batch_lines(StoredAnswer::Response);
        for (line, expected) in [
            (
                r#"{"id":"batch_req_1","custom_id":"a","response":{"request_id":"req_1","body":{"id":"resp_1","output":[{"id":"msg_1"}]}}}"#,
                &["msg_1", "resp_1"][..],
            ),
            (
                r#"{"id":"batch_req_2","response":null,"error":{"id":"x"}}"#,
                &[],
            ),
            (r#"{"response":{"body":{"id":"resp_2"}}}"#, &["resp_2"]),
        ] {
            scanner.feed(line.as_bytes());
            scanner.end_document();
            let mut found: Vec<&str> = scanner.found().map(|(_, id)| id).collect();
            found.sort_unstable();
            assert_eq!(found, expected);
            scanner.clear();
        }
    }

    #[test]
    fn containers_are_found_where_programs_ran_and_where_their_files_are_cited() {
        let response = r#"{"id":"resp_1","tools":[{"container_id":"x"}],"output":[
            {"id":"ci_1","type":"code_interpreter_call","container_id":"cntr_1","outputs":[{"container_id":"y"}]},
            {"id":"msg_1","content":[{"container_id":"z","text":"","annotations":[{"container_id":"cntr_2","file_id":"cfile_1"}]}]}]}"#;
        let event = r#"{"type":"response.output_text.annotation.added","annotation":{"container_id":"cntr_3"}}"#;
        for chunk in [1, 9, 2_000] {
            let unstored = found(StoredAnswer::UnstoredResponse, &[response, event], chunk);
            let containers = ["cntr_1", "cntr_2", "cntr_3"].map(|id| format!("container={id}"));
            assert_eq!(unstored, containers);
            let stored = found(StoredAnswer::Response, &[response, event], chunk);
            assert_eq!(stored[..3], containers);
            assert_eq!(stored.len(), 6, "{stored:?}");
        }
        let list = format!(
            r#"{{"data":[{}]}}"#,
            r#"{"id":"ci_1","container_id":"cntr_1"}"#
        );
        let list = found(StoredAnswer::ItemList, &[&list], 1);
        assert_eq!(
            list,
            ["response_item=ci_1"],
            "an earlier answer had the container"
        );
    }

    #[test]
    fn the_ids_of_completions_and_lists_are_found() {
        let chunk = r#"{"id":"chatcmpl-1","choices":[{"id":"x"}],"response":{"id":"y"}}"#;
        let completion = found(StoredAnswer::ChatCompletion, &[chunk, chunk], 3);
        assert_eq!(completion, ["chat_completion=chatcmpl-1"]);
        let list = r#"{"object":"list","data":[{"id":"msg_1"},{"id":"msg_2"}],"first_id":"msg_1","id":"x"}"#;
        let list = found(StoredAnswer::ItemList, &[list], 3);
        assert_eq!(list, ["response_item=msg_1", "response_item=msg_2"]);
    }

    #[test]
    fn text_that_no_path_can_contain_is_no_id() {
        let long = "x".repeat(MAX_ID_LENGTH + 1);
        for id in ["", "a/b", "a.b", "a\\u0062", "\u{e9}", &long] {
            let document = format!(r#"{{"id":"{id}","output":[{{"id":"after"}}]}}"#);
            let ids = found(StoredAnswer::Response, &[&document], 5);
            assert_eq!(ids, ["response_item=after"], "{id}");
        }
        let many: Vec<String> = (0..MAX_IDS + 5)
            .map(|n| format!(r#"{{"id":"m{n}"}}"#))
            .collect();
        let many = format!(r#"{{"data":[{}]}}"#, many.join(","));
        assert_eq!(found(StoredAnswer::ItemList, &[&many], 999).len(), MAX_IDS);
    }
}
