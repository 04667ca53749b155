//! Audit events of changes: type, actor, time, project and resource; and that the directory follows them.

use admin::operation::{Effect, EventType, Operation};
use serde_json::{Value, json};
use testkit::Server;
use testkit::examples::Ids;

/// Returns the entries of the audit log, newest first. Extension events are listed because all types are named.
pub(super) async fn log(server: &Server, filter: &str) -> Vec<Value> {
    let types = EventType::ALL.iter();
    let types: String = types
        .map(|kind| format!("&event_types[]={}", kind.as_str()))
        .collect();
    let mut entries: Vec<Value> = Vec::new();
    loop {
        let after = entries.last().and_then(|entry| entry["id"].as_str());
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let path = format!("/organization/audit_logs?limit=100{types}{filter}{after}");
        let page = server.admin().get(&path).await.ok();
        entries.extend(page["data"].as_array().expect("entries").iter().cloned());
        if page["has_more"] == false {
            return entries;
        }
    }
}

/// A completed change.
pub(super) struct Change<'a> {
    pub(super) server: &'a Server,
    pub(super) operation: &'a Operation,
    pub(super) ids: &'a Ids,
    pub(super) body: &'a Value,
    pub(super) answer: &'a Value,
}

impl Change<'_> {
    /// Returns the violations in the change's event.
    pub(super) async fn complaints(&self, event: &Value) -> Vec<String> {
        let kind = event["type"].as_str().unwrap_or_default();
        let payload = &event[kind];
        let mut facts = vec![
            ("type", json!(true), json!(is_known(kind))),
            ("keys", keys_of(kind), keys(event)),
            (
                "effective_at",
                json!(self.server.clock.now().0),
                event["effective_at"].clone(),
            ),
            ("actor", self.actor(), event["actor"].clone()),
            ("project", self.project(), event["project"]["id"].clone()),
        ];
        let ids = match self.several(kind) {
            Some((noun, ids)) => {
                let each = payload[noun].as_array().into_iter().flatten();
                let shown = each.map(|one| one["id"].clone()).collect();
                facts.push(("objects", json!(ids), shown));
                ids
            }
            None => {
                let id = self.object(kind, payload);
                facts.push(("object", id.clone(), payload["id"].clone()));
                vec![id]
            }
        };
        for id in ids {
            let filter = format!("&resource_ids[]={}", id.as_str().unwrap_or_default());
            let found = log(self.server, &filter).await;
            facts.push((
                "found by its object",
                json!(true),
                json!(found.contains(event)),
            ));
        }
        let [in_memory, in_database] = self.server.pictures().await;
        facts.push(("keys in memory", json!(in_database.0), json!(in_memory.0)));
        if in_memory.1 != in_database.1 {
            let [now, before] = [in_database.1, in_memory.1].map(|all| json!(format!("{all:?}")));
            facts.push(("settings in memory", now, before));
        }
        let wrong = facts
            .into_iter()
            .filter(|(_, expected, found)| expected != found);
        wrong
            .map(|(what, expected, found)| {
                let command = self.operation.command;
                format!("{command}: {what} of its event: {found} is not {expected}; {event}")
            })
            .collect()
    }

    /// Returns the expected actor: the caller with the key, or a session without a key.
    fn actor(&self) -> Value {
        if self.operation.effect == Effect::Open {
            let user = json!({"id": self.answer["id"], "email": self.answer["email"]});
            return json!({"type": "session", "session": {"user": user}});
        }
        let user = json!({"id": self.server.owner_id(), "email": "ada@acme.example"});
        let key = json!({"id": self.ids.owners_key, "type": "user", "user": user});
        json!({"type": "api_key", "api_key": key})
    }

    /// Returns the expected project: that of the change, or the default project.
    fn project(&self) -> Value {
        const OWN_KEYS: &str = "/organization/me/api_keys";
        if let Some(rest) = self.operation.path.strip_prefix(OWN_KEYS) {
            let own = || self.ids.at(&format!("{OWN_KEYS}/{{api_key_id}}"));
            return if rest.is_empty() {
                self.body["project_id"].clone()
            } else {
                own().answer["project"]["id"].clone()
            };
        }
        if self.operation.path.contains("{project_id}") {
            json!(self.ids.at("/organization/projects/{project_id}").id)
        } else if self.answer["object"] == "organization.project" {
            self.answer["id"].clone()
        } else {
            json!(self.server.default_project_id())
        }
    }

    /// Returns the field and the ids of an event about several resources.
    fn several<'k>(&self, kind: &'k str) -> Option<(&'k str, Vec<Value>)> {
        let (noun, _) = kind.split_once('.')?;
        let field = format!("{}_ids", noun.strip_suffix('s')?);
        Some((noun, self.body[field].as_array()?.clone()))
    }

    /// Returns the id of the resource of an event, by the first word of its type.
    fn object(&self, kind: &str, payload: &Value) -> Value {
        let noun = kind
            .trim_start_matches("x.")
            .split('.')
            .next()
            .unwrap_or_default();
        if self.operation.effect == Effect::Open {
            // The response is the user, and the path does not contain the invite.
            assert_eq!(payload["user_id"], self.answer["id"]);
            return payload["id"].clone();
        }
        if kind.starts_with("role.assignment.") {
            return self.assignment();
        }
        let parameter = format!("{noun}_id");
        let mut parameters = self.operation.path_parameters();
        let is_key = |name: &str| noun == "api_key" && name == "key_id";
        if let Some(name) = parameters.find(|name| *name == parameter || is_key(name)) {
            return json!(self.ids.id(self.operation, name));
        }
        let answered = [&self.answer[noun]["id"], &self.answer["id"]];
        if let Some(id) = answered.into_iter().find(|id| id.is_string()) {
            return id.clone();
        }
        if self.operation.path.contains("{project_id}") {
            return json!(self.ids.at("/organization/projects/{project_id}").id);
        }
        json!(self.server.organization_id())
    }
}

impl Change<'_> {
    /// Returns the id of an assignment, from the role in the path or response and the principal in the path.
    fn assignment(&self) -> Value {
        let named = |parameter: &str| {
            let mut parameters = self.operation.path_parameters();
            let name = parameters.find(|name| *name == parameter)?;
            Some(self.ids.id(self.operation, name))
        };
        let role = named("role_id").or(self.answer["role"]["id"].as_str());
        let principal = named("user_id").or(named("group_id"));
        let [role, principal] = [role, principal].map(|id| id.expect("an id"));
        json!(format!("role_assignment_{role}_{principal}"))
    }
}

fn is_known(name: &str) -> bool {
    EventType::ALL.iter().any(|kind| kind.as_str() == name)
}

/// Returns the expected fields of an entry, with the details in a field named after its type.
fn keys_of(kind: &str) -> Value {
    let mut keys = ["actor", "effective_at", "id", "project", "type", kind];
    keys.sort_unstable();
    json!(keys)
}

fn keys(event: &Value) -> Value {
    let map = event.as_object().expect("an entry");
    json!(map.keys().collect::<Vec<_>>())
}
