//! Permissions of all kinds of roles, resolved for one key at a time and for all keys at once.

use std::collections::HashMap;

use access::Principal;
use base::ids::{Id, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::permission::{OrganizationRole, ProjectRole};
use base::secret::KeyHash;
use base::{Permission, PermissionSet};
use store::testing::TestDatabase;
use store::{Store, sql};

const ROWS: &[&str] = &[
    "INSERT INTO users (organization_id, id, name, email, email_key, role, added_at) VALUES
     ('org-1', 'user-owner', 'O', 'o@x', 'o@x', 'owner', 1), ('org-1', 'user-reader', 'R', 'r@x', 'r@x', 'reader', 1),
     ('org-1', 'user-king', 'K', 'k@x', 'k@x', 'king', 1), ('org-2', 'user-reader', 'R', 'r@x', 'r@x', 'reader', 1)",
    "INSERT INTO projects (organization_id, id, name, created_at) VALUES
     ('org-1', 'proj_1', 'P', 1), ('org-1', 'proj_2', 'Q', 1), ('org-2', 'proj_1', 'P', 1)",
    "INSERT INTO service_accounts (organization_id, project_id, id, name, role, created_at) VALUES
     ('org-1', 'proj_1', 'svc_acct_member', 'S', 'member', 1), ('org-1', 'proj_1', 'svc_acct_none', 'N', 'none', 1)",
    "INSERT INTO groups (organization_id, id, name, created_at) VALUES
     ('org-1', 'group_1', 'G', 1), ('org-1', 'group_2', 'H', 1)",
    "INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, predefined,
                        created_at, updated_at) VALUES
     ('org-1', 'role_1', 'api.organization', '', 'a', 'a', '[\"api.groups.write\"]', FALSE, 1, 1),
     ('org-1', 'role_2', 'api.project', 'proj_1', 'a', 'a', '[\"api.model.request\", \"api.gone\"]', FALSE, 1, 1),
     ('org-2', 'role_1', 'api.organization', '', 'a', 'a', '[\"api.roles.write\"]', FALSE, 1, 1)",
];

/// The organization, the project, the user and the service account of a key.
type Key = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

const ORGANIZATIONS: [&str; 2] = ["org-1", "org-2"];

const KEYS: &[Key] = &[
    ("org-1", None, Some("user-owner"), None),
    ("org-1", None, Some("user-reader"), None),
    ("org-1", Some("proj_1"), Some("user-reader"), None),
    ("org-1", Some("proj_2"), Some("user-reader"), None),
    ("org-1", Some("proj_1"), Some("user-king"), None),
    ("org-1", Some("proj_1"), None, Some("svc_acct_member")),
    ("org-1", Some("proj_1"), None, Some("svc_acct_none")),
    ("org-1", Some("proj_2"), None, Some("svc_acct_member")),
    ("org-2", Some("proj_1"), Some("user-reader"), None),
];

async fn change(store: &Store, text: &'static str) {
    let mut transaction = store.begin().await.expect("a transaction");
    transaction.execute(sql!(text)).await.expect(text);
    transaction.commit().await.expect("a commit");
}

fn hash(number: usize) -> KeyHash {
    KeyHash([u8::try_from(number).expect("few keys"); 32])
}

/// Fills the tables of a test database.
async fn world() -> (TestDatabase, Store) {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let mut transaction = store.begin().await.expect("a transaction");
    for id in ["org-1", "org-2"] {
        let insert = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ($1, 'O', 1, 0, $2)";
        transaction
            .execute(sql!(insert, id, Vec::<u8>::new()))
            .await
            .expect(id);
    }
    for text in ROWS {
        transaction.execute(sql!(*text)).await.expect(text);
    }
    for (number, (organization, project, user, account)) in KEYS.iter().enumerate() {
        let insert = sql!(
            "INSERT INTO api_keys (organization_id, id, kind, project_id, user_id, service_account_id, name,
                 redacted_value, hash, scopes, created_at) VALUES ($1, $2, 'user', $3, $4, $5, 'k', 'k', $6, '[]', 1)",
            *organization, format!("key_{number}"), *project, *user, *account, hash(number)
        );
        transaction.execute(insert).await.expect("a key");
    }
    transaction.commit().await.expect("a commit");
    (database, store)
}

