//! Values of fields, made from their schemas.

use std::pin::Pin;

use admin::operation::Operation;
use base::Permission;
use base::permission::{OrganizationRole, ProjectRole};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::{Map, Value, json};

use super::{Examples, Ids, operation, resolved};

/// The schema of the names of permissions.
const PERMISSION: &str = "#/components/schemas/Permission";
/// The media type of certificates in PEM.
const PEM: &str = "application/pem-certificate-chain";

/// A field of a body: its name, its schema, and its current value, or the whole current state if the state has no such field.
type Field<'f> = (String, &'f Value, &'f Value);

/// A value that is being made.
type Making<'m> = Pin<Box<dyn Future<Output = Value> + Send + 'm>>;

impl Examples<'_> {
    /// Returns a valid value for a field of a body, after creating the resources that the value names.
    pub(super) fn value<'m>(
        &'m self,
        operation: &'m Operation,
        ids: &'m Ids,
        (name, schema, current): Field<'m>,
    ) -> Making<'m> {
        Box::pin(async move {
            if name.ends_with("_id")
                && let Some(id) = self.named(operation, &name, ids).await
            {
                return id;
            }
            if schema["$ref"] == PERMISSION {
                return json!(new_permission(ids));
            }
            let schema = resolved(&self.document, schema);
            if let Some(value) = constant(schema, current) {
                return value;
            }
            for (choice, is_last) in [("oneOf", true), ("anyOf", false)] {
                if let Some(choices) = schema[choice].as_array() {
                    let choice = if is_last {
                        choices.last()
                    } else {
                        choices.first()
                    };
                    let schema = choice.expect("a choice");
                    return self.value(operation, ids, (name, schema, current)).await;
                }
            }
            match kind(schema) {
                "array" => {
                    let one = name.strip_suffix('s').unwrap_or(&name).to_owned();
                    let item = (one, &schema["items"], current);
                    json!([self.value(operation, ids, item).await])
                }
                "object" => {
                    let mut object = Map::new();
                    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                        // The id in an object that is called `project` is that of a project.
                        let name = match field.as_str() {
                            "id" => format!("{name}_id"),
                            _ => field.clone(),
                        };
                        let current = current.get(field).unwrap_or(current);
                        let value = self.value(operation, ids, (name, schema, current));
                        object.insert(field.clone(), value.await);
                    }
                    Value::Object(object)
                }
                "boolean" => json!(*current == false),
                "integer" => {
                    let amount = schema["minimum"].as_i64().unwrap_or(0) + 1;
                    json!(amount + i64::from(*current == amount))
                }
                "string" => json!(self.text(&name, schema, ids).await),
                other => panic!("testkit/src/examples/value.rs makes no {other}: {name}, {schema}"),
            }
        })
    }

    async fn text(&self, name: &str, schema: &Value, ids: &Ids) -> String {
        if let Some(example) = schema["examples"][0].as_str() {
            return example.to_owned();
        }
        if schema["contentMediaType"] == PEM {
            return authority(&ids.name());
        }
        if schema["format"] == "email" {
            return format!("example{}@acme.example", ids.number());
        }
        // The token of an invitation is in its mail.
        if name == "token" {
            let invite = operation("invites create");
            let body = self.body(&invite, ids, super::Fill::Required).await;
            self.send(&invite, ids, &body).await.ok();
            let email = body["email"].as_str().expect("an address");
            return self.server.token(email).await;
        }
        ids.name()
    }
}

/// Returns the last value of an enumeration that is not the current one. The first ones are defaults.
fn constant(schema: &Value, current: &Value) -> Option<Value> {
    if let Some(value) = schema.get("const") {
        return Some(value.clone());
    }
    let values = schema["enum"].as_array()?;
    let is_current = |value: &Value| {
        let fields = current.as_object().into_iter().flatten();
        current == value || fields.into_iter().any(|(_, field)| field == value)
    };
    let other = values.iter().rfind(|value| !is_current(value));
    other.or(values.last()).cloned()
}

/// Returns the type of a schema, or the first of its types.
fn kind(schema: &Value) -> &str {
    let kind = &schema["type"];
    kind.as_str().or(kind[0].as_str()).unwrap_or("value")
}

/// Returns a permission, also of projects, that no key has until a role grants it; another one each time, in turn.
fn new_permission(ids: &Ids) -> &'static str {
    let predefined = [
        OrganizationRole::Reader.permissions(),
        ProjectRole::Owner.permissions(),
    ];
    let all = Permission::ALL.iter();
    let is_new = |one: &&Permission| {
        one.is_for_projects() && !predefined.iter().any(|role| role.contains(**one))
    };
    let new: Vec<&Permission> = all.filter(is_new).collect();
    new[ids.number() as usize % new.len()].as_str()
}

/// Returns the certificate of a new authority, in PEM.
fn authority(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    certificate.pem().replace("\r\n", "\n")
}
