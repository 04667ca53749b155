//! Permissions of all kinds of roles, resolved for one key at a time and for all keys at once.

use std::collections::HashMap;

use access::Principal;
use base::ids::{Id, OrganizationId, ProjectId, ServiceAccountId, UserId};
use base::permission::{OrganizationRole, ProjectRole};
use base::secret::KeyHash;
use base::{Permission, PermissionSet};
use serde_json::json;
use store::testing::TestDatabase;
use store::{Statement, Store, sql};
use testkit::{Organization, ProjectKey};

/// Two organizations with people, groups and roles, as administered through the API, and keys of them.
struct World {
    one: Organization,
    two: Organization,
    /// Projects of the first organization.
    projects: [String; 2],
    /// The reader of the first organization.
    reader: UserId,
    groups: [String; 2],
    /// Role of the first organization, and one of its first project.
    roles: [String; 2],
    keys: Vec<Key>,
    store: Store,
    _database: TestDatabase,
}

/// The organization, the project and the owner of a key.
struct Key {
    organization: OrganizationId,
    project: Option<ProjectId>,
    owner: KeyOwner,
}

enum KeyOwner {
    User(UserId),
    ServiceAccount(ServiceAccountId),
}

async fn execute(store: &Store, statement: Statement) {
    let mut transaction = store.begin().await.expect("a transaction");
    transaction.execute(statement).await.expect("a change");
    transaction.commit().await.expect("a commit");
}

fn hash(number: usize) -> KeyHash {
    KeyHash([u8::try_from(number).expect("few keys"); 32])
}

/// Creates the organizations, and keys of everybody in them.
async fn world() -> World {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let one = Organization::on(&store, &[]).await;
    let two = one.create_another().await;
    let projects = [one.create_project("P").await, one.create_project("Q").await];
    let reader = one.join("rita@acme.example", "reader").await;
    let groups = [one.create_group("G").await, one.create_group("H").await];
    let in_project = format!("/projects/{}/roles", projects[0]);
    let roles = [
        create_role(&one, "/organization/roles", "api.groups.write").await,
        create_role(&one, &in_project, "api.model.request").await,
    ];
    create_role(&two, "/organization/roles", "api.roles.write").await;
    // A permission that another version has.
    let unknown = sql!(
        "UPDATE roles SET permissions = $1 WHERE id = $2",
        "[\"api.model.request\", \"api.gone\"]",
        &*roles[1]
    );
    execute(&store, unknown).await;
    let mut world = World {
        one,
        two,
        projects,
        reader,
        groups,
        roles,
        keys: Vec::new(),
        store,
        _database: database,
    };
    world.keys = world.owned_keys().await;
    world.insert_keys().await;
    world
}

async fn create_role(organization: &Organization, path: &str, permission: &str) -> String {
    let body = json!({"role_name": "a", "permissions": [permission]});
    organization.create_at(path, body).await
}

impl World {
    /// Returns a key of each owner, in each place that matters.
    async fn owned_keys(&self) -> Vec<Key> {
        let (one, two) = (&self.one, &self.two);
        let [p, q] = &self.projects;
        let king = one.join("karl@acme.example", "reader").await;
        // A role that another version has.
        let crown = sql!("UPDATE users SET role = 'king' WHERE id = $1", &king);
        execute(&self.store, crown).await;
        let account =
            |key: ProjectKey| KeyOwner::ServiceAccount(ServiceAccountId::from_text(key.owner_id));
        let member = one.create_service_account(p).await;
        let none = one.create_powerless_account(p).await;
        let neighbour = two.join("rita@acme.example", "reader").await;
        let user = |id: &UserId| KeyOwner::User(id.clone());
        let key = |organization: &Organization, project: Option<&str>, owner| Key {
            organization: organization.id.clone(),
            project: project.map(|id| ProjectId::from_text(id.to_owned())),
            owner,
        };
        let (p, q) = (Some(p.as_str()), Some(q.as_str()));
        vec![
            key(one, None, user(&one.owner_id)),
            key(one, None, user(&self.reader)),
            key(one, p, user(&self.reader)),
            key(one, q, user(&self.reader)),
            key(one, p, user(&king)),
            key(one, p, account(member.clone())),
            key(one, p, account(none)),
            key(one, q, account(member)),
            key(two, Some(two.default_project_id.as_str()), user(&neighbour)),
        ]
    }

