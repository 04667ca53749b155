//! The embedded OpenAPI document. Only its outline is read at once; the schemas of an operation are parsed when its
//! command is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::command::{ApiCommand, Credential, ROOT};
use super::schema::Schemas;

static API: LazyLock<Api> = LazyLock::new(|| Api::read(include_str!("../../../../openapi.json")));

/// All operations, in the order of their paths and methods.
pub struct Api {
    operations: Vec<Operation>,
    schemas: Schemas,
}

/// An operation before the schemas of its parameters and its body are parsed.
pub struct Operation {
    /// The resource on the command line: `admin:organization:users`.
    pub resource: String,
    /// The verb on the command line: `list`.
    pub verb: String,
    /// The effect in one sentence.
    pub summary: String,
    /// The permission that the caller needs; `None` if there is no caller.
    pub permission: Option<String>,
    /// True if only orgplane has this operation.
    pub is_extension: bool,
    /// The key that a request carries.
    pub credential: Credential,
    /// The HTTP method.
    pub method: Method,
    /// The path below the base URL, with its parameters in braces.
    pub path: &'static str,
    /// The list of path and query parameters.
    pub parameters: &'static RawValue,
    /// The request body; `None` if the operation takes none.
    pub body: Option<&'static RawValue>,
    /// The responses by status.
    pub responses: &'static RawValue,
}

#[derive(Deserialize)]
struct Document {
    #[serde(borrow)]
    paths: BTreeMap<&'static str, BTreeMap<String, DocumentedOperation>>,
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    #[serde(borrow)]
    schemas: HashMap<&'static str, &'static RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentedOperation {
    operation_id: String,
    tags: (String,),
    summary: String,
    security: Vec<IgnoredAny>,
    #[serde(rename = "x-permission")]
    permission: Option<String>,
    #[serde(rename = "x-orgplane", default)]
    is_extension: bool,
    #[serde(borrow)]
    parameters: &'static RawValue,
    #[serde(borrow)]
    request_body: Option<&'static RawValue>,
    #[serde(borrow)]
    responses: &'static RawValue,
}

impl Api {
    /// Returns the API that the embedded document describes.
    pub fn get() -> &'static Self {
        &API
    }

    fn read(text: &'static str) -> Self {
        let document: Document =
            serde_json::from_str(text).expect("the embedded document is generated and tested");
        let paths = document.paths.into_iter();
        let operations = paths.flat_map(|(path, methods)| {
            let operations = methods.into_iter();
            operations.map(move |(method, documented)| Operation::new(path, &method, documented))
        });
        Self {
            operations: operations.collect(),
            schemas: Schemas::new(document.components.schemas),
        }
    }

    /// Returns the operations of each resource.
    pub fn resources(&'static self) -> BTreeMap<&'static str, Vec<&'static Operation>> {
        let mut resources: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operation in &self.operations {
            let operations = resources.entry(operation.resource.as_str()).or_default();
            operations.push(operation);
        }
        resources
    }

    /// Returns the commands of one resource.
    pub fn commands_of(&'static self, resource: &str) -> Vec<ApiCommand> {
        let operations = self.operations.iter();
        let operations = operations.filter(|operation| operation.resource == resource);
        let commands = operations.map(|operation| ApiCommand::new(operation, &self.schemas));
        commands.collect()
    }

    /// Returns the command with this resource and verb.
    pub fn find(&'static self, resource: &str, verb: &str) -> Option<ApiCommand> {
        let operation = self
            .operations
            .iter()
            .find(|operation| operation.resource == resource && operation.verb == verb)?;
        Some(ApiCommand::new(operation, &self.schemas))
    }

    /// Returns all commands, sorted by resource and verb.
    pub fn commands(&'static self) -> Vec<ApiCommand> {
        let operations = self.operations.iter();
        let mut commands: Vec<_> = operations
            .map(|operation| ApiCommand::new(operation, &self.schemas))
            .collect();
        commands.sort_by_key(ApiCommand::name);
        commands
    }
}

impl Operation {
    fn new(path: &'static str, method: &str, documented: DocumentedOperation) -> Self {
        // A tag is the resource in words, "Projects: api keys", and an operation's id is the resource and the verb,
        // joined by dashes.
        let resource = documented.tags.0.replace(": ", ":").replace(' ', "-");
        let resource = resource.to_ascii_lowercase();
        let verb = &documented.operation_id[resource.len() + 1..];
        let method: Method = method
            .to_ascii_uppercase()
            .parse()
            .expect("a path's keys are HTTP methods");
        Self {
            verb: verb.to_owned(),
            resource: format!("{ROOT}:{resource}"),
            summary: documented.summary,
            permission: documented.permission,
            is_extension: documented.is_extension,
            credential: match documented.security.len() {
                0 => Credential::None,
                1 => Credential::AdminKey,
                _ => Credential::AdminOrProjectKey,
            },
            method,
            path,
            parameters: documented.parameters,
            body: documented.request_body,
            responses: documented.responses,
        }
    }
}

/// Parses a part of the embedded document.
pub fn parsed(part: &RawValue) -> Json {
    serde_json::from_str(part.get()).expect("the whole document has been read")
}
