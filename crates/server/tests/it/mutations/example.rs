//! A value that a schema of our OpenAPI document allows, made up at random.

use serde_json::{Map, Value, json};

use super::ids::Ids;
use crate::dice::Dice;

/// The deepest that schemas are followed.
const MAX_DEPTH: usize = 8;

/// Makes values of the schemas in one document.
pub(super) struct Examples<'a> {
    pub(super) document: &'a Value,
    pub(super) ids: &'a Ids,
    pub(super) dice: &'a Dice,
}

impl Examples<'_> {
    /// A value for the property or parameter `name`.
    pub(super) fn of(&self, name: &str, schema: &Value, depth: usize) -> Value {
        if let Some(path) = schema["$ref"].as_str() {
            let found = self.document.pointer(path.trim_start_matches('#'));
            return found.map_or(Value::Null, |schema| self.of(name, schema, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return self.dice.pick(values).clone();
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(schemas) = schema[choice].as_array() {
                return self.of(name, self.dice.pick(schemas), depth + 1);
            }
        }
        match self.type_of(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(name, schema, depth),
            "integer" => self.integer(name, schema),
            "number" => json!(0.5),
            "boolean" => json!(self.dice.one_in(2)),
            "string" => json!(self.text(name, schema)),
            _ => Value::Null,
        }
    }

    fn type_of<'s>(&self, schema: &'s Value) -> &'s str {
        match &schema["type"] {
            Value::String(kind) => kind,
            Value::Array(kinds) => {
                let last = if self.dice.one_in(4) { kinds.len() } else { 1 };
                self.dice.pick(&kinds[..last]).as_str().unwrap_or("null")
            }
            _ if schema["properties"].is_object() => "object",
            _ => "null",
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.is_some_and(|names| names.contains(&json!(name)));
            if depth < MAX_DEPTH && (is_required || self.dice.one_in(4)) {
                object.insert(name.clone(), self.of(name, schema, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&self, name: &str, schema: &Value, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let length = least.max(self.dice.below(3));
        let item = || self.of(name, &schema["items"], depth + 1);
        (0..length).map(|_| item()).collect()
    }

    fn integer(&self, name: &str, schema: &Value) -> Value {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(1_000);
        let now = crate::reports::now();
        match name {
            "timestamp" | "start_time" | "end_time" => {
                json!(now - self.dice.below(20 * 86_400) as i64)
            }
            _ => json!(least + self.dice.below((most - least).clamp(1, 50) as u64) as i64),
        }
    }

    fn text(&self, name: &str, schema: &Value) -> String {
        let fresh = self.dice.below(1 << 48);
        if let Some(id) = self.ids.pick(name.trim_end_matches('s'), false, self.dice)
            && !self.dice.one_in(20)
        {
            return id;
        }
        match name {
            "email" | "recipients" => format!("p{fresh:x}@acme.example"),
            "role" => "role_project_member".to_owned(),
            "permissions" => "api.model.read".to_owned(),
            "certificate" => crate::authority::Authority::new("Acme").pem(),
            "model" | "models" | "model_ids" => "cheap".to_owned(),
            "type" => "completions".to_owned(),
            _ if schema["format"] == "date-time" => "2026-01-15T12:00:00Z".to_owned(),
            _ => format!("made {fresh:x}"),
        }
    }
}
