//! The OpenAPI 3.1 document, generated from the registry.

mod schemas;
mod tags;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::{Effect, Operation};

/// The introduction of the document.
const ABOUT: &str = "\
The Administration API of a self-hosted organization for language-model APIs, as OpenAI publishes it, with extensions that are \
marked `x-orgplane`. Requests carry an admin key as bearer token; `x-permission` is what its owner needs; with `x-own` \
the owner needs no permission, and a restricted key this scope. Every refusal is \
`{\"error\": {\"message\", \"type\", \"param\", \"code\"}}`. Lists are read page by page with `limit` and `after`. In query strings, \
lists of ids and words may be repeated parameters or one value with commas.";

/// Returns the document that describes `operations`.
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
    let refused = |description| json!({ "description": description, "headers": headers(None), "content": content(&error) });
    let responses = json!({
        "Refused": refused("Refused: the request, its key or the present state does not allow it."),
        "Failed": refused("Failed, through no fault of the request."),
    });
    let mut paths: Map<String, Json> = Map::new();
    for operation in operations {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_lowercase();
        item[method] = entry(operation, &mut input, &mut output);
    }
    let mut schemas = output.take_definitions(true);
    schemas.extend(input.take_definitions(true));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "orgplane",
            "summary": "A self-hosted organization for language-model APIs.",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/v1" }],
        "tags": tags::tags(operations),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": {
                "RequestId": { "required": true, "description": "Names the request in the log.",
                               "schema": { "type": "string", "pattern": "^req_[0-9A-Z]{26}$" } },
                "Milliseconds": { "required": true, "description": "How long it took.",
                                  "schema": { "type": "integer", "minimum": 0 } },
                "Version": { "required": true, "description": "The version of the API.",
                             "schema": { "type": "string", "const": "2020-10-01" } },
                "Organization": { "required": true, "description": "The organization of the key.",
                                  "schema": { "type": "string", "pattern": "^org-" } },
                "Revision": { "required": true,
                              "description": "The revision of the change. A request to another node that sends the header back is answered as of the change.",
                              "schema": { "type": "integer", "minimum": 0 } },
            },
            "securitySchemes": {
                "AdminApiKey": { "type": "http", "scheme": "bearer", "description": "An admin key: sk-admin-…" },
                "ProjectApiKey": { "type": "http", "scheme": "bearer", "description": "A project key." },
            },
        },
    });
    schemas::simplify(&mut document);
    schemas::remove_unused(&mut document);
    document
}

/// The body of every answer that is not a success.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ErrorResponse {
    error: ErrorBody,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ErrorBody {
    /// The description of the error.
    message: String,
    /// The category of the error.
    r#type: String,
    /// The parameter or field at fault.
    param: Option<String>,
    /// The stable identifier of the error.
    code: Option<String>,
}

fn entry(operation: &Operation, input: &mut SchemaGenerator, output: &mut SchemaGenerator) -> Json {
    let reply = (operation.reply)(output).to_value();
    let mut entry = json!({
        "operationId": operation.command.replace([':', ' '], "-"),
        "summary": operation.about,
        "tags": [tags::tag(operation)],
        "security": security(operation),
        "parameters": parameters(operation, input),
        "responses": {
            "200": { "description": "Done.", "headers": headers(Some(operation)), "content": answers(operation, &reply) },
            "4XX": { "$ref": "#/components/responses/Refused" },
            "5XX": { "$ref": "#/components/responses/Failed" },
        },
    });
    if let Some(needs) = operation.needs {
        entry["x-permission"] = json!(needs.as_str());
    }
    if let Some(scope) = operation.own {
        entry["x-own"] = json!(scope.as_str());
    }
    if let Some(body) = operation.body {
        let schema = body(input);
        if !is_empty(&schema, input) {
            let required = has_required(&schema, input);
            entry["requestBody"] =
                json!({ "required": required, "content": content(schema.as_value()) });
        }
    }
    if operation.extension {
        entry["x-orgplane"] = json!(true);
    }
    entry
}

fn content(schema: &Json) -> Json {
    json!({ "application/json": { "schema": schema } })
}

/// Returns the content of a success, by media type.
fn answers(operation: &Operation, reply: &Json) -> Json {
    let mut answers = content(reply);
    for other in operation.other_types {
        answers[*other] = json!({ "schema": { "type": "string" } });
    }
    answers
}

/// Returns the headers of an answer: all have the first three, a success with a key also has the key's organization, and a change its revision.
fn headers(succeeded: Option<&Operation>) -> Json {
    let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({
        "x-request-id": header("RequestId"),
        "openai-processing-ms": header("Milliseconds"),
        "openai-version": header("Version"),
    });
    if succeeded.is_some_and(|operation| operation.effect != Effect::Open) {
        headers["openai-organization"] = header("Organization");
    }
    let is_change =
        |operation: &Operation| matches!(operation.effect, Effect::Write | Effect::Open);
    if succeeded.is_some_and(is_change) {
        headers["x-orgplane-revision"] = header("Revision");
    }
    headers
}

fn security(operation: &Operation) -> Json {
    match operation.effect {
        Effect::Read if operation.own.is_some() => {
            json!([{ "AdminApiKey": [] }, { "ProjectApiKey": [] }])
        }
        Effect::Ingest => json!([{ "AdminApiKey": [] }, { "ProjectApiKey": [] }]),
        Effect::Open => json!([]),
        Effect::Read | Effect::Write => json!([{ "AdminApiKey": [] }]),
    }
}

/// Returns true if the schema is that of an object without properties.
fn is_empty(schema: &Schema, generator: &SchemaGenerator) -> bool {
    resolved(schema, generator).get("properties").is_none()
}

/// Returns true if the schema is that of an object with required properties.
fn has_required(schema: &Schema, generator: &SchemaGenerator) -> bool {
    resolved(schema, generator).get("required").is_some()
}

/// Returns the schema that a reference names; any other schema itself.
fn resolved<'a>(schema: &'a Schema, generator: &'a SchemaGenerator) -> &'a Json {
    let name = schema
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|path| path.rsplit('/').next());
    let definition = name.and_then(|name| generator.definitions().get(name));
    definition.unwrap_or(schema.as_value())
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
        if schema.get("x-orgplane").is_some() {
            parameter["x-orgplane"] = json!(true);
        }
        if schema.get("properties").is_some() || schema.get("$ref").is_some() {
            parameter["style"] = json!("deepObject");
        }
        parameters.push(parameter);
    }
    json!(parameters)
}

/// Removes `null` from a schema: parameters of a query string are absent instead.
fn without_null(schema: &Json) -> Json {
    let is_null = |schema: &Json| schema == "null" || schema["type"] == "null";
    let mut schema = schema.clone();
    let Some(map) = schema.as_object_mut() else {
        return schema;
    };
    if map.get("default").is_some_and(Json::is_null) {
        map.remove("default");
    }
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
