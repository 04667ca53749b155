//! Simplification of schemas to forms that client generators support, and removal of unused ones.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

/// Rewrites every schema in `part`: a choice of constants becomes an `enum`, and a choice of one schema that schema.
pub(super) fn simplify(part: &mut Json) {
    match part {
        Json::Array(items) => items.iter_mut().for_each(simplify),
        Json::Object(schema) => {
            schema.values_mut().for_each(simplify);
            enumerate(schema);
            unwrap_single(schema);
        }
        _ => {}
    }
}

/// Converts a `oneOf` of string constants into an `enum`; their descriptions go to `x-enum-descriptions`.
fn enumerate(schema: &mut Map<String, Json>) {
    let Some(choices) = schema.get("oneOf").and_then(Json::as_array) else {
        return;
    };
    let Some(words) = choices.iter().map(words).collect::<Option<Vec<_>>>() else {
        return;
    };
    let (names, meanings): (Vec<_>, Vec<_>) = words.into_iter().flatten().unzip();
    let is_described = meanings.iter().any(|meaning: &String| !meaning.is_empty());
    let (names, meanings) = (json!(names), json!(meanings));
    schema.remove("oneOf");
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), names);
    if is_described {
        schema.insert("x-enum-descriptions".to_owned(), meanings);
    }
}

/// Returns the string constants that a schema allows, each with its description; `None` if it allows other values.
fn words(schema: &Json) -> Option<Vec<(String, String)>> {
    let meaning = schema["description"].as_str().unwrap_or_default();
    let listed = schema["enum"].as_array().map(Vec::as_slice);
    let names = schema.get("const").map(std::slice::from_ref).or(listed)?;
    let word = |name: &Json| Some((name.as_str()?.to_owned(), meaning.to_owned()));
    names.iter().map(word).collect()
}

/// Replaces an `anyOf` of one schema by that schema; the outer schema's keywords take precedence.
fn unwrap_single(schema: &mut Map<String, Json>) {
    let only = match schema
        .get("anyOf")
        .and_then(Json::as_array)
        .map(Vec::as_slice)
    {
        Some([Json::Object(only)]) => only.clone(),
        _ => return,
    };
    schema.remove("anyOf");
    for (name, value) in only {
        schema.entry(name).or_insert(value);
    }
}

/// Removes the schemas of the document that no reference names.
pub(super) fn remove_unused(document: &mut Json) {
    let schemas = document["components"]["schemas"].take();
    let Json::Object(mut schemas) = schemas else {
        return;
    };
    let mut used = BTreeSet::new();
    let mut waiting = Vec::new();
    collect(document, &mut waiting);
    while let Some(name) = waiting.pop() {
        if let Some(schema) = schemas.get(&name)
            && used.insert(name)
        {
            collect(schema, &mut waiting);
        }
    }
    schemas.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = Json::Object(schemas);
}

/// Collects the names of the schemas that `part` refers to.
fn collect(part: &Json, names: &mut Vec<String>) {
    match part {
        Json::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Json::Object(map) => {
            let reference = map.get("$ref").and_then(Json::as_str);
            let name = reference.and_then(|path| path.strip_prefix("#/components/schemas/"));
            names.extend(name.map(str::to_owned));
            map.values().for_each(|value| collect(value, names));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simplified(mut schema: Json) -> Json {
        simplify(&mut schema);
        schema
    }

    #[test]
    fn strangers_16_choice_of_constants_becomes_an_enum() {
        let word = |name: &str, meaning: &str| json!({"const": name, "type": "string", "description": meaning});
        let schema = json!({"description": "d", "oneOf": [
            {"type": "string", "enum": ["a", "b"]}, word("c", "C."),
        ]});
        let expected = json!({"description": "d", "type": "string", "enum": ["a", "b", "c"],
                              "x-enum-descriptions": ["", "", "C."]});
        assert_eq!(simplified(schema), expected);
        let plain = json!({"oneOf": [{"const": "a"}, {"const": "b"}]});
        let expected = json!({"type": "string", "enum": ["a", "b"]});
        assert_eq!(simplified(plain), expected);
        let others = json!({"oneOf": [{"const": "a"}, {"type": "object"}]});
        assert_eq!(simplified(others.clone()), others);
    }

    #[test]
    fn strangers_15_choice_of_one_schema_becomes_that_schema() {
        let schema = json!({"description": "outer", "anyOf": [
            {"description": "inner", "oneOf": [{"const": "a"}]},
        ]});
        let expected = json!({"description": "outer", "type": "string", "enum": ["a"]});
        assert_eq!(simplified(schema), expected);
        let nullable = json!({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]});
        assert_eq!(simplified(nullable.clone()), nullable);
    }

    #[test]
    fn strangers_15_unused_schemas_are_removed() {
        let to = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let schemas = json!({"A": {"items": to("B")}, "B": {"x": to("A")}, "C": to("C")});
        let mut document = json!({"paths": {"/": to("A")}, "components": {"schemas": schemas}});
        remove_unused(&mut document);
        let left = document["components"]["schemas"].as_object();
        let left: Vec<_> = left.expect("schemas").keys().collect();
        assert_eq!(left, ["A", "B"]);
    }
}