    /// Inserts the keys, with hashes by which the test knows them. Most could not be issued: their owners have no role in
    /// their project.
    async fn insert_keys(&self) {
        for (number, key) in self.keys.iter().enumerate() {
            let (user, account) = match &key.owner {
                KeyOwner::User(id) => (Some(id), None),
                KeyOwner::ServiceAccount(id) => (None, Some(id)),
            };
            let kind = match (&key.project, account) {
                (None, _) => "admin",
                (_, None) => "user",
                (_, Some(_)) => "service_account",
            };
            let insert = sql!(
                "INSERT INTO api_keys (organization_id, id, kind, project_id, user_id, service_account_id, name,
                     redacted_value, hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5, $6, 'k', 'k', $7, '[]', 1)",
                &key.organization,
                format!("key_{number}"),
                kind,
                key.project.as_ref(),
                user,
                account,
                hash(number)
            );
            execute(&self.store, insert).await;
        }
    }

    /// Returns the permissions of each key's owner, and checks that both ways of resolving them agree.
    async fn all(&self) -> Vec<PermissionSet> {
        let mut read = self.store.read().await.expect("a connection");
        let mut at_once = HashMap::new();
        for organization in [&self.one, &self.two] {
            let (returned, keys) = access::permissions_of_keys(read, &organization.id)
                .await
                .expect("permissions");
            at_once.extend(keys);
            read = returned;
        }
        let mut found = Vec::new();
        for (number, key) in self.keys.iter().enumerate() {
            let principal = match &key.owner {
                KeyOwner::User(id) => Principal::User(id),
                KeyOwner::ServiceAccount(id) => Principal::ServiceAccount(id),
            };
            let (organization, project) = (&key.organization, key.project.as_ref());
            let alone = access::permissions(&mut read, organization, principal, project);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_grants_the_permissions_of_its_role() {
    let world = world().await;
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
    assert_eq!(world.all().await, expected);
    let (project, reader_id) = (&world.projects[0], &world.reader);
    let path = format!("/projects/{project}/users/{reader_id}/roles");
    let viewer = json!({"role_id": "role-api-project-viewer"});
    world.one.admin.post(&path, viewer).await.ok();
    let now = world.all().await;
    assert_eq!(now[1], reader, "not in the organization");
    assert_eq!(now[2], reader.union(ProjectRole::Viewer.permissions()));
    assert_eq!((now[3], now[8]), (reader, reader), "nowhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_of_assignments_and_groups_add_up() {
    let world = world().await;
    let reader = OrganizationRole::Reader.permissions();
    let with = |permission| reader.with(permission);
    let (organization, reader_id) = (&world.one, &world.reader);
    let ([p, q], [one, two]) = (&world.projects, &world.groups);
    let role = |number: usize| json!({"role_id": world.roles[number]});
    organization
        .post(&format!("/groups/{one}/roles"), role(0))
        .await;
    let path = format!("/projects/{p}/users/{reader_id}/roles");
    organization.admin.post(&path, role(1)).await.ok();
    let now = world.all().await;
    assert_eq!((now[1], now[3], now[8]), (reader, reader, reader));
    assert_eq!(
        now[2],
        reader.union(Permission::ModelRequest.with_included()),
        "assigned in the project"
    );
    for group in [one, two] {
        let user = json!({"user_id": reader_id});
        organization
            .post(&format!("/groups/{group}/users"), user)
            .await;
    }
    let now = world.all().await;
    let everywhere = with(Permission::GroupsWrite);
    assert_eq!((now[1], now[3], now[8]), (everywhere, everywhere, reader));
    let requests = Permission::ModelRequest.with_included();
    assert_eq!(now[2], everywhere.union(requests));
    let member = json!({"group_id": two, "role": "role-api-project-member"});
    organization
        .post(&format!("/projects/{q}/groups"), member)
        .await;
    let now = world.all().await;
    assert_eq!(now[1], everywhere);
    assert_eq!(now[3], everywhere.union(ProjectRole::Member.permissions()));
    organization
        .delete(&format!("/groups/{one}/users/{reader_id}"))
        .await;
    assert_eq!(world.all().await[1], reader);
}
