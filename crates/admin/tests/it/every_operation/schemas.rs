//! Validation of responses against this program's schemas and, where available, those of the published document.

use std::path::Path;

use admin::operation::{Operation, document};
use admin::operations;
use boon::{Compiler, Draft, Schemas};
use serde_json::{Value, json};

/// Path of the published document beside the checkout, as in `cargo xtask ci`.
const PUBLISHED_DOCUMENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/contract/admin-openapi.json"
);

/// Schemas that responses must satisfy.
pub(super) struct Contract {
    own: Document,
    published: Option<Document>,
}

/// An OpenAPI document whose schemas are compiled on demand.
struct Document {
    name: &'static str,
    json: Value,
    compiler: Compiler,
    schemas: Schemas,
}

impl Contract {
    pub(super) fn read() -> Self {
        let mut own = document(&operations());
        close(&mut own);
        Self {
            own: Document::new("urn:own", own),
            published: published(),
        }
    }

    /// Returns the violations in a response of the operation.
    pub(super) fn complaints(&mut self, command: &str, answer: &Value) -> Vec<String> {
        let mut operations = operations().into_iter();
        let operation = operations.find(|operation| operation.command == command);
        let operation = &operation.expect(command);
        let own = self.own.complaint(operation, answer);
        let mut complaints = vec![own.expect("our document has every operation")];
        if let Some(published) = &mut self.published {
            complaints.extend(published.complaint(operation, answer));
        }
        complaints.into_iter().flatten().collect()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a check that was left out has to say so"
)]
fn published() -> Option<Document> {
    if !Path::new(PUBLISHED_DOCUMENT).is_file() {
        eprintln!(
            "answers were not compared with the published schema: there is no {PUBLISHED_DOCUMENT}"
        );
        return None;
    }
    let text = std::fs::read_to_string(PUBLISHED_DOCUMENT).expect("readable");
    Some(Document::new(
        "urn:published",
        serde_json::from_str(&text).expect("JSON"),
    ))
}

/// Forbids additional properties in the schemas of responses.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) {
                map.entry("additionalProperties").or_insert(json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

impl Document {
    fn new(name: &'static str, json: Value) -> Self {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        let added = compiler.add_resource(name, json.clone());
        added.expect("a document of schemas");
        Self {
            name,
            json,
            compiler,
            schemas: Schemas::new(),
        }
    }

    /// Returns the violation in the response, if any; `None` if the document lacks the operation.
    fn complaint(&mut self, operation: &Operation, answer: &Value) -> Option<Option<String>> {
        let method = operation.method.as_str().to_lowercase();
        let place = [
            "paths",
            operation.path,
            &method,
            "responses",
            "200",
            "content",
            "application/json",
            "schema",
        ];
        let pointer: String = place
            .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
            .concat();
        self.json.pointer(&pointer)?;
        let url = format!("{}#{}", self.name, escaped(&pointer));
        let compiled = self.compiler.compile(&url, &mut self.schemas);
        let schema = compiled.unwrap_or_else(|error| panic!("{url}: {error:#}"));
        let checked = self.schemas.validate(answer, schema);
        let command = operation.command;
        Some(checked.err().map(|error| format!("{command}: {error:#}")))
    }
}

/// Escapes a JSON pointer for a URI fragment.
fn escaped(pointer: &str) -> String {
    pointer.replace('{', "%7B").replace('}', "%7D")
}
