//! Existing ids for all path parameters.

use admin::operation::Operation;
use serde_json::{Value, json};
use testkit::{Client, Server};

use crate::certificates::authority;
use crate::spend_alerts::spend_alert;

/// Existing ids for all path parameters.
pub(super) struct Ids {
    pub(super) project: String,
    pub(super) service_account: String,
    pub(super) project_key: String,
    pub(super) admin_key: String,
    rate_limit: String,
    pub(super) certificate: String,
    alert: String,
    project_alert: String,
    pub(super) user: String,
    group: String,
    /// Roles of the user in the organization and in the project.
    roles: [String; 2],
    /// Roles of the group in the organization and in the project.
    group_roles: [String; 2],
    invite: String,
    /// Id of the owner's admin key.
    pub(super) owners_key: String,
    /// Secret of a service account's key.
    pub(super) secret: String,
}

impl Ids {
    pub(super) async fn make(server: &Server) -> Self {
        let admin = server.admin();
        let project = id_of(&admin, "/organization/projects", json!({"name": "Ids"})).await;
        let of_project = |name: &str| format!("/organization/projects/{project}/{name}");
        for (path, body) in ever_set(&project) {
            admin.post(&path, body).await.ok();
        }
        let accounts = of_project("service_accounts");
        let account = admin.post(&accounts, json!({"name": "Ids"})).await.ok();
        let user = server.join("ids@other.example", "reader").await.to_string();
        let group = crate::roles::add_group(server, "Ids").await;
        let realms = ["/organization".to_owned(), format!("/projects/{project}")];
        let [users, groups] = [format!("users/{user}"), format!("groups/{group}")];
        let roles = [
            assigned(&admin, &realms[0], &users, "api.organization.spend.read").await,
            assigned(&admin, &realms[1], &users, "api.organization.spend.write").await,
        ];
        let [read, write] = [
            "api.organization.certificates.read",
            "api.organization.certificates.write",
        ];
        let group_roles = [
            assigned(&admin, &realms[0], &groups, read).await,
            assigned(&admin, &realms[1], &groups, write).await,
        ];
        belongs(&admin, &project, &user, &group).await;
        let users_key = json!({"name": "Ids", "user_id": user});
        let certificate = json!({"certificate": authority("Ids")});
        let invite = json!({"email": "ids@acme.example", "role": "reader"});
        let organization = |name: &str| format!("/organization/{name}");
        let keys = organization("admin_api_keys");
        let owners_key = admin.get(&keys).await.ok();
        Self {
            rate_limit: "rl-gpt-5".to_owned(),
            service_account: text(&account, "/id"),
            secret: text(&account, "/api_key/value"),
            owners_key: text(&owners_key, "/data/0/id"),
            admin_key: id_of(&admin, &keys, json!({"name": "Ids"})).await,
            project_key: id_of(&admin, &of_project("api_keys"), users_key).await,
            alert: id_of(&admin, &organization("spend_alerts"), spend_alert()).await,
            project_alert: id_of(&admin, &of_project("spend_alerts"), spend_alert()).await,
            certificate: id_of(&admin, &organization("certificates"), certificate).await,
            invite: id_of(&admin, &organization("invites"), invite).await,
            user,
            group,
            roles,
            group_roles,
            project,
        }
    }

    /// Returns the operation's path with these ids.
    pub(super) fn path(&self, operation: &Operation) -> String {
        operation
            .path_parameters()
            .fold(operation.path.to_owned(), |path, name| {
                path.replace(&format!("{{{name}}}"), self.id(operation, name))
            })
    }

    /// Returns the id for a parameter of the operation's path.
    pub(super) fn id(&self, operation: &Operation, parameter: &str) -> &str {
        match parameter {
            "project_id" => &self.project,
            "service_account_id" => &self.service_account,
            "api_key_id" => &self.project_key,
            "key_id" => &self.admin_key,
            "rate_limit_id" => &self.rate_limit,
            "certificate_id" => &self.certificate,
            "alert_id" if operation.path.contains("{project_id}") => &self.project_alert,
            "alert_id" => &self.alert,
            "user_id" => &self.user,
            "group_id" => &self.group,
            "invite_id" => &self.invite,
            "role_id" => {
                let roles = if operation.path.contains("{group_id}") {
                    &self.group_roles
                } else {
                    &self.roles
                };
                &roles[usize::from(operation.path.starts_with("/projects/"))]
            }
            other => panic!("make one in every_operation/ids.rs: {{{other}}}"),
        }
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.expect(pointer).to_owned()
}

/// Creates a resource and returns its id.
async fn id_of(admin: &Client, path: &str, body: Value) -> String {
    text(&admin.post(path, body).await.ok(), "/id")
}

/// Returns settings that must be set first: their reads answer 404 otherwise, or with a value that the contract lacks.
fn ever_set(project: &str) -> [(String, Value); 4] {
    let limit = json!({"threshold_amount": 1, "currency": "USD", "interval": "month"});
    let policy = json!({"mode": "deny_list", "model_ids": ["gpt-4"]});
    let retention = json!({"retention_type": "zero_data_retention"});
    let of_project = |name: &str| format!("/organization/projects/{project}/{name}");
    [
        ("/organization/spend_limit".to_owned(), limit.clone()),
        (of_project("spend_limit"), limit),
        (of_project("model_permissions"), policy),
        ("/organization/data_retention".to_owned(), retention),
    ]
}

/// Creates and assigns a role. No other role grants its permission to the user, so the user's permissions change with it.
async fn assigned(admin: &Client, scope: &str, holder: &str, permission: &str) -> String {
    let role = json!({"role_name": holder, "permissions": [permission]});
    let role = id_of(admin, &format!("{scope}/roles"), role).await;
    let roles = format!("{scope}/{holder}/roles");
    admin.post(&roles, json!({"role_id": role})).await.ok();
    role
}

/// Adds the user to the group, and both to the project.
async fn belongs(admin: &Client, project: &str, user: &str, group: &str) {
    let member = json!({"user_id": user});
    for (path, body) in [
        (format!("/organization/groups/{group}/users"), member),
        (
            format!("/organization/projects/{project}/users"),
            json!({"user_id": user, "role": "owner"}),
        ),
        (
            format!("/organization/projects/{project}/groups"),
            json!({"group_id": group, "role": "role-api-project-member"}),
        ),
    ] {
        admin.post(&path, body).await.ok();
    }
}
