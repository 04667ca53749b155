//! Settings of a world, changed through the Administration API.

use serde_json::{Map, Value, json};

use super::World;

impl World {
    /// Sends `POST` to a resource of the project.
    pub async fn set(&self, resource: &str, body: Value) {
        let path = format!("/projects/{}/{resource}", self.project);
        self.organization.post(&path, body).await;
    }

    /// Sends `DELETE` to a resource of the project.
    pub async fn unset(&self, resource: &str) {
        let path = format!("/projects/{}/{resource}", self.project);
        self.organization.delete(&path).await;
    }

    /// Sets a rate limit of the project for a model.
    pub async fn limit(&self, model: &str, field: &str, limit: i64) {
        let body = Map::from_iter([(field.to_owned(), json!(limit))]);
        self.set(&format!("rate_limits/rl-{model}"), body.into())
            .await;
    }

    /// Sets the spend limit of the organization, in cents, or removes it.
    pub async fn limit_spend(&self, cents: Option<i64>) {
        self.limit_spend_at("/spend_limit", cents).await;
    }

    /// Sets the spend limit of the project, in cents, or removes it.
    pub async fn limit_project_spend(&self, cents: Option<i64>) {
        let path = format!("/projects/{}/spend_limit", self.project);
        self.limit_spend_at(&path, cents).await;
    }

    async fn limit_spend_at(&self, path: &str, cents: Option<i64>) {
        if let Some(cents) = cents {
            let body = json!({"threshold_amount": cents, "currency": "USD", "interval": "month"});
            self.organization.post(path, body).await;
            return;
        }
        let path = format!("/organization{path}");
        let removed = self.organization.admin.delete(&path).await;
        assert!([200, 404].contains(&removed.status.as_u16()), "{removed:?}");
    }

    /// Enables or disables hosted tools of the project.
    pub async fn enable_tools(&self, tools: &[&str], enabled: bool) {
        let tools = tools.iter();
        let tools = tools.map(|tool| ((*tool).to_owned(), json!({"enabled": enabled})));
        self.set("hosted_tool_permissions", Map::from_iter(tools).into())
            .await;
    }

    /// Sets the models that the project may call (`allow_list`) or may not call (`deny_list`).
    pub async fn list_models(&self, mode: &str, models: &[&str]) {
        let body = json!({"mode": mode, "model_ids": models});
        self.set("model_permissions", body).await;
    }

    /// Sets the data retention of the project.
    pub async fn retain(&self, retention: &str) {
        self.set("data_retention", json!({"retention_type": retention}))
            .await;
    }

    /// Sets the data retention of the organization.
    pub async fn retain_everywhere(&self, retention: &str) {
        let body = json!({"retention_type": retention});
        self.organization.post("/data_retention", body).await;
    }

    /// Archives the project.
    pub async fn archive(&self) {
        self.set("archive", json!({})).await;
    }

    /// Deletes the service account of [`World::service`] with its key.
    pub async fn delete_service(&self) {
        self.unset(&format!("service_accounts/{}", self.keys.service.owner_id))
            .await;
    }

    /// Makes a user a reader of the organization.
    pub async fn demote(&self, user: &str) {
        let path = format!("/users/{user}");
        self.organization
            .post(&path, json!({"role": "reader"}))
            .await;
    }
}
