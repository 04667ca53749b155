//! Keys that only some tests need, created through the Administration API.

use base::ids::UserId;
use serde_json::{Value, json};
use store::sql;
use testkit::ProjectKey;

use super::{EXPIRY_SECONDS, START_SECONDS, World};

impl World {
    /// Creates a key of the owner in the project that expires at [`EXPIRY_SECONDS`].
    pub async fn expiring_key(&self) -> ProjectKey {
        let lifetime = EXPIRY_SECONDS - START_SECONDS;
        self.owner_key(json!({"expires_in_seconds": lifetime}))
            .await
    }

    /// Creates a key of the owner in the project that may only read models.
    pub async fn narrow_key(&self) -> ProjectKey {
        self.owner_key(json!({"scopes": ["api.model.read"]})).await
    }

    /// Creates a key of the owner in the project that is restricted to these scopes.
    pub async fn scoped_key(&self, scopes: &[&str]) -> ProjectKey {
        self.owner_key(json!({"scopes": scopes})).await
    }

    /// Creates a key of a user who is a reader of the organization, and was a member of the project until then.
    pub async fn reader_key(&self) -> ProjectKey {
        let key = self.member_key().await;
        self.leave_project(&key.owner_id).await;
        key
    }

    /// Creates a key of a user who is a reader of the organization and a member of the project.
    pub async fn member_key(&self) -> ProjectKey {
        let user = self.organization.join("rita@acme.example", "reader").await;
        self.join_project(&user).await;
        let (project, more) = (&self.project, json!({}));
        self.organization
            .create_user_key(project, &user, more)
            .await
    }

    /// Creates a key of a second owner in the project, who can be demoted.
    pub async fn second_owner_key(&self) -> ProjectKey {
        let user = self.organization.join("grace@acme.example", "owner").await;
        let (project, more) = (&self.project, json!({}));
        self.organization
            .create_user_key(project, &user, more)
            .await
    }

    /// Makes a user a member of the project.
    pub async fn join_project(&self, user: &UserId) {
        self.set("users", json!({"user_id": user, "role": "member"}))
            .await;
    }

    /// Ends a user's membership of the project.
    pub async fn leave_project(&self, user: &str) {
        self.unset(&format!("users/{user}")).await;
    }

    /// Creates an archived project with a key of the owner, and returns its id and the key.
    pub async fn archived_key(&self) -> (String, ProjectKey) {
        let (organization, owner) = (&self.organization, &self.organization.owner_id);
        let project = organization.create_project("Old").await;
        let key = organization.create_user_key(&project, owner, json!({}));
        let key = key.await;
        // The API deletes the keys of a project that it archives, so this one can only be left over.
        let archive = sql!(
            "UPDATE projects SET archived_at = $1 WHERE id = $2",
            self.clock.now(),
            &*project
        );
        self.change(archive).await;
        (project, key)
    }

    /// Creates a key of a service account without a role in the project.
    pub async fn powerless_key(&self) -> ProjectKey {
        self.organization
            .create_powerless_account(&self.project)
            .await
    }

    /// Creates a key whose service account is missing.
    pub async fn orphaned_key(&self) -> ProjectKey {
        let organization = &self.organization;
        let key = organization.create_service_account(&self.project).await;
        // The API deletes a service account together with its keys, so this row can only be damaged.
        let delete = sql!("DELETE FROM service_accounts WHERE id = $1", &*key.owner_id);
        self.change(delete).await;
        key
    }

    async fn owner_key(&self, more: Value) -> ProjectKey {
        let owner = &self.organization.owner_id;
        let key = self
            .organization
            .create_user_key(&self.project, owner, more);
        key.await
    }
}
