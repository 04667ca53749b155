//! What a JSON schema says of a field, as far as a command line has a use for it.

use serde_json::Value as Json;

/// A field of a query or a body.
pub struct Field {
    /// What the API calls it.
    pub key: String,
    /// What each of its values is.
    pub kind: Kind,
    /// Whether it is a list.
    pub repeats: bool,
    /// Whether it may be null.
    pub is_nullable: bool,
    /// Whether a request without it is refused.
    pub is_required: bool,
    /// What the server takes when it is absent.
    pub default: Option<String>,
    /// The values that it may have, when they are few.
    pub values: Vec<String>,
    /// What it is.
    pub about: String,
    /// Its own fields, when it is an object or a list of objects.
    pub fields: Vec<Field>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, as it is typed.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Anything else, written as YAML or JSON.
    Yaml,
}

/// The named schemas of the document.
#[derive(Clone, Copy)]
pub struct Schemas<'document>(pub &'document Json);

/// A schema without what says that it may be null.
struct Bare<'document> {
    schema: &'document Json,
    is_nullable: bool,
}

impl Field {
    /// Whether it stands for `true` without a value.
    pub fn is_switch(&self) -> bool {
        self.kind == Kind::Boolean && !self.repeats && !self.is_nullable
    }

    /// Its type, as help writes it: `str…`, `int?`.
    pub fn type_name(&self) -> String {
        let name = match self.kind {
            Kind::Text => "str",
            Kind::Integer => "int",
            Kind::Boolean => "bool",
            Kind::Yaml => "yaml",
        };
        let list = if self.repeats { "…" } else { "" };
        let nullable = if self.is_nullable { "?" } else { "" };
        format!("{name}{list}{nullable}")
    }
}

impl<'document> Schemas<'document> {
    /// The fields of an object.
    pub fn fields(self, schema: &'document Json) -> Vec<Field> {
        let schema = self.bare(schema).schema;
        let required = schema["required"].as_array();
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
        let properties = schema["properties"].as_object().into_iter().flatten();
        properties
            .map(|(name, schema)| self.field(name, schema, is_required(name)))
            .collect()
    }

    /// The field with this name and schema.
    pub fn field(self, name: &str, schema: &'document Json, is_required: bool) -> Field {
        let bare = self.bare(schema);
        let repeats = has_type(bare.schema, "array");
        let item = if repeats {
            self.bare(&bare.schema["items"]).schema
        } else {
            bare.schema
        };
        let default = match &schema["default"] {
            Json::Null | Json::Array(_) => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Field {
            key: name.to_owned(),
            kind: kind(item),
            repeats,
            is_nullable: bare.is_nullable,
            is_required,
            default,
            values: values(item),
            about: about(schema)
                .or_else(|| about(bare.schema))
                .unwrap_or_default(),
            fields: self.fields(item),
        }
    }

    /// Follows references and leaves out null.
    fn bare(self, schema: &'document Json) -> Bare<'document> {
        if let Some(path) = schema["$ref"].as_str() {
            let name = path.rsplit('/').next().unwrap_or_default();
            return self.bare(&self.0[name]);
        }
        let is_null = |schema: &Json| has_type(schema, "null");
        if let Some(alternatives) = schema["anyOf"].as_array() {
            let mut others = alternatives.iter().filter(|schema| !is_null(schema));
            if let (Some(only), None) = (others.next(), others.next()) {
                let is_nullable = alternatives.len() > 1;
                let bare = self.bare(only);
                return Bare {
                    is_nullable: bare.is_nullable || is_nullable,
                    ..bare
                };
            }
        }
        Bare {
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

fn kind(schema: &Json) -> Kind {
    if has_type(schema, "integer") {
        Kind::Integer
    } else if has_type(schema, "boolean") {
        Kind::Boolean
    } else if has_type(schema, "string") || schema["const"].is_string() {
        Kind::Text
    } else {
        Kind::Yaml
    }
}

/// The values of an enumeration; none for any other schema.
fn values(schema: &Json) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    listed
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

/// The first paragraph of a description, on one line.
fn about(schema: &Json) -> Option<String> {
    let text = schema["description"].as_str()?;
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    Some(paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
}
