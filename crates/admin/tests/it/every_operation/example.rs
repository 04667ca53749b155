//! Valid requests for all operations. Bodies are generated from their schemas; values that a schema cannot describe, such as
//! a role that can be assigned, are generated here by the name of the field.

use std::sync::atomic::{AtomicU32, Ordering};

use admin::operation::{Effect, Operation, document};
use admin::operations;
use serde_json::{Map, Value, json};
use testkit::{Answer, Client, NOW, Server};

use super::ids::Ids;
use super::schemas::{entry, query_parameters, resolved};
use crate::certificates::authority;

/// Optional fields that examples omit, with the reasons.
const OMITTED_FIELDS: [(&str, &str, &str); 5] = [
    ("projects create", "geography", "`residency` is given"),
    ("users update", "role_id", "`role` is given"),
    ("projects:users create", "email", "`user_id` is given"),
    (
        "projects:rate-limits update-rate-limit",
        "max_images_per_1_minute",
        "the model makes none",
    ),
    (
        "projects:rate-limits update-rate-limit",
        "max_audio_megabytes_per_1_minute",
        "the model hears none",
    ),
];

/// Optional fields that examples must include, with the reasons.
const INCLUDED_FIELDS: [(&str, &str, &str); 1] = [(
    "projects:users create",
    "user_id",
    "one of `user_id` and `email` is",
)];

/// A permission that no key has until a role grants it.
const NEW: &str = "api.organization.projects.write";

/// The fields of a body that are filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// All fields except mutually exclusive ones.
    Everything,
    /// Required fields only.
    Required,
}

/// A generator of valid requests with new resources.
pub(super) struct Examples<'a> {
    server: &'a Server,
    pub(super) client: Client,
    /// The OpenAPI document of this program.
    pub(super) document: Value,
    made: AtomicU32,
}

impl<'a> Examples<'a> {
    pub(super) fn new(server: &'a Server) -> Self {
        Self::by(server, server.admin())
    }

    /// Returns a generator of requests by `client`.
    pub(super) fn by(server: &'a Server, client: Client) -> Self {
        Self {
            server,
            client,
            document: document(&operations()),
            made: AtomicU32::new(0),
        }
    }

    /// Sends an example.
    pub(super) async fn send(&self, operation: &Operation, ids: &Ids, body: &Value) -> Answer {
        let client = match operation.effect {
            Effect::Open => self.server.anonymous(),
            _ => self.client.clone(),
        };
        let body = (!body.is_null()).then(|| body.to_string());
        let path = self.path(operation, ids);
        client.call(operation.method.clone(), &path, body).await
    }

    /// Returns the path with ids and required query parameters.
    pub(super) fn path(&self, operation: &Operation, ids: &Ids) -> String {
        let parameters = query_parameters(&self.document, operation);
        let mut path = ids.path(operation);
        if parameters.contains_key("start_time") {
            path = format!("{path}?start_time={}", NOW.0 - 86_400);
        }
        path
    }

    /// Returns the path of the operation with this command.
    pub(super) fn path_of(&self, command: &str, ids: &Ids) -> String {
        let mut all = operations().into_iter();
        let operation = all.find(|operation| operation.command == command);
        self.path(&operation.expect(command), ids)
    }

    /// Returns the ways of filling in the operation's body that differ. Without optional fields, an update changes nothing.
    pub(super) fn fills(&self, operation: &Operation) -> Vec<Fill> {
        let count = |schema: &Value, key: &str| {
            let (map, list) = (schema[key].as_object(), schema[key].as_array());
            map.map(Map::len).or(list.map(Vec::len)).unwrap_or(0)
        };
        match self.schema(operation) {
            Some(schema)
                if (1..count(schema, "properties")).contains(&count(schema, "required")) =>
            {
                vec![Fill::Required, Fill::Everything]
            }
            _ => vec![Fill::Everything],
        }
    }

    fn schema(&self, operation: &Operation) -> Option<&Value> {
        let body = entry(&self.document, operation).get("requestBody")?;
        let schema = &body["content"]["application/json"]["schema"];
        Some(resolved(&self.document, schema))
    }

