//! The values of flags: the typed texts as the JSON that is sent.

use serde_json::{Map, Value as Json};

use crate::api::{CommandFlag, Field, ValueKind, ValueType};
use crate::file;
use crate::scalar::{boolean, integer};

/// An occurrence of a flag.
#[derive(Debug)]
pub struct FlagValue {
    /// The position of the flag in its command.
    pub flag: usize,
    /// The position of the field that is set, if it is a field of the flag's value.
    pub nested: Option<usize>,
    /// The value as it was typed.
    pub text: String,
    /// The parsed value.
    pub value: Json,
}

/// Parses one occurrence of a flag. For a list that is an array of the elements to add, or null.
pub fn parse(value_type: ValueType, text: &str) -> Result<Json, String> {
    if value_type.is_nullable && text == "null" {
        return Ok(Json::Null);
    }
    let kind = value_type.kind;
    if !value_type.is_list {
        return parse_single(kind, text);
    }
    if kind == ValueKind::Text && !text.starts_with('[') {
        return Ok(Json::Array(vec![parse_single(kind, text)?]));
    }
    Ok(match embedded_yaml(text)? {
        Json::Array(elements) => Json::Array(elements),
        element => Json::Array(vec![element]),
    })
}

fn parse_single(kind: ValueKind, text: &str) -> Result<Json, String> {
    match kind {
        ValueKind::Text => file::embedded(text).map(Json::String),
        ValueKind::Integer => integer(text).map(Json::from),
        ValueKind::Boolean => boolean(text).map(Json::Bool),
        ValueKind::Yaml => embedded_yaml(text),
    }
}

/// Combines all occurrences of a flag, and of the flags of its value's fields, in the order in which they were given.
pub fn combine<'given>(
    flag: &CommandFlag,
    given: impl IntoIterator<Item = &'given FlagValue>,
) -> Option<Json> {
    let mut combined = None;
    let mut is_element_open = false;
    for given in given {
        let whole = combined.get_or_insert(Json::Null);
        let nested = given.nested.and_then(|place| flag.field.fields.get(place));
        let Some(nested) = nested else {
            is_element_open = false;
            match given.value.clone() {
                Json::Array(elements) if flag.field.value_type.is_list => {
                    array(whole).extend(elements);
                }
                value => *whole = value,
            }
            continue;
        };
        if !flag.field.value_type.is_list {
            put(object(whole), nested, given.value.clone());
            continue;
        }
        let elements = array(whole);
        // A field that the last element already has begins the next one.
        let is_complete = |element: &Json| element.get(&nested.key).is_some();
        if !is_element_open || elements.last().is_none_or(is_complete) {
            elements.push(Json::Null);
        }
        is_element_open = true;
        if let Some(element) = elements.last_mut() {
            put(object(element), nested, given.value.clone());
        }
    }
    combined
}

/// Sets a field of an object; a list in it grows.
fn put(object: &mut Map<String, Json>, field: &Field, value: Json) {
    match (object.get_mut(&field.key), value) {
        (Some(Json::Array(present)), Json::Array(more)) => present.extend(more),
        (_, value) => {
            object.insert(field.key.clone(), value);
        }
    }
}

fn array(value: &mut Json) -> &mut Vec<Json> {
    if !value.is_array() {
        *value = Json::Array(Vec::new());
    }
    value.as_array_mut().expect("just made an array")
}

fn object(value: &mut Json) -> &mut Map<String, Json> {
    if !value.is_object() {
        *value = Json::Object(Map::new());
    }
    value.as_object_mut().expect("just made an object")
}

/// Parses YAML, of which JSON is a part. The whole text, and each text in it, may name a file.
fn embedded_yaml(text: &str) -> Result<Json, String> {
    let text = file::embedded(text)?;
    let mut value =
        parse_yaml(&text).map_err(|reason| format!("is neither YAML nor JSON: {reason}"))?;
    embed(&mut value)?;
    Ok(value)
}

/// Parses YAML 1.2, where `yes` is a text.
pub fn parse_yaml(text: &str) -> Result<Json, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn embed(value: &mut Json) -> Result<(), String> {
    match value {
        Json::String(text) => *text = file::embedded(text)?,
        Json::Array(elements) => elements.iter_mut().try_for_each(embed)?,
        Json::Object(fields) => fields.values_mut().try_for_each(embed)?,
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse_yaml;

    #[test]
    fn yaml_is_that_of_version_1_2() {
        assert_eq!(
            parse_yaml("{a: yes, b: [1, -2.5, null, 'x'], c: 2026-01-01, e: ~, f: 0x10}"),
            Ok(
                json!({"a": "yes", "b": [1, -2.5, null, "x"], "c": "2026-01-01", "e": null, "f": 16})
            )
        );
        assert_eq!(parse_yaml("{\"a\": \"\\u00e9\"}"), Ok(json!({"a": "é"})));
        assert_eq!(
            parse_yaml("12345678901234567"),
            Ok(json!(12_345_678_901_234_567_i64))
        );
        assert!(parse_yaml("{a: [}").is_err());
    }
}
