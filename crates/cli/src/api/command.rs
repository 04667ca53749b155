//! A command of the API: its name, its flags, and the request that it makes.

use serde_json::Value as Json;

use super::document::{Operation, parsed};
use super::schema::{Field, Schemas, ValueKind};

/// The prefix of every resource.
pub const ROOT: &str = "admin:organization";

/// The query parameter without a flag: `--format` selects how a response is shown, and the server is asked for JSON.
const FORMAT: &str = "format";

/// An operation as a command.
pub struct ApiCommand {
    /// The operation that the command runs.
    pub operation: &'static Operation,
    /// The flags: path parameters first and in order, then required flags, then all others.
    pub flags: Vec<CommandFlag>,
    /// The part of a response that is shown.
    pub response: ResponseShape,
}

/// A flag that sets one field of the request.
pub struct CommandFlag {
    /// The name without its dashes.
    pub name: String,
    /// The part of the request that its value goes to.
    pub location: FlagLocation,
    /// The field that it sets.
    pub field: Field,
}

/// The part of a request that a flag's value goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagLocation {
    /// The path.
    Path,
    /// The query string.
    Query,
    /// The body.
    Body,
}

/// The key that a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No key: the body is the credential.
    None,
    /// An admin key.
    AdminKey,
    /// An admin key, or else a project key.
    AdminOrProjectKey,
}

/// The part of a response that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseShape {
    /// The whole response.
    Object,
    /// The items of its `data`, and of the pages that follow.
    Items,
}

impl ApiCommand {
    /// Creates the command that runs `operation`.
    pub fn new(operation: &'static Operation, schemas: &Schemas) -> Self {
        let body = operation.body.map(parsed).unwrap_or_default();
        let responses = parsed(operation.responses);
        let mut flags = parameters(&parsed(operation.parameters), schemas);
        let fields = schemas.fields(&body["content"]["application/json"]["schema"]);
        let fields = fields.into_iter();
        flags.extend(fields.map(|field| CommandFlag::new(field, FlagLocation::Body)));
        // A stable sort: path parameters keep the order of the path, all others are alphabetical.
        flags.sort_by_key(|flag| (flag.location != FlagLocation::Path, !flag.field.is_required));
        Self {
            operation,
            flags,
            response: response_shape(
                &responses["200"]["content"]["application/json"]["schema"],
                schemas,
            ),
        }
    }

    /// Returns the flags of path parameters, which may be given as words in this order.
    pub fn path_flags(&self) -> impl Iterator<Item = &CommandFlag> {
        let flags = self.flags.iter();
        flags.filter(|flag| flag.location == FlagLocation::Path)
    }

    /// Returns the resource and the verb, as they are typed.
    pub fn name(&self) -> String {
        format!("{} {}", self.operation.resource, self.operation.verb)
    }

    /// Returns the names of all flags of its own, those of nested fields included.
    pub fn flag_names(&self) -> Vec<String> {
        let names = self.flags.iter().flat_map(|flag| {
            let nested = flag.nested().map(|(name, _)| name);
            std::iter::once(flag.name.clone()).chain(nested)
        });
        names.collect()
    }
}

impl CommandFlag {
    fn new(field: Field, location: FlagLocation) -> Self {
        let singular = match field.key.strip_suffix('s') {
            Some(singular) if field.value_type.is_list => singular,
            _ => &field.key,
        };
        Self {
            name: singular.replace('_', "-"),
            location,
            field,
        }
    }

    /// Returns the flags that each set one field of this flag's value, with the fields.
    pub fn nested(&self) -> impl Iterator<Item = (String, &Field)> {
        let name = |field: &Field| format!("{}.{}", self.name, field.key.replace('_', "-"));
        let fields = self.field.fields.iter();
        fields.map(move |field| (name(field), field))
    }
}

/// Returns a flag for each parameter but [`FORMAT`].
fn parameters(parameters: &Json, schemas: &Schemas) -> Vec<CommandFlag> {
    let parameters = parameters.as_array().into_iter().flatten();
    parameters
        .filter(|parameter| parameter["name"] != FORMAT)
        .map(|parameter| {
            let name = parameter["name"].as_str().unwrap_or_default();
            let is_required = parameter["required"] == true;
            let field = schemas.field(name, &parameter["schema"], is_required);
            let location = if parameter["in"] == "path" {
                FlagLocation::Path
            } else {
                FlagLocation::Query
            };
            CommandFlag::new(field, location)
        })
        .collect()
}

/// Returns the shape of a response with this schema. A list is shown by its items; a page of a report is one object.
fn response_shape(schema: &Json, schemas: &Schemas) -> ResponseShape {
    let fields = schemas.fields(schema);
    let is_list = |field: &Field| {
        let value_type = field.value_type;
        field.key == "data" && value_type.is_list && value_type.kind == ValueKind::Yaml
    };
    let is_report = fields.iter().any(|field| field.key == "next_page");
    if fields.iter().any(is_list) && !is_report {
        ResponseShape::Items
    } else {
        ResponseShape::Object
    }
}
