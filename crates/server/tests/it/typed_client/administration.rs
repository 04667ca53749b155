//! Projects, service accounts and keys: created, read, changed and closed, as the audit log must have it.

use async_openai::traits::RequestOptionsBuilder;
use async_openai::types::admin::api_keys::CreateAdminApiKeyRequest;
use async_openai::types::admin::project_api_keys::UpdateProjectApiKeyBody;
use async_openai::types::admin::project_service_accounts::{
    CreateProjectServiceAccountApiKeyBody, ProjectServiceAccountCreateRequest,
    ProjectServiceAccountRole, UpdateProjectServiceAccountBody,
    UpdateProjectServiceAccountBodyRole,
};
use async_openai::types::admin::projects::{ProjectCreateRequest, ProjectUpdateRequest};
use serde_json::json;

use super::models::request;
use super::{Key, PROMPTS, Run, assert_refused, client};
use crate::model_server::PRICES;

impl Run {
    fn changed(&mut self, event: &str, resource: &str) {
        self.changes.push((event.to_owned(), resource.to_owned()));
    }

    /// Creates a project, reads and renames it.
    pub(super) async fn project(&mut self) -> String {
        let admin = self.admin.admin();
        let request = ProjectCreateRequest {
            name: "Typed".to_owned(),
            ..ProjectCreateRequest::default()
        };
        let made = admin.projects().create(request).await.expect("created");
        let read = admin.projects().retrieve(made.id.clone()).await;
        assert_eq!(read.expect("read"), made);
        let rename = ProjectUpdateRequest {
            name: Some("Strictly typed".to_owned()),
            ..ProjectUpdateRequest::default()
        };
        let renamed = admin.projects().modify(made.id.clone(), rename).await;
        assert_eq!(
            renamed.expect("renamed").name.as_deref(),
            Some("Strictly typed")
        );
        self.changed("project.created", &made.id);
        self.changed("project.updated", &made.id);
        made.id
    }

    /// Creates a service account, which comes with a key, and gives it another.
    pub(super) async fn service_account(&mut self, project: &str) -> (String, [Key; 2]) {
        let admin = self.admin.admin();
        let projects = admin.projects();
        let accounts = projects.service_accounts(project);
        let request = ProjectServiceAccountCreateRequest {
            name: "Application".to_owned(),
            ..ProjectServiceAccountCreateRequest::default()
        };
        let made = accounts.create(request).await.expect("created");
        let first = made.api_key.expect("a service account comes with a key");
        let promotion = UpdateProjectServiceAccountBody {
            name: Some("The application".to_owned()),
            role: Some(UpdateProjectServiceAccountBodyRole::Owner),
        };
        let promoted = accounts.update(&made.id, promotion).await.expect("updated");
        assert!(matches!(promoted.role, ProjectServiceAccountRole::Owner));
        let request = CreateProjectServiceAccountApiKeyBody {
            name: Some("Second".to_owned()),
            ..CreateProjectServiceAccountApiKeyBody::default()
        };
        let second = accounts
            .create_api_key(&made.id, request)
            .await
            .expect("created");
        let listed = accounts.list().await.expect("listed").data;
        let read = accounts.retrieve(&made.id).await.expect("read");
        assert_eq!((listed.len(), &listed[0].id), (1, &made.id));
        assert_eq!(read.name, "The application");

        self.changed("service_account.created", &made.id);
        self.changed("service_account.updated", &made.id);
        self.changed("api_key.created", &second.id);
        let key = |id, value| Key { id, value };
        (
            made.id,
            [key(first.id, first.value), key(second.id, second.value)],
        )
    }

    /// Lists the project's keys, reads one, and narrows it to what it needs.
    pub(super) async fn project_keys(&mut self, project: &str, keys: &[Key; 2]) {
        let admin = self.admin.admin();
        let projects = admin.projects();
        let all = [("owner_project_access", "any")];
        let list = projects
            .api_keys(project)
            .query(&all)
            .expect("a query")
            .list()
            .await;
        let mut ids: Vec<_> = list
            .expect("listed")
            .data
            .into_iter()
            .map(|key| key.id)
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [keys[0].id.as_str(), keys[1].id.as_str()]);
        let key = projects
            .api_keys(project)
            .retrieve(&keys[1].id)
            .await
            .expect("read");
        assert_eq!((key.name.as_str(), key.last_used_at), ("Second", None));
        assert!(
            keys[1]
                .value
                .ends_with(&key.redacted_value[key.redacted_value.len() - 3..])
        );
        let narrower = UpdateProjectApiKeyBody {
            scopes: Some(vec!["api.model.request".to_owned()]),
            ..UpdateProjectApiKeyBody::default()
        };
        let updated = projects
            .api_keys(project)
            .update(&keys[1].id, narrower)
            .await;
        assert_eq!(updated.expect("updated").id, keys[1].id);
        self.changed("api_key.updated", &keys[1].id);
    }

    /// Creates an admin key, finds it in the list, and deletes it.
    pub(super) async fn admin_key(&mut self) {
        let admin = self.admin.admin();
        let request = CreateAdminApiKeyRequest {
            name: "Short-lived".to_owned(),
            expires_in_seconds: Some(3_600),
        };
        let made = admin.api_keys().create(request).await.expect("created");
        assert_eq!(made.expires_at, Some(made.created_at + 3_600));
        let listed = admin.api_keys().list().await.expect("listed").data;
        assert_eq!(listed.iter().filter(|key| key.id == made.id).count(), 1);
        let read = admin.api_keys().retrieve(&made.id).await.expect("read");
        assert_eq!(read.redacted_value, made.redacted_value);
        assert!(
            admin
                .api_keys()
                .delete(&made.id)
                .await
                .expect("deleted")
                .deleted
        );
        let gone = client(&self.base, &made.value);
        assert_refused(
            gone.admin().projects().retrieve("proj_x".to_owned()).await,
            401,
        );
        self.changed("api_key.created", &made.id);
        self.changed("api_key.deleted", &made.id);
    }

    /// Deletes the service account, whose keys then open nothing, and archives the project.
    pub(super) async fn close(&mut self, project: &str, account: &str, key: &Key) {
        let admin = self.admin.admin();
        let projects = admin.projects();
        let gone = projects.service_accounts(project).delete(account).await;
        assert!(gone.expect("deleted").deleted);
        let application = client(&self.base, &key.value);
        let refused = application
            .chat()
            .create(request(PRICES[0].model, PROMPTS[0]))
            .await;
        assert_refused(refused, 401);
        let archived = projects
            .archive(project.to_owned())
            .await
            .expect("archived");
        assert_eq!(archived.status.as_deref(), Some("archived"));
        self.changed("service_account.deleted", account);
        self.changed("project.archived", project);
    }

    /// The event and the resource of everything that was logged, oldest first.
    pub(super) async fn audit_log(&self) -> Vec<(String, String)> {
        let admin = self.admin.admin();
        let logs = admin
            .audit_logs()
            .query(&[("limit", "100")])
            .expect("a query")
            .get()
            .await;
        let logs = logs.expect("the audit log");
        assert!(!logs.has_more);
        let event = |log: &_| {
            let log = json!(log);
            let kind = log["type"].as_str().expect("a type").to_owned();
            let resource = log[&kind]["id"].as_str().expect("an id").to_owned();
            (kind, resource)
        };
        // A deleted key that is used is logged, too, without a resource.
        let is_change = |log: &&_| json!(log)["type"] != "login.failed";
        let changes = logs.data.iter().rev().filter(is_change);
        changes.map(event).collect()
    }
}