    /// Returns a valid body; null if the operation has none.
    pub(super) async fn body(&self, operation: &Operation, ids: &Ids, fill: Fill) -> Value {
        if operation.effect == Effect::Ingest {
            return json!({
                "id": self.name(), "timestamp": NOW.0, "type": "moderations", "project_id": ids.project,
                "input_tokens": 1,
            });
        }
        let Some(schema) = self.schema(operation) else {
            return Value::Null;
        };
        let mut body = Map::new();
        let properties = schema["properties"].as_object().expect("fields");
        for (name, field) in properties {
            let is_in = |table: &[(&str, &str, &str)]| {
                let same = |row: &(&str, &str, _)| (row.0, row.1) == (operation.command, name);
                table.iter().any(same)
            };
            let required = schema["required"].as_array();
            let is_required = required.is_some_and(|required| required.contains(&json!(name)));
            let is_wanted = match fill {
                Fill::Everything => !is_in(&OMITTED_FIELDS),
                Fill::Required => is_in(&INCLUDED_FIELDS),
            };
            if is_required || is_wanted {
                let value = self.field(operation, name, field, ids).await;
                body.insert(name.clone(), value);
            }
        }
        Value::Object(body)
    }

    /// Returns a valid value for a field of a body, after creating the resources that it names.
    async fn field(&self, operation: &Operation, name: &str, schema: &Value, ids: &Ids) -> Value {
        let realm = match operation.path.strip_prefix("/projects/") {
            Some(_) => format!("/projects/{}", ids.project),
            None => "/organization".to_owned(),
        };
        match name {
            // Keys of a project are issued to its members only.
            "user_id" if operation.command == "projects:api-keys create" => json!(ids.user),
            "user_id" => json!(self.server.join(&self.email(), "reader").await),
            "group_id" => {
                self.made("/organization/groups", json!({"name": self.name()}))
                    .await
            }
            "role_id" => {
                let role = json!({"role_name": self.name(), "permissions": [NEW]});
                self.made(&format!("{realm}/roles"), role).await
            }
            "certificate_ids" => {
                let certificate = json!({"certificate": authority(&self.name())});
                let ids_given = json!([self.made("/organization/certificates", certificate).await]);
                if operation.command.ends_with(" deactivate") {
                    let activate = ids.path(operation).replace("/deactivate", "/activate");
                    let body = json!({"certificate_ids": ids_given});
                    self.client.post(&activate, body).await.ok();
                }
                ids_given
            }
            "token" => {
                let email = self.email();
                let invite = json!({"email": email, "role": "reader"});
                self.made("/organization/invites", invite).await;
                json!(self.server.token(&email).await)
            }
            "projects" => json!([{"id": ids.project, "role": "member"}]),
            "permissions" => json!([NEW]),
            "scopes" => json!(["api.model.request"]),
            "certificate" => json!(authority(&self.name())),
            _ => self.plain(name, schema),
        }
    }

    /// Creates a resource and returns its id.
    async fn made(&self, path: &str, body: Value) -> Value {
        self.client.post(path, body).await.ok()["id"].clone()
    }

    /// Returns a value that is valid by its name and schema alone.
    fn plain(&self, name: &str, schema: &Value) -> Value {
        let schema = resolved(&self.document, schema);
        let (first, last) = (
            |key: &str| schema[key].as_array().and_then(|items| items.first()),
            |key: &str| schema[key].as_array().and_then(|items| items.last()),
        );
        // The last value, since the first ones are defaults.
        if let Some(value) = schema.get("const").or(last("enum")) {
            return value.clone();
        }
        if let Some(schema) = last("oneOf").or(first("anyOf")) {
            return self.plain(name, schema);
        }
        match schema["type"]
            .as_str()
            .or(first("type").and_then(Value::as_str))
        {
            // Neither the default nor a value that was set before.
            Some("boolean") => json!(false),
            Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(0) + 1),
            Some("array") => json!([self.plain(name, &schema["items"])]),
            Some("object") => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let filled =
                    properties.map(|(name, schema)| (name.clone(), self.plain(name, schema)));
                Value::Object(filled.collect())
            }
            Some("string") => match name {
                "email" | "recipients" => json!(self.email()),
                "role" => json!("role_project_member"),
                _ => json!(self.name()),
            },
            _ => panic!("teach every_operation/example.rs to fill in `{name}`: {schema}"),
        }
    }

    /// Returns a unique name.
    fn name(&self) -> String {
        format!("Example {}", self.number())
    }

    fn email(&self) -> String {
        format!("example{}@acme.example", self.number())
    }

    fn number(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Advances the clock by a second for every other call.
    pub(super) fn let_time_pass(&self) {
        self.server.clock.advance(i64::from(self.number() % 2));
    }
}
