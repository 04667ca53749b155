//! A valid request for every operation. Bodies are made from their schemas; what a schema cannot say, such as which
//! role can be assigned, is made here by the name of the field.

use std::sync::atomic::{AtomicU32, Ordering};

use admin::operation::{Effect, Operation, document};
use admin::operations;
use serde_json::{Map, Value, json};
use testkit::{Answer, Client, NOW, Server};

use super::ids::Ids;
use super::schemas::{entry, query_parameters, resolved};
use crate::certificates::authority;

/// Optional fields that an example leaves out, and why.
const LEFT_OUT: [(&str, &str, &str); 5] = [
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

/// Fields that an example has to have, though they are not required by themselves, and why.
const NEEDED: [(&str, &str, &str); 1] = [(
    "projects:users create",
    "user_id",
    "one of `user_id` and `email` is",
)];

/// A permission that no key has until a role gives it.
const NEW: &str = "api.organization.projects.write";

/// How much of a body is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Every field but those that exclude each other.
    Everything,
    /// What is required.
    Required,
}

/// Makes requests that succeed, each with new things in it.
pub(super) struct Examples<'a> {
    server: &'a Server,
    pub(super) client: Client,
    /// Our own document.
    pub(super) document: Value,
    made: AtomicU32,
}

impl<'a> Examples<'a> {
    pub(super) fn new(server: &'a Server) -> Self {
        Self::by(server, server.admin())
    }

    /// Requests of somebody else.
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

    /// The path with ids, and with the query parameters that are required.
    pub(super) fn path(&self, operation: &Operation, ids: &Ids) -> String {
        let parameters = query_parameters(&self.document, operation);
        let mut path = ids.path(operation);
        if parameters.contains_key("start_time") {
            path = format!("{path}?start_time={}", NOW.0 - 86_400);
        }
        path
    }

    /// The path of the operation with this command.
    pub(super) fn path_of(&self, command: &str, ids: &Ids) -> String {
        let mut all = operations().into_iter();
        let operation = all.find(|operation| operation.command == command);
        self.path(&operation.expect(command), ids)
    }

    /// The ways to fill the operation's body in that differ. Without what is optional, an update changes nothing.
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

    /// A body that is accepted; null when there is none.
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
                Fill::Everything => !is_in(&LEFT_OUT),
                Fill::Required => is_in(&NEEDED),
            };
            if is_required || is_wanted {
                let value = self.field(operation, name, field, ids).await;
                body.insert(name.clone(), value);
            }
        }
        Value::Object(body)
    }

    /// A value for a field of a body. The first part is what has to be there before.
    async fn field(&self, operation: &Operation, name: &str, schema: &Value, ids: &Ids) -> Value {
        let realm = match operation.path.strip_prefix("/projects/") {
            Some(_) => format!("/projects/{}", ids.project),
            None => "/organization".to_owned(),
        };
        match name {
            // A project's keys are for those who are in it.
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

    /// The id of a new thing.
    async fn made(&self, path: &str, body: Value) -> Value {
        self.client.post(path, body).await.ok()["id"].clone()
    }

    /// A value that its name and schema suffice for.
    fn plain(&self, name: &str, schema: &Value) -> Value {
        let schema = resolved(&self.document, schema);
        let (first, last) = (
            |key: &str| schema[key].as_array().and_then(|items| items.first()),
            |key: &str| schema[key].as_array().and_then(|items| items.last()),
        );
        // The last word, since the first ones are what is the case without being set.
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
            // Not the default, nor what was set already.
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

    /// Something that was never said before.
    fn name(&self) -> String {
        format!("Example {}", self.number())
    }

    fn email(&self) -> String {
        format!("example{}@acme.example", self.number())
    }

    fn number(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// Now and then a second passes.
    pub(super) fn let_time_pass(&self) {
        self.server.clock.advance(i64::from(self.number() % 2));
    }
}