/// Returns the permissions of each key's owner, and checks that both ways of resolving them agree.
async fn all(store: &Store) -> Vec<PermissionSet> {
    let mut read = store.read().await.expect("a connection");
    let mut at_once = HashMap::new();
    for organization in ORGANIZATIONS {
        let organization = OrganizationId::from_text(organization.to_owned());
        let (returned, keys) = access::permissions_of_keys(read, &organization)
            .await
            .expect("permissions");
        at_once.extend(keys);
        read = returned;
    }
    let mut found = Vec::new();
    for (number, (organization, project, user, account)) in KEYS.iter().enumerate() {
        let organization = OrganizationId::from_text((*organization).to_owned());
        let project = project.map(|id| ProjectId::from_text(id.to_owned()));
        let user = user.map(|id| UserId::from_text(id.to_owned()));
        let account = account.map(|id| ServiceAccountId::from_text(id.to_owned()));
        let principal = match (&user, &account) {
            (Some(id), _) => Principal::User(id),
            (None, Some(id)) => Principal::ServiceAccount(id),
            (None, None) => unreachable!("every key has an owner"),
        };
        let alone = access::permissions(&mut read, &organization, principal, project.as_ref());
        let alone = alone.await.expect("permissions");
        assert_eq!(
            at_once.get(&hash(number)).copied().unwrap_or_default(),
            alone,
            "key {number}"
        );
        found.push(alone);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_grants_the_permissions_of_its_role() {
    let (_database, store) = world().await;
    let (reader, none) = (
        OrganizationRole::Reader.permissions(),
        PermissionSet::default(),
    );
    let member = ProjectRole::Member.permissions();
    let expected = [
        PermissionSet::ALL,
        reader,
        reader,
        reader,
        none,
        member,
        none,
        none,
        reader,
    ];
    assert_eq!(all(&store).await, expected);
    change(
        &store,
        "INSERT INTO project_users (organization_id, project_id, user_id, role, added_at)
         VALUES ('org-1', 'proj_1', 'user-reader', 'viewer', 1)",
    )
    .await;
    let now = all(&store).await;
    assert_eq!(now[1], reader, "not in the organization");
    assert_eq!(now[2], reader.union(ProjectRole::Viewer.permissions()));
    assert_eq!((now[3], now[8]), (reader, reader), "nowhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_of_assignments_and_groups_add_up() {
    let (_database, store) = world().await;
    let reader = OrganizationRole::Reader.permissions();
    let with = |permission| reader.with(permission);
    change(
        &store,
        "INSERT INTO role_assignments (organization_id, project_id, principal_type, principal_id, role_id, created_at,
             created_by) VALUES ('org-1', '', 'group', 'group_1', 'role_1', 1, 'x'),
             ('org-1', 'proj_1', 'user', 'user-reader', 'role_2', 1, 'x')",
    )
    .await;
    let now = all(&store).await;
    assert_eq!((now[1], now[3], now[8]), (reader, reader, reader));
    assert_eq!(
        now[2],
        with(Permission::ModelRequest),
        "assigned in the project"
    );
    change(
        &store,
        "INSERT INTO group_users (organization_id, group_id, user_id, added_at)
         VALUES ('org-1', 'group_1', 'user-reader', 1), ('org-1', 'group_2', 'user-reader', 1)",
    )
    .await;
    let now = all(&store).await;
    let everywhere = with(Permission::GroupsWrite);
    assert_eq!((now[1], now[3], now[8]), (everywhere, everywhere, reader));
    assert_eq!(now[2], everywhere.with(Permission::ModelRequest));
    change(
        &store,
        "INSERT INTO project_groups (organization_id, project_id, group_id, role_id, added_at)
         VALUES ('org-1', 'proj_2', 'group_2', 'role-api-project-member', 1)",
    )
    .await;
    let now = all(&store).await;
    assert_eq!(now[1], everywhere);
    assert_eq!(now[3], everywhere.union(ProjectRole::Member.permissions()));
    change(&store, "DELETE FROM group_users WHERE group_id = 'group_1'").await;
    assert_eq!(all(&store).await[1], reader);
}
