//! The value of a flag: what was typed, as the JSON that is sent.

use serde_json::{Map, Value as Json};

use crate::arguments::Given;
use crate::command::Flag;
use crate::file;
use crate::schema::{Field, Kind};

/// The value that `given` spells for `flag`. None of them may be of another flag, and there must be one.
pub fn value(flag: &Flag, given: &[&Given]) -> Result<Json, String> {
    let mut spelled = Spelled::default();
    for given in given {
        let (name, field) = match given.inner {
            None => (flag.name.clone(), &flag.field),
            Some(position) => flag
                .inner()
                .nth(position)
                .expect("it was found by this position"),
        };
        let at = |reason: String| format!("--{name} {reason}");
        if given.inner.is_some() {
            spelled.set(&flag.field, field, &given.text).map_err(at)?;
        } else {
            spelled.add(&flag.field, &given.text).map_err(at)?;
        }
    }
    Ok(spelled.value)
}

/// A value while its flags are read.
#[derive(Default)]
struct Spelled {
    value: Json,
    /// Whether the last element of a list is being put together, field by field.
    is_open: bool,
}

impl Spelled {
    /// One more value of the flag itself: a further element of a list, or instead of what was there.
    fn add(&mut self, field: &Field, text: &str) -> Result<(), String> {
        self.is_open = false;
        if !field.repeats {
            self.value = single(field, text)?;
            return Ok(());
        }
        let Some(elements) = elements(field, text)? else {
            self.value = Json::Null;
            return Ok(());
        };
        array(&mut self.value).extend(elements);
        Ok(())
    }

    /// One field of the value, or of the last element of a list; one that has it already is complete.
    fn set(&mut self, whole: &Field, field: &Field, text: &str) -> Result<(), String> {
        let value = if field.repeats {
            elements(field, text)?.map_or(Json::Null, Json::Array)
        } else {
            single(field, text)?
        };
        if !whole.repeats {
            put(object(&mut self.value), field, value);
            return Ok(());
        }
        let elements = array(&mut self.value);
        let is_complete = |element: &Json| element.get(&field.key).is_some();
        if !self.is_open || elements.last().is_none_or(is_complete) {
            elements.push(Json::Object(Map::new()));
        }
        self.is_open = true;
        if let Some(element) = elements.last_mut() {
            put(object(element), field, value);
        }
        Ok(())
    }
}

/// A list within an object grows; anything else is set anew.
fn put(object: &mut Map<String, Json>, field: &Field, value: Json) {
    match (object.get_mut(&field.key), value) {
        (Some(Json::Array(there)), Json::Array(more)) => there.extend(more),
        (_, value) => {
            object.insert(field.key.clone(), value);
        }
    }
}

fn array(value: &mut Json) -> &mut Vec<Json> {
    if !value.is_array() {
        *value = Json::Array(Vec::new());
    }
    value.as_array_mut().expect("it is one now")
}

fn object(value: &mut Json) -> &mut Map<String, Json> {
    if !value.is_object() {
        *value = Json::Object(Map::new());
    }
    value.as_object_mut().expect("it is one now")
}

/// What one value of a list adds to it: itself, or all of a list in brackets; `None` for a list that is to be null.
fn elements(field: &Field, text: &str) -> Result<Option<Vec<Json>>, String> {
    if field.is_nullable && text == "null" {
        return Ok(None);
    }
    if field.kind != Kind::Text || text.starts_with('[') {
        return match yaml(text)? {
            Json::Array(elements) => Ok(Some(elements)),
            element => Ok(Some(vec![element])),
        };
    }
    Ok(Some(vec![single_of(field.kind, text)?]))
}

fn single(field: &Field, text: &str) -> Result<Json, String> {
    if field.is_nullable && text == "null" {
        return Ok(Json::Null);
    }
    single_of(field.kind, text)
}

fn single_of(kind: Kind, text: &str) -> Result<Json, String> {
    match kind {
        Kind::Text => file::embedded(text).map(Json::String),
        Kind::Integer => integer(text).map(Json::from),
        Kind::Boolean => boolean(text).map(Json::Bool),
        Kind::Yaml => yaml(text),
    }
}

/// YAML, of which JSON is a part; its texts may name files, and so may all of it.
fn yaml(text: &str) -> Result<Json, String> {
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

/// A whole number in any of the usual bases: `42`, `0x2a`, `0b101010`, `0o52`, `052`, `1_000`.
pub fn integer(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)]
        .into_iter()
        .find_map(|(prefix, base)| Some((base, lower.strip_prefix(prefix)?)))
        .filter(|(_, digits)| !digits.is_empty())
        .unwrap_or((10, &lower));
    let is_grouped_well = !digits.ends_with('_')
        && !digits.contains("__")
        && lower.starts_with(|first: char| first.is_ascii_digit());
    let number = i64::from_str_radix(&format!("{sign}{}", digits.replace('_', "")), base);
    number
        .ok()
        .filter(|_| is_grouped_well)
        .ok_or_else(|| format!("must be a whole number, not '{text}'"))
}

/// True or false.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("must be true or false, not '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{boolean, integer, parse_yaml};

    #[test]
    fn numbers_have_any_of_the_usual_bases() {
        for (text, number) in [
            ("42", 42),
            ("-1", -1),
            ("+7", 7),
            ("0", 0),
            ("0x2A", 42),
            ("0b101010", 42),
            ("0o52", 42),
            ("052", 42),
            ("1_000", 1000),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text), Ok(number), "{text}");
        }
        for text in [
            "",
            "-",
            "x",
            "1.5",
            "08",
            "0x",
            "_1",
            "1_",
            "1__0",
            "9223372036854775808",
        ] {
            assert!(integer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!((boolean("T"), boolean("0")), (Ok(true), Ok(false)));
        assert!(boolean("yes").is_err());
    }

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
