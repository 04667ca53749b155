//! Valid requests for all operations, made from the registry and from the schemas of the published document.

mod ids;
mod query;
mod schemas;
mod value;

use std::sync::atomic::{AtomicU32, Ordering};

use admin::operation::{Effect, Operation, document};
use admin::operations;
use base::ids::{Id, OrganizationId, UserId};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{Answer, Client, NOW, Server};

pub use ids::{Ids, Resource};
pub use query::in_order;
pub use schemas::{entry, is_list, query_parameters, resolved};

use schemas::Alternatives;

/// The addition of items to a collection without a `POST` at its path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Addition {
    /// The operation with this command adds an item.
    Operation(&'static str),
    /// A sign-in of the user in the path, or else of the caller, adds a session.
    SignIn,
    /// The user in the path becomes a member of a new item of this collection.
    Membership(&'static str),
    /// The configuration has the items.
    Configuration,
}

/// Collections without a `POST` at their path.
const ADDED_BY: [(&str, Addition); 9] = [
    // Every change is an entry.
    (
        "/organization/audit_logs",
        Addition::Operation("groups create"),
    ),
    // Keys of all projects.
    (
        "/organization/api_keys",
        Addition::Operation("me:api-keys create"),
    ),
    // A user joins by an invitation.
    ("/organization/users", Addition::Operation("invites accept")),
    // A project lists the certificates of its organization.
    (
        "/organization/projects/{project_id}/certificates",
        Addition::Operation("certificates create"),
    ),
    // Models come from the configuration.
    (
        "/organization/projects/{project_id}/rate_limits",
        Addition::Configuration,
    ),
    (
        "/organization/users/{user_id}/groups",
        Addition::Membership("/organization/groups"),
    ),
    (
        "/organization/users/{user_id}/projects",
        Addition::Membership("/organization/projects"),
    ),
    ("/organization/users/{user_id}/sessions", Addition::SignIn),
    (OWN_SESSIONS, Addition::SignIn),
];

/// Collection of the caller's sessions.
const OWN_SESSIONS: &str = "/organization/me/sessions";

/// Operations that need another operation with the same body before them, by the last segments of both paths.
const PRECEDED_BY: [(&str, &str); 1] = [("/deactivate", "/activate")];

/// Returns the operation with this command.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn operation(command: &str) -> Operation {
    let mut all = operations().into_iter();
    let operation = all.find(|operation| operation.command == command);
    operation.unwrap_or_else(|| panic!("there is no operation `{command}`"))
}

/// Returns the operation that adds an item to the collection at `path`.
#[must_use]
pub fn adder(path: &str) -> Option<Operation> {
    match addition(path) {
        Some(Addition::Operation(command)) => Some(operation(command)),
        Some(Addition::SignIn | Addition::Membership(_) | Addition::Configuration) => None,
        None => operations()
            .into_iter()
            .find(|operation| operation.method == Method::POST && operation.path == path),
    }
}

fn addition(path: &str) -> Option<Addition> {
    let mut all = ADDED_BY.iter();
    let found = all.find(|(collection, _)| *collection == path);
    found.map(|(_, addition)| *addition)
}

/// Returns true if nothing adds to the collection at `path`.
#[must_use]
pub fn is_fixed(path: &str) -> bool {
    addition(path) == Some(Addition::Configuration)
}

/// The fields of a body that are filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All fields except mutually exclusive ones.
    Everything,
    /// Required fields only.
    Required,
}

/// A generator of valid requests with new resources.
pub struct Examples<'a> {
    server: &'a Server,
    /// The sender of the requests.
    pub client: Client,
    /// The OpenAPI document of this program.
    pub document: Value,
    ticks: AtomicU32,
}

impl<'a> Examples<'a> {
    /// Returns a generator of requests by an owner.
    #[must_use]
    pub fn new(server: &'a Server) -> Self {
        Self::by(server, server.admin())
    }

    /// Returns a generator of requests by `client`.
    #[must_use]
    pub fn by(server: &'a Server, client: Client) -> Self {
        Self {
            server,
            client,
            document: document(&operations()),
            ticks: AtomicU32::new(0),
        }
    }

    /// Sends an example.
    pub async fn send(&self, operation: &Operation, ids: &Ids, body: &Value) -> Answer {
        let client = match operation.effect {
            Effect::Open => self.server.anonymous(),
            _ => self.client.clone(),
        };
        let body = (!body.is_null()).then(|| body.to_string());
        let path = self.path(operation, ids);
        client.call(operation.method.clone(), &path, body).await
    }

    /// Returns the path with ids and required query parameters.
    #[must_use]
    pub fn path(&self, operation: &Operation, ids: &Ids) -> String {
        let parameters = query_parameters(&self.document, operation);
        let mut path = ids.path(operation);
        if parameters.contains_key("start_time") {
            path = format!("{path}?start_time={}", NOW.0 - 86_400);
        }
        path
    }

    /// Returns the path of the operation with this command.
    #[must_use]
    pub fn path_of(&self, command: &str, ids: &Ids) -> String {
        self.path(&operation(command), ids)
    }

