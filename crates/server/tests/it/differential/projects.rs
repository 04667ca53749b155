//! The projects whose requests are forwarded or refused, and what each of them may not do.

use serde_json::{Value, json};

use super::bodies::Ownership;
use crate::api::Api;
use crate::installation::Server;
use crate::wire::Wire;

/// The tokens that a project may use in a minute.
pub(super) const MAX_TOKENS: i64 = 1_000_000;
/// A project with a spend limit may spend this much, in US dollars; an image costs a cent.
const SPEND_LIMIT: u64 = 100_000;
const MAX_IMAGES: u64 = SPEND_LIMIT * 100;
/// The prices of the one model.
pub(super) const PRICES: &str = "[[price]]\nmodel = \"cheap\"\neffective = \"2026-01-01\"\ninput = \"0.001\"\noutput = \"0.001\"\n\
                                 image = \"0.01\"\ncharacter = \"0.001\"\nsecond = \"0.0001\"\n";

/// The setting that a project has beside those of all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// The project keeps files and vector stores.
    OwnsObjects,
    ZeroRetention,
    SpendLimit,
}

/// A project that may use the model `cheap` alone, and no hosted tools.
pub(super) struct Project {
    pub(super) key: String,
    pub(super) setting: Setting,
    pub(super) ownership: Ownership,
}

impl Project {
    /// Returns the policy that no reading of its requests may break. `remaining` are the tokens that the gateway says are left.
    pub(super) fn policy(&self, remaining: Option<&str>) -> Value {
        let remaining = remaining.and_then(|remaining| remaining.parse().ok());
        let set_aside: i64 = remaining.map_or(MAX_TOKENS, |remaining: i64| MAX_TOKENS - remaining);
        let images = (self.setting == Setting::SpendLimit).then_some(MAX_IMAGES);
        let owned = &self.ownership;
        json!({
            "models": ["cheap"], "tokens": set_aside, "images": images,
            "foreign": [owned.foreign_file, owned.foreign_vector_store],
            "zero_retention": self.setting == Setting::ZeroRetention,
        })
    }
}

/// Three projects, one of each setting, and a fourth whose objects are foreign to them.
pub(super) async fn make(admin: &Api, server: &Server, name: &str) -> Vec<Project> {
    let (_, other) = admin.application(&format!("{name} other")).await;
    let (foreign_file, foreign_vector_store) = objects(server, &other).await;
    let mut projects = Vec::new();
    for setting in [
        Setting::OwnsObjects,
        Setting::ZeroRetention,
        Setting::SpendLimit,
    ] {
        let (id, key) = admin.application(name).await;
        let (file, vector_store) = match setting {
            Setting::OwnsObjects => objects(server, &key).await,
            _ => ("file-none".to_owned(), "vs_none".to_owned()),
        };
        restrict(admin, &id, setting).await;
        projects.push(Project {
            key,
            setting,
            ownership: Ownership {
                file,
                vector_store,
                foreign_file: foreign_file.clone(),
                foreign_vector_store: foreign_vector_store.clone(),
            },
        });
    }
    projects
}

async fn restrict(admin: &Api, id: &str, setting: Setting) {
    let off = json!({"enabled": false});
    let tools = json!({"mcp": off, "web_search": off, "file_search": off, "code_interpreter": off, "image_generation": off});
    let limits = json!({"max_requests_per_1_minute": 1_000_000_000, "max_requests_per_1_day": 1_000_000_000,
                        "max_tokens_per_1_minute": MAX_TOKENS});
    let models = json!({"mode": "allow_list", "model_ids": ["cheap"]});
    let mut settings = vec![
        ("hosted_tool_permissions", tools),
        ("rate_limits/rl-cheap", limits),
        ("model_permissions", models),
    ];
    match setting {
        Setting::OwnsObjects => {}
        Setting::ZeroRetention => settings.push((
            "data_retention",
            json!({"retention_type": "zero_data_retention"}),
        )),
        Setting::SpendLimit => {
            let limit = json!({"threshold_amount": SPEND_LIMIT * 100, "currency": "USD", "interval": "month"});
            settings.push(("spend_limit", limit));
        }
    }
    for (path, body) in settings {
        admin
            .post(&format!("/organization/projects/{id}/{path}"), &body)
            .await;
    }
}

/// The ids of a new file and a new vector store of whoever has the key.
async fn objects(server: &Server, key: &str) -> (String, String) {
    let mut wire = Wire::to(&server.address);
    let request = super::upload_of("user_data", key);
    let answer = wire.exchange(&request, super::REQUEST_TIMEOUT).await;
    let answer = answer.unwrap_or_else(|reason| panic!("{reason}"));
    let file: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let store = server
        .api(key)
        .post("/vector_stores", &json!({"name": "x"}))
        .await;
    let id = |object: &Value| {
        object["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id: {object}"))
            .to_owned()
    };
    (id(&file), id(&store))
}
