//! What there is to know of one command: its words, its flags, and the request that it makes.

use admin::operation::{Effect, Operation, document};
use http::Method;
use serde_json::Value as Json;

use crate::globals::GLOBALS;
use crate::schema::{Field, Kind, Schemas};

/// What stands before every resource.
pub const ROOT: &str = "admin:organization";

/// One operation of the registry, as words.
pub struct Command {
    /// What stands before the verb: `admin:organization:users`.
    pub resource: String,
    /// What is done with it: `list`.
    pub verb: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The permission that the caller needs, if there is a caller.
    pub needs: Option<&'static str>,
    /// Whether it is ours, not the contract's.
    pub is_extension: bool,
    /// What it does to the data, and so which key it sends.
    pub effect: Effect,
    /// The HTTP method.
    pub method: Method,
    /// The path below the base URL, with its parameters in braces.
    pub path: &'static str,
    /// Path parameters first and in order, then what is required.
    pub flags: Vec<Flag>,
    /// Whether it sends a body.
    pub has_body: bool,
    /// What is answered.
    pub answer: Answer,
}

/// A flag, which sets one field of the request.
pub struct Flag {
    /// What it is called, without its dashes.
    pub name: String,
    /// Where its value goes.
    pub place: Place,
    /// What it sets.
    pub field: Field,
}

/// Where the value of a flag goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the path.
    Path,
    /// Into the query string.
    Query,
    /// Into the body.
    Body,
}

/// What is shown of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of it.
    Whole,
    /// The items of its `data`, and of the pages that follow it.
    Items,
}

/// The resource and the verb that `operation` is called by.
pub fn words(operation: &Operation) -> (String, &'static str) {
    let (resource, verb) = operation
        .command
        .rsplit_once(' ')
        .expect("a command is a resource and a verb");
    (format!("{ROOT}:{resource}"), verb)
}

impl Command {
    /// The command that runs `operation`.
    pub fn of(operation: &Operation) -> Self {
        let document = document(std::slice::from_ref(operation));
        let schemas = Schemas(&document["components"]["schemas"]);
        let entry = &document["paths"][operation.path][operation.method.as_str().to_lowercase()];
        let body = &entry["requestBody"]["content"]["application/json"]["schema"];
        let mut flags = parameters(&entry["parameters"], schemas);
        flags.extend(
            schemas
                .fields(body)
                .into_iter()
                .map(|field| Flag::new(field, Place::Body)),
        );
        // A stable sort: path parameters keep the order of the path, all others that of the alphabet.
        flags.sort_by_key(|flag| (flag.place != Place::Path, !flag.field.is_required));
        let (resource, verb) = words(operation);
        Self {
            resource,
            verb,
            about: operation.about,
            needs: operation.needs.map(|needs| needs.as_str()),
            is_extension: operation.extension,
            effect: operation.effect,
            method: operation.method.clone(),
            path: operation.path,
            flags,
            has_body: !body.is_null(),
            answer: answer(
                &entry["responses"]["200"]["content"]["application/json"]["schema"],
                schemas,
            ),
        }
    }

    /// The flags that words without a name fill, in their order.
    pub fn positionals(&self) -> impl Iterator<Item = &Flag> {
        self.flags.iter().filter(|flag| flag.place == Place::Path)
    }

    /// Its words, as they are typed.
    pub fn words(&self) -> String {
        format!("{} {}", self.resource, self.verb)
    }
}

impl Flag {
    fn new(field: Field, place: Place) -> Self {
        let singular = match field.key.strip_suffix('s') {
            Some(singular) if field.repeats => singular,
            _ => &field.key,
        };
        Self {
            name: singular.replace('_', "-"),
            place,
            field,
        }
    }

    /// The flags that set one field of this one's value: their names, and what they set.
    pub fn inner(&self) -> impl Iterator<Item = (String, &Field)> {
        let name = |field: &Field| format!("{}.{}", self.name, field.key.replace('_', "-"));
        self.field
            .fields
            .iter()
            .map(move |field| (name(field), field))
    }
}

/// A flag for each parameter, but for one that is called like a flag of every command: `--format` says how the answer is
/// shown, and the server is asked for JSON.
fn parameters(parameters: &Json, schemas: Schemas<'_>) -> Vec<Flag> {
    let parameters = parameters.as_array().into_iter().flatten();
    let is_taken = |parameter: &&Json| GLOBALS.iter().any(|flag| parameter["name"] == flag.name);
    parameters
        .filter(|parameter| !is_taken(parameter))
        .map(|parameter| {
            let name = parameter["name"].as_str().unwrap_or_default();
            let is_required = parameter["required"] == true;
            let field = schemas.field(name, &parameter["schema"], is_required);
            let place = if parameter["in"] == "path" {
                Place::Path
            } else {
                Place::Query
            };
            Flag::new(field, place)
        })
        .collect()
}

/// A list is shown by its items; a page of a report is one object.
fn answer(reply: &Json, schemas: Schemas<'_>) -> Answer {
    let fields = schemas.fields(reply);
    let is_list = |field: &Field| field.key == "data" && field.repeats && field.kind == Kind::Yaml;
    let is_report = fields.iter().any(|field| field.key == "next_page");
    if fields.iter().any(is_list) && !is_report {
        Answer::Items
    } else {
        Answer::Whole
    }
}