    /// Returns the ways of filling in the operation's body that differ. Without optional fields, an update changes nothing.
    #[must_use]
    pub fn fills(&self, operation: &Operation) -> Vec<Fill> {
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

    /// Returns a valid body after creating the resources that the body names; null if the operation has none. The body of
    /// an update differs from the current state.
    ///
    /// # Panics
    /// If a schema does not say enough.
    pub async fn body(&self, operation: &Operation, ids: &Ids, fill: Fill) -> Value {
        if operation.effect == Effect::Ingest {
            // The fields depend on the type, and the time on the clock.
            return json!({
                "id": ids.name(), "timestamp": NOW.0, "type": "moderations",
                "project_id": ids.at("/organization/projects/{project_id}").id, "input_tokens": 1,
            });
        }
        let Some(schema) = self.schema(operation) else {
            return Value::Null;
        };
        let (current, alternatives) =
            (self.current(operation, ids).await, Alternatives::of(schema));
        let mut body = Map::new();
        let properties = schema["properties"].as_object().expect("fields");
        for (name, field) in properties {
            let required = schema["required"].as_array();
            let is_required = required.is_some_and(|required| required.contains(&json!(name)));
            let is_wanted = match fill {
                Fill::Everything => !alternatives.omitted.contains(name),
                Fill::Required => alternatives.needed.contains(name),
            };
            if is_required || is_wanted {
                let current = current.get(name).unwrap_or(&current);
                let value = self.value(operation, ids, (name.clone(), field, current));
                body.insert(name.clone(), value.await);
            }
        }
        let body = Value::Object(body);
        self.precede(operation, ids, &body).await;
        body
    }

    /// Sends the request that must precede the operation's, if any.
    async fn precede(&self, operation: &Operation, ids: &Ids, body: &Value) {
        for (last, before) in PRECEDED_BY {
            if let Some(parent) = ids.path(operation).strip_suffix(last) {
                let path = format!("{parent}{before}");
                self.client.post(&path, body.clone()).await.ok();
            }
        }
    }

    /// Adds an item to the collection at `path`.
    ///
    /// # Panics
    /// The item is refused, or nothing adds any.
    pub async fn add(&self, path: &str, ids: &Ids) {
        if addition(path) == Some(Addition::SignIn) {
            self.sign_in(path, ids).await;
            return;
        }
        if let Some(Addition::Membership(items)) = addition(path) {
            self.join(items, ids).await;
            return;
        }
        let adder = adder(path).unwrap_or_else(|| {
            panic!("say in ADDED_BY of testkit/src/examples.rs what adds to {path}")
        });
        let body = self.body(&adder, ids, Fill::Required).await;
        self.let_time_pass();
        self.send(&adder, ids, &body).await.ok();
    }

    /// Makes the user that paths name a member of a new item.
    async fn join(&self, items: &str, ids: &Ids) {
        let create = adder(items).unwrap_or_else(|| panic!("nothing adds to {items}"));
        let body = self.body(&create, ids, Fill::Required).await;
        self.let_time_pass();
        let item = self.send(&create, ids, &body).await.ok();
        let item = item["id"].as_str().expect("an id");
        let mut member = json!({"user_id": ids.at("/organization/users/{user_id}").id});
        if items == "/organization/projects" {
            member["role"] = json!("member");
        }
        let path = format!("{items}/{item}/users");
        self.client.post(&path, member).await.ok();
    }

    /// Adds an item to each collection of memberships.
    pub(crate) async fn add_memberships(&self, ids: &Ids) {
        for (_, addition) in ADDED_BY {
            if let Addition::Membership(items) = addition {
                self.join(items, ids).await;
            }
        }
    }

    /// Signs in the user whose sessions are at `collection`: the caller, or the user that paths name.
    async fn sign_in(&self, collection: &str, ids: &Ids) {
        self.let_time_pass();
        if collection == OWN_SESSIONS {
            let me = self.client.get("/organization/me").await.ok();
            let id = |kind: &str| me[kind]["id"].as_str().expect("an id").to_owned();
            let (organization, user) = (id("organization"), id("user"));
            let organization = OrganizationId::from_text(organization);
            let user = UserId::from_text(user);
            self.server.sign_in_to(&organization, &user).await;
            return;
        }
        let user = ids.at("/organization/users/{user_id}").id.clone();
        self.server.sign_in(&UserId::from_text(user)).await;
    }

    /// Advances the clock by a second for every other call.
    pub fn let_time_pass(&self) {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        self.server.clock.advance(i64::from(tick % 2));
    }

    /// Returns the state that a `POST` at the operation's path updates; null if nothing is there, or a list.
    async fn current(&self, operation: &Operation, ids: &Ids) -> Value {
        let reads = operations().into_iter().any(|read| {
            read.method == Method::GET
                && read.path == operation.path
                && !is_list(&self.document, &read)
        });
        if !reads {
            return Value::Null;
        }
        let answer = self.client.get(&ids.path(operation)).await;
        if answer.status == 200 {
            answer.json
        } else {
            Value::Null
        }
    }
}
