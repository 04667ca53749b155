//! Fields of JSON schemas, as far as forms use them.

use serde_json::{Map, Value as Json};

/// The deepest nesting of references that is followed.
const MAX_DEPTH: usize = 8;

/// A field of a body or a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldSchema {
    /// Name in the API.
    pub(crate) name: String,
    /// Description for people.
    pub(crate) description: String,
    /// True if a request without the field is refused.
    pub(crate) is_required: bool,
    /// True if the value may be null.
    pub(crate) is_nullable: bool,
    /// Kind of the value.
    pub(crate) kind: ValueKind,
}

/// The kind of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueKind {
    /// Text of at most so many characters.
    Text {
        /// Longest text, if there is a bound.
        max_length: Option<u64>,
        /// Format, such as `email`; empty for none.
        format: String,
    },
    /// A whole number.
    Integer {
        /// Least value.
        min: Option<i64>,
        /// Largest value.
        max: Option<i64>,
    },
    /// Yes or no.
    Boolean,
    /// Choice of a word, each with its meaning.
    Choice(Vec<Word>),
    /// A list.
    List(Box<ValueKind>),
    /// Either the word `all`, or a list of some words.
    AllOr(Vec<Word>),
    /// An object.
    Object(Vec<FieldSchema>),
    /// Any other value, written as JSON.
    Any,
}

/// A word of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Word in the API.
    pub(crate) value: String,
    /// Meaning; empty if the word speaks for itself.
    pub(crate) meaning: String,
}

/// Replaces the references of a schema by the schemas that they name.
pub(crate) fn inlined(schema: &Json, components: &Json) -> Json {
    inlined_within(schema, components, 0)
}

fn inlined_within(schema: &Json, components: &Json, depth: usize) -> Json {
    match schema {
        Json::Object(fields) if depth < MAX_DEPTH => {
            let reference = fields.get("$ref").and_then(Json::as_str);
            let name = reference.and_then(|path| path.rsplit('/').next());
            let target = name.and_then(|name| components["schemas"].get(name));
            let mut merged = match target.and_then(Json::as_object) {
                Some(target) => target.clone(),
                None => Map::new(),
            };
            let own = fields.iter().filter(|(key, _)| *key != "$ref");
            merged.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            let inline =
                |(key, value): (String, Json)| (key, inlined_within(&value, components, depth + 1));
            Json::Object(merged.into_iter().map(inline).collect())
        }
        Json::Array(items) => {
            let inline = |item| inlined_within(item, components, depth);
            Json::Array(items.iter().map(inline).collect())
        }
        other => other.clone(),
    }
}

/// Returns the fields of an object whose references are inlined: required ones first, otherwise in alphabetical order.
pub(crate) fn fields_of(schema: &Json) -> Vec<FieldSchema> {
    let required: Vec<&str> = strings(&schema["required"]).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<FieldSchema> = properties
        .map(|(name, schema)| field(name, schema, required.contains(&name.as_str())))
        .collect();
    fields.sort_by_key(|field| !field.is_required);
    fields
}

/// Returns the field of a parameter or property with this schema.
pub(crate) fn field(name: &str, schema: &Json, is_required: bool) -> FieldSchema {
    let (kind, is_nullable) = kind_of(schema);
    FieldSchema {
        name: name.to_owned(),
        description: schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        is_required,
        is_nullable,
        kind,
    }
}

fn strings(value: &Json) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

/// Returns the kind of a schema's values, and true if null is one of them.
fn kind_of(schema: &Json) -> (ValueKind, bool) {
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let is_null = |schema: &&Json| schema["type"] == "null";
        let is_nullable = alternatives.iter().any(|schema| is_null(&schema));
        let others: Vec<&Json> = alternatives
            .iter()
            .filter(|schema| !is_null(schema))
            .collect();
        let kind = match others.as_slice() {
            [only] => kind_of(only).0,
            [all, list] if all["const"] == "all" => ValueKind::AllOr(words(&list["items"])),
            _ => ValueKind::Any,
        };
        return (kind, is_nullable);
    }
    let named = schema["type"].as_str();
    let types: Vec<&str> = named.into_iter().chain(strings(&schema["type"])).collect();
    let is_nullable = types.contains(&"null");
    let kind = match types.iter().find(|name| **name != "null").copied() {
        Some("string") if schema["enum"].is_array() => ValueKind::Choice(words(schema)),
        Some("string") => ValueKind::Text {
            max_length: schema["maxLength"].as_u64(),
            format: text_format(schema),
        },
        Some("integer") => ValueKind::Integer {
            min: schema["minimum"].as_i64(),
            max: schema["maximum"].as_i64(),
        },
        Some("boolean") => ValueKind::Boolean,
        Some("array") => ValueKind::List(Box::new(kind_of(&schema["items"]).0)),
        Some("object") if schema["properties"].is_object() => ValueKind::Object(fields_of(schema)),
        _ => ValueKind::Any,
    };
    (kind, is_nullable)
}

fn text_format(schema: &Json) -> String {
    let format = schema["format"].as_str();
    let media = schema["contentMediaType"].as_str();
    format.or(media).unwrap_or_default().to_owned()
}

fn words(schema: &Json) -> Vec<Word> {
    let meanings: Vec<&str> = strings(&schema["x-enum-descriptions"]).collect();
    let word = |(index, value): (usize, &str)| Word {
        value: value.to_owned(),
        meaning: meanings.get(index).copied().unwrap_or_default().to_owned(),
    };
    strings(&schema["enum"]).enumerate().map(word).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nullable_and_referred_fields_are_read() {
        let components = json!({"schemas": {
            "Tool": {"type": "object", "properties": {"enabled": {"type": "boolean"}}, "required": ["enabled"]},
            "Level": {"type": "string", "enum": ["a", "b"], "x-enum-descriptions": ["A.", "B."]},
        }});
        let schema = json!({"required": ["z"], "properties": {
            "a": {"anyOf": [{"$ref": "#/components/schemas/Tool"}, {"type": "null"}]},
            "b": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
            "z": {"type": "array", "items": {"$ref": "#/components/schemas/Level"}},
            "t": {"anyOf": [{"const": "all", "type": "string"}, {"type": "array", "items": {"type": "string", "enum": ["x"]}}]},
        }});
        let fields = fields_of(&inlined(&schema, &components));
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "b", "t"]);
        assert!(fields[0].is_required && !fields[0].is_nullable);
        let ValueKind::List(items) = &fields[0].kind else {
            panic!("{:?}", fields[0].kind);
        };
        assert!(matches!(&**items, ValueKind::Choice(words) if words[1].meaning == "B."));
        assert!(fields[1].is_nullable);
        assert!(matches!(&fields[1].kind, ValueKind::Object(inner) if inner[0].name == "enabled"));
        let expected = ValueKind::Integer {
            min: Some(1),
            max: Some(9),
        };
        assert_eq!((&fields[2].kind, fields[2].is_nullable), (&expected, true));
        assert!(matches!(&fields[3].kind, ValueKind::AllOr(words) if words[0].value == "x"));
    }
}
