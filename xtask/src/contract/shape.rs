//! Shape of a value after a schema, however it is written: references followed, alternatives and parts put together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// A schema, as far as it is compared.
#[derive(Clone, Debug, Default)]
pub struct Shape<'a> {
    /// True if null is a value.
    pub nullable: bool,
    /// The only values there are; `None` when there are others.
    pub values: Option<BTreeSet<String>>,
    /// The fields of an object.
    pub fields: BTreeMap<String, &'a Json>,
    /// The fields that are always there.
    pub required: BTreeSet<String>,
    /// True if the schema describes further fields.
    pub open: bool,
    /// The items of an array.
    pub items: Option<&'a Json>,
    /// Objects of several kinds, of which the value is one.
    pub kinds: Vec<Shape<'a>>,
}

/// References within references go no deeper than this.
const MAX_DEPTH: usize = 20;

impl<'a> Shape<'a> {
    /// Returns the shape of `schema`, which is a part of `document`.
    pub fn of(document: &'a Json, schema: &'a Json) -> Self {
        Self::within(document, schema, 0)
    }

    fn within(document: &'a Json, schema: &'a Json, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::default();
        }
        let mut shape = Self::own(schema);
        if let Some(target) = target(document, schema) {
            shape.add(Self::within(document, target, depth + 1));
        }
        for part in list(schema, "allOf") {
            shape.add(Self::within(document, part, depth + 1));
        }
        for name in ["anyOf", "oneOf"] {
            let alternatives = list(schema, name);
            if !alternatives.is_empty() {
                let alternatives = alternatives
                    .iter()
                    .map(|schema| Self::within(document, schema, depth + 1));
                shape.add_one_of(alternatives.collect());
            }
        }
        shape
    }

    fn own(schema: &'a Json) -> Self {
        let mut shape = Self {
            nullable: schema["nullable"] == true,
            items: schema.get("items"),
            open: schema["additionalProperties"].is_object(),
            ..Self::default()
        };
        match &schema["type"] {
            Json::String(name) => shape.nullable |= name == "null",
            Json::Array(names) => shape.nullable |= names.iter().any(|name| name == "null"),
            _ => {}
        }
        let values = schema.get("const").map(std::slice::from_ref);
        let values = values.or_else(|| schema["enum"].as_array().map(Vec::as_slice));
        if let Some(values) = values {
            shape.nullable |= values.contains(&Json::Null);
            let words = values.iter().filter(|value| !value.is_null());
            shape.values = Some(words.map(word).collect());
        }
        if let Some(fields) = schema["properties"].as_object() {
            shape.fields = fields
                .iter()
                .map(|(name, field)| (name.clone(), field))
                .collect();
        }
        shape.required = list(schema, "required").iter().map(word).collect();
        shape
    }

    /// Narrows the shape to values that `other` describes, too.
    fn add(&mut self, other: Self) {
        self.nullable |= other.nullable;
        self.open |= other.open;
        self.values = self.values.take().or(other.values);
        self.fields.extend(other.fields);
        self.required.extend(other.required);
        self.items = self.items.or(other.items);
        self.kinds.extend(other.kinds);
    }

    /// Narrows the shape to values that one of `alternatives` describes, too.
    fn add_one_of(&mut self, alternatives: Vec<Self>) {
        let is_null = |shape: &Self| shape.nullable && shape.is_plain();
        self.nullable |= alternatives.iter().any(|shape| shape.nullable);
        let mut rest: Vec<Self> = alternatives
            .into_iter()
            .filter(|shape| !is_null(shape))
            .collect();
        if rest.len() == 1 {
            self.add(rest.remove(0));
        } else if rest.iter().all(|shape| shape.values.is_some()) {
            let values = rest.into_iter().filter_map(|shape| shape.values);
            self.values = Some(values.flatten().collect());
        } else if rest.iter().any(|shape| !shape.fields.is_empty()) {
            self.kinds = rest;
        }
    }

    fn is_plain(&self) -> bool {
        self.values.is_none()
            && self.fields.is_empty()
            && self.items.is_none()
            && self.kinds.is_empty()
    }

    /// Returns, of several kinds, the one whose `object` is also the other's; the shape itself if there is only one.
    pub fn kind_like(self, document: &'a Json, other: &Self, others: &Json) -> Self {
        let object = |shape: &Self, document| {
            let field = shape.fields.get("object")?;
            Shape::of(document, field).values
        };
        let Some(wanted) = other.fields.get("object") else {
            return self;
        };
        let wanted = Shape::of(others, wanted).values;
        let same = self
            .kinds
            .iter()
            .find(|kind| wanted.is_some() && object(kind, document) == wanted);
        same.cloned().unwrap_or(self)
    }
}

fn target<'a>(document: &'a Json, schema: &Json) -> Option<&'a Json> {
    document.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

fn list<'a>(schema: &'a Json, name: &str) -> &'a [Json] {
    schema[name].as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_found_in_every_spelling() {
        for schema in [
            json!({"type": ["string", "null"]}),
            json!({"type": "string", "nullable": true}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"enum": ["a", null]}),
        ] {
            assert!(Shape::of(&Json::Null, &schema).nullable, "{schema}");
        }
        assert!(!Shape::of(&Json::Null, &json!({"type": "string"})).nullable);
    }

    #[test]
    fn values_are_put_together() {
        let values = |schema: Json| {
            Shape::of(&Json::Null, &schema)
                .values
                .map(|v| v.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(values(json!({"const": "a"})), Some(vec!["a".to_owned()]));
        let both = json!({"oneOf": [{"const": "b"}, {"enum": ["a"]}]});
        assert_eq!(values(both), Some(vec!["a".to_owned(), "b".to_owned()]));
        let open = json!({"anyOf": [{"type": "string"}, {"enum": ["a"]}]});
        assert_eq!(values(open), None);
    }

    #[test]
    fn references_and_parts_are_followed() {
        let document = json!({"s": {"properties": {"a": {}}, "required": ["a"]}});
        let schema = json!({"allOf": [{"$ref": "#/s"}, {"properties": {"b": {}}}]});
        let shape = Shape::of(&document, &schema);
        assert_eq!(shape.fields.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(shape.required.contains("a"));
    }
}
