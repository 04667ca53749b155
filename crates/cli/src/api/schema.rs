//! The fields of JSON schemas, as far as the command line uses them.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::document::parsed;

/// A field of a query or a body.
pub struct Field {
    /// The name in the API.
    pub key: String,
    /// The type of its value.
    pub value_type: ValueType,
    /// True if a request without it is refused.
    pub is_required: bool,
    /// The value that the server assumes if it is absent.
    pub default: Option<String>,
    /// The values of an enumeration; empty for any other type.
    pub values: Vec<String>,
    /// The first paragraph of its description.
    pub description: String,
    /// The fields of an object, or of the objects in a list.
    pub fields: Vec<Field>,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// The kind of each value.
    pub kind: ValueKind,
    /// True if the value is a list.
    pub is_list: bool,
    /// True if the value may be null.
    pub is_nullable: bool,
}

/// The kind of a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text, taken as typed.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Any other value, written as YAML or JSON.
    Yaml,
}

/// The named schemas of the document, each parsed when it is first referred to.
pub struct Schemas(HashMap<&'static str, (&'static RawValue, OnceLock<Json>)>);

/// A schema with its references followed and its null alternative removed.
struct ResolvedSchema<'document> {
    schema: &'document Json,
    is_nullable: bool,
}

impl ValueType {
    /// Returns true for a flag that means `true` without a value.
    pub fn is_switch(self) -> bool {
        self.kind == ValueKind::Boolean && !self.is_list && !self.is_nullable
    }

    /// Returns the name that help shows: `str…`, `int?`.
    pub fn name(self) -> String {
        let kind = match self.kind {
            ValueKind::Text => "str",
            ValueKind::Integer => "int",
            ValueKind::Boolean => "bool",
            ValueKind::Yaml => "yaml",
        };
        let list = if self.is_list { "…" } else { "" };
        let nullable = if self.is_nullable { "?" } else { "" };
        format!("{kind}{list}{nullable}")
    }
}

impl Schemas {
    /// Creates the collection from the document's schemas by name.
    pub fn new(schemas: HashMap<&'static str, &'static RawValue>) -> Self {
        let unparsed = schemas.into_iter();
        Self(
            unparsed
                .map(|(name, schema)| (name, (schema, OnceLock::new())))
                .collect(),
        )
    }

    /// Returns the fields of an object.
    pub fn fields(&self, schema: &Json) -> Vec<Field> {
        let schema = self.resolve(schema).schema;
        let required = schema["required"].as_array();
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .map(|(name, schema)| self.field(name, schema, is_required(name)))
            .collect()
    }

    /// Returns the field with this name and schema.
    pub fn field(&self, name: &str, schema: &Json, is_required: bool) -> Field {
        let resolved = self.resolve(schema);
        let is_list = has_type(resolved.schema, "array");
        let item = if is_list {
            self.resolve(&resolved.schema["items"]).schema
        } else {
            resolved.schema
        };
        let default = match &schema["default"] {
            Json::Null | Json::Array(_) => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Field {
            key: name.to_owned(),
            value_type: ValueType {
                kind: kind(item),
                is_list,
                is_nullable: resolved.is_nullable,
            },
            is_required,
            default,
            values: enumeration(item),
            description: description(schema)
                .or_else(|| description(resolved.schema))
                .unwrap_or_default(),
            fields: self.fields(item),
        }
    }

    fn resolve<'schema>(&'schema self, schema: &'schema Json) -> ResolvedSchema<'schema> {
        if let Some(path) = schema["$ref"].as_str() {
            let name = path.rsplit('/').next().unwrap_or_default();
            let found = self.0.get(name);
            let found = found.map(|(unparsed, schema)| schema.get_or_init(|| parsed(unparsed)));
            return self.resolve(found.unwrap_or(&Json::Null));
        }
        let is_null = |schema: &Json| has_type(schema, "null");
        if let Some(alternatives) = schema["anyOf"].as_array() {
            let mut others = alternatives.iter().filter(|schema| !is_null(schema));
            if let (Some(only), None) = (others.next(), others.next()) {
                let is_nullable = alternatives.len() > 1;
                let resolved = self.resolve(only);
                return ResolvedSchema {
                    is_nullable: resolved.is_nullable || is_nullable,
                    ..resolved
                };
            }
        }
        ResolvedSchema {
            schema,
            is_nullable: is_null(schema),
        }
    }
}

fn has_type(schema: &Json, name: &str) -> bool {
    match &schema["type"] {
        Json::Array(names) => names.iter().any(|other| other == name),
        only => only == name,
    }
}

fn kind(schema: &Json) -> ValueKind {
    if has_type(schema, "integer") {
        ValueKind::Integer
    } else if has_type(schema, "boolean") {
        ValueKind::Boolean
    } else if has_type(schema, "string") || schema["const"].is_string() {
        ValueKind::Text
    } else {
        ValueKind::Yaml
    }
}

/// Returns the values of an enumeration; none for any other schema.
fn enumeration(schema: &Json) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    listed
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

/// Returns the first paragraph of a description, on one line.
fn description(schema: &Json) -> Option<String> {
    let text = schema["description"].as_str()?;
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    Some(paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
}
