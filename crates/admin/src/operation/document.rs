//! Our own OpenAPI 3.1 document, made from the registry.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::{Effect, Operation};

/// The document that describes `operations`.
#[must_use]
pub fn document(operations: &[Operation]) -> Json {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut input = settings().for_deserialize().into_generator();
    let mut output = settings().for_serialize().into_generator();
    let error = output.subschema_for::<ErrorResponse>().to_value();
    let mut paths: Map<String, Json> = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_lowercase();
        item[method] = entry(operation, &mut input, &mut output, &error);
    }
    let mut schemas = output.take_definitions(true);
    schemas.extend(input.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "orgplane",
            "summary": "A self-hosted organization for language-model APIs.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/v1" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "AdminApiKey": { "type": "http", "scheme": "bearer", "description": "An admin key: sk-admin-…" },
                "ProjectApiKey": { "type": "http", "scheme": "bearer", "description": "A project key." },
            },
        },
    })
}

/// The body of every answer that is not a success.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct ErrorResponse {
    error: ErrorBody,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct ErrorBody {
    message: String,
    r#type: String,
    param: Option<String>,
    code: Option<String>,
}

fn entry(
    operation: &Operation,
    input: &mut SchemaGenerator,
    output: &mut SchemaGenerator,
    error: &Json,
) -> Json {
    let error = json!({ "description": "Refused.", "content": { "application/json": { "schema": error } } });
    let reply = (operation.reply)(output).to_value();
    let mut entry = json!({
        "operationId": operation.command.replace([':', ' '], "-"),
        "summary": operation.about,
        "security": security(operation.effect),
        "parameters": parameters(operation, input),
        "responses": {
            "200": { "description": "Done.", "content": { "application/json": { "schema": reply } } },
            "400": error, "401": error, "403": error, "404": error,
        },
    });
    if let Some(needs) = operation.needs {
        entry["x-permission"] = json!(needs.as_str());
    }
    if let Some(body) = operation.body {
        let schema = body(input);
        if !is_empty(&schema, input) {
            entry["requestBody"] =
                json!({ "content": { "application/json": { "schema": schema } } });
        }
    }
    if operation.extension {
        entry["x-orgplane"] = json!(true);
    }
    entry
}

fn security(effect: Effect) -> Json {
    match effect {
        Effect::Ingest => json!([{ "AdminApiKey": [] }, { "ProjectApiKey": [] }]),
        Effect::Open => json!([]),
        Effect::Read | Effect::Write => json!([{ "AdminApiKey": [] }]),
    }
}

/// Whether a schema is that of an object without properties.
fn is_empty(schema: &Schema, generator: &SchemaGenerator) -> bool {
    let name = schema
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|path| path.rsplit('/').next());
    name.and_then(|name| generator.definitions().get(name))
        .is_some_and(|schema| schema.get("properties").is_none())
}

fn parameters(operation: &Operation, input: &mut SchemaGenerator) -> Json {
    let mut parameters: Vec<Json> = operation
        .path_parameters()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let query = (operation.query)(input);
    let required: Vec<&str> = query
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let properties = query
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten();
    for (name, schema) in properties {
        let schema = &without_null(schema);
        let mut parameter = json!({ "name": name, "in": "query", "schema": schema });
        parameter["required"] = json!(required.contains(&name.as_str()));
        if let Some(description) = schema.get("description") {
            parameter["description"] = description.clone();
        }
        if schema.get("properties").is_some() || schema.get("$ref").is_some() {
            parameter["style"] = json!("deepObject");
        }
        parameters.push(parameter);
    }
    json!(parameters)
}

/// The schema of what a query string can hold: a parameter is absent rather than null.
fn without_null(schema: &Json) -> Json {
    let is_null = |schema: &Json| schema == "null" || schema["type"] == "null";
    let mut schema = schema.clone();
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    for name in ["type", "anyOf", "enum"] {
        if let Some(Json::Array(alternatives)) = map.get_mut(name) {
            alternatives.retain(|alternative| !is_null(alternative) && !alternative.is_null());
            if let [only] = alternatives.as_slice()
                && name == "type"
            {
                let only = only.clone();
                map.insert(name.to_owned(), only);
            }
        }
    }
    for field in map
        .get_mut("properties")
        .and_then(Json::as_object_mut)
        .into_iter()
        .flatten()
    {
        *field.1 = without_null(field.1);
    }
    schema
}
