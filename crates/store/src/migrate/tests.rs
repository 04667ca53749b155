//! Migrations of tables that hold data.

use store::testing::TestDatabase;

use super::*;
use crate::{Row, backend};

/// Organizations whose predefined roles have the ids that were used before migration 0013.
const BEFORE: &str = "
INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'One', 1, 0, ''), ('org-2', 'Two', 2, 0, '');
INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, predefined, created_at, updated_at)
SELECT o.id, p.id, p.resource_type, '', p.name, p.name, '[]', TRUE, o.created_at, o.created_at
FROM organizations o CROSS JOIN (
    SELECT 'role_organization_owner' AS id, 'api.organization' AS resource_type, 'owner' AS name
    UNION ALL SELECT 'role_organization_reader', 'api.organization', 'reader'
    UNION ALL SELECT 'role_project_owner', 'api.project', 'owner'
    UNION ALL SELECT 'role_project_member', 'api.project', 'member'
    UNION ALL SELECT 'role_project_viewer', 'api.project', 'viewer'
) p;
INSERT INTO roles (organization_id, id, resource_type, project_id, name, name_key, permissions, predefined, created_at, updated_at, created_by)
VALUES ('org-1', 'role_01', 'api.organization', '', 'Ops', 'ops', '[\"api.groups.read\"]', FALSE, 5, 6, 'user-1');
INSERT INTO users (organization_id, id, name, email, email_key, role, added_at)
VALUES ('org-1', 'user-1', 'Ada', 'ada@a.example', 'ada@a.example', 'owner', 1),
       ('org-1', 'user-2', 'Rita', 'rita@a.example', 'rita@a.example', 'reader', 1);
INSERT INTO projects (organization_id, id, name, created_at) VALUES ('org-1', 'proj_1', 'P', 1);
INSERT INTO project_users (organization_id, project_id, user_id, role, added_at) VALUES ('org-1', 'proj_1', 'user-2', 'viewer', 1);
INSERT INTO service_accounts (organization_id, project_id, id, name, role, created_at)
VALUES ('org-1', 'proj_1', 'svc_1', 'S', 'none', 1), ('org-1', 'proj_1', 'svc_2', 'S', 'member', 1);
INSERT INTO groups (organization_id, id, name, created_at) VALUES ('org-1', 'group_1', 'G', 1);
INSERT INTO group_users (organization_id, group_id, user_id, added_at) VALUES ('org-1', 'group_1', 'user-2', 1);
INSERT INTO project_groups (organization_id, project_id, group_id, role_id, added_at)
VALUES ('org-1', 'proj_1', 'group_1', 'role_project_member', 1);
INSERT INTO role_assignments (organization_id, project_id, principal_type, principal_id, role_id, created_at, created_by)
VALUES ('org-1', '', 'group', 'group_1', 'role_organization_owner', 1, 'user-1'),
       ('org-1', 'proj_1', 'group', 'group_1', 'role_project_owner', 1, 'user-1'),
       ('org-1', '', 'user', 'user-2', 'role_01', 1, 'user-1');
";

/// Runs the migrations of the administrative database before `name`.
async fn migrate_until(database: &Database, name: &str) {
    let mut transaction = database.begin().await.expect("a transaction");
    let created = create_table(&mut transaction, database.kind()).await;
    created.expect("a table");
    let earlier = MIGRATIONS.iter().filter(|migration| migration.name < name);
    for migration in earlier.filter(|migration| migration.target == Target::Administration) {
        let applied = apply(&mut transaction, database.kind(), migration).await;
        applied.expect(migration.name);
    }
    transaction.commit().await.expect("a commit");
}

async fn lines(database: &Database, text: &'static str) -> Vec<String> {
    let line = |row: &Row<'_>| row.get::<String>("line");
    let mut read = database.read().await.expect("a connection");
    read.fetch_all(sql!(text), line).await.expect("lines")
}

#[tokio::test]
async fn strangers_2_stored_ids_of_predefined_roles_become_those_of_the_hosted_service() {
    let database = TestDatabase::without_tables();
    let (administration, usage) = backend::open(database.url(), 4).await.expect("databases");
    migrate_until(&administration, "0013_role_ids").await;
    let mut transaction = administration.begin().await.expect("a transaction");
    transaction.batch(BEFORE).await.expect("the data before");
    transaction.commit().await.expect("a commit");
    run(&administration, &usage).await.expect("migrated");

    let roles = "SELECT organization_id || ' ' || id || ' ' || resource_type || ' ' || name || ' ' || name_key || ' ' || \
                 permissions || ' ' || COALESCE(created_by, '-') || ' ' || updated_at AS line \
                 FROM roles ORDER BY organization_id, updated_at, resource_type, name";
    let predefined = |organization: u8| {
        let prefix = format!("org-{organization} role-api-");
        let of_organization = |role: &str| {
            format!(
                "{prefix}organization-{role}__api-organization__org-{organization} api.organization {role} {role} [] - \
                 {organization}"
            )
        };
        let of_project = |role: &str| {
            format!("{prefix}project-{role} api.project {role} {role} [] - {organization}")
        };
        [
            of_organization("owner"),
            of_organization("reader"),
            of_project("member"),
            of_project("owner"),
            of_project("viewer"),
        ]
    };
    let custom = "org-1 role_01 api.organization Ops ops [\"api.groups.read\"] user-1 6".to_owned();
    let expected: Vec<String> = predefined(1)
        .into_iter()
        .chain([custom])
        .chain(predefined(2))
        .collect();
    assert_eq!(lines(&administration, roles).await, expected);

    let grants = "SELECT g.principal_id || ' ' || g.project_id || ' ' || g.role_id || ' ' || \
                      COALESCE(g.group_id, '-') || ' ' || COALESCE(r.name, '-') AS line \
                  FROM effective_grants g \
                  LEFT JOIN roles r ON r.organization_id = g.organization_id AND r.id = g.role_id";
    let mut found = lines(&administration, grants).await;
    found.sort();
    let owner = "role-api-organization-owner__api-organization__org-1";
    let expected = [
        "group_1  role-api-organization-owner__api-organization__org-1 - owner".to_owned(),
        "group_1 proj_1 role-api-project-member - member".to_owned(),
        "group_1 proj_1 role-api-project-owner - owner".to_owned(),
        "svc_1 proj_1 role-api-project-none - -".to_owned(),
        "svc_2 proj_1 role-api-project-member - member".to_owned(),
        format!("user-1  {owner} - owner"),
        format!("user-2  {owner} group_1 owner"),
        "user-2  role-api-organization-reader__api-organization__org-1 - reader".to_owned(),
        "user-2  role_01 - Ops".to_owned(),
        "user-2 proj_1 role-api-project-member group_1 member".to_owned(),
        "user-2 proj_1 role-api-project-owner group_1 owner".to_owned(),
        "user-2 proj_1 role-api-project-viewer - viewer".to_owned(),
    ];
    assert_eq!(found, expected);
}

/// Objects of two projects at two upstreams, as migration 0018 leaves them.
const OBJECTS: &str = "
INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'One', 1, 0, '');
INSERT INTO projects (organization_id, id, name, created_at) VALUES ('org-1', 'proj_1', 'P', 1), ('org-1', 'proj_2', 'Q', 1);
INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at, work, due_at,
                            claimed_until, expires_at, bytes)
VALUES ('org-1', 'proj_1', 'file', 'a', 'u', 'batch', 'key_1', 'user-1', 7, '{}', 8, 9, 10, 11),
       ('org-1', 'proj_1', 'response', 'b', 'u', '', NULL, NULL, 12, NULL, NULL, NULL, NULL, NULL),
       ('org-1', 'proj_2', 'file', 'a', 'v', 'user_data', NULL, NULL, 13, NULL, NULL, NULL, NULL, NULL);
";

#[tokio::test]
async fn objects_keep_their_records_and_two_upstreams_may_give_a_project_the_same_id() {
    let database = TestDatabase::without_tables();
    let (administration, usage) = backend::open(database.url(), 4).await.expect("databases");
    migrate_until(&administration, "0020_object_upstreams").await;
    let mut transaction = administration.begin().await.expect("a transaction");
    transaction.batch(OBJECTS).await.expect("the data before");
    transaction.commit().await.expect("a commit");
    run(&administration, &usage).await.expect("migrated");

    let objects = "SELECT project_id || ' ' || kind || ' ' || id || ' ' || upstream || ' ' || purpose || ' ' || \
                   COALESCE(api_key_id, '-') || ' ' || COALESCE(user_id, '-') || ' ' || created_at || ' ' || COALESCE(work, '-') \
                   || ' ' || COALESCE(due_at, 0) || ' ' || COALESCE(claimed_until, 0) || ' ' || COALESCE(expires_at, 0) || ' ' || \
                   COALESCE(bytes, 0) AS line FROM stored_objects ORDER BY created_at";
    let expected = [
        "proj_1 file a u batch key_1 user-1 7 {} 8 9 10 11",
        "proj_1 response b u  - - 12 - 0 0 0 0",
        "proj_2 file a v user_data - - 13 - 0 0 0 0",
    ];
    assert_eq!(lines(&administration, objects).await, expected);
    let add = async |project: &str, upstream: &str| {
        let mut transaction = administration.begin().await.expect("a transaction");
        let statement = sql!(
            "INSERT INTO stored_objects (organization_id, project_id, kind, id, upstream, purpose, created_at) \
             VALUES ('org-1', $1, 'file', 'a', $2, '', 20) ON CONFLICT DO NOTHING",
            project,
            upstream
        );
        let count = transaction.execute(statement).await.expect("an insert");
        transaction.commit().await.expect("a commit");
        count
    };
    assert_eq!(add("proj_1", "w").await, 1);
    assert_eq!(add("proj_1", "u").await, 0, "the project has it");
    assert_eq!(add("proj_1", "v").await, 0, "another project has it");
}

/// A coming migration, which makes a table.
fn coming(name: &'static str, oldest: Option<&'static str>) -> Migration {
    Migration {
        name,
        target: Target::Administration,
        oldest,
        texts: &[(System::Both, "CREATE TABLE later (id BIGINT PRIMARY KEY)")],
    }
}

/// The migrations of this version, with one more.
fn with(more: Migration) -> Vec<Migration> {
    let own = MIGRATIONS
        .iter()
        .map(|migration| Migration { ..*migration });
    own.chain([more]).collect()
}

#[tokio::test]
async fn b9_a_program_starts_on_expansions_of_a_newer_version_and_on_nothing_else() {
    let newest = MIGRATIONS[MIGRATIONS.len() - 1].name;
    for (oldest, starts) in [
        (Some(newest), true),
        (Some("0998_unknown"), false),
        (None, false),
    ] {
        let database = TestDatabase::without_tables();
        let (administration, usage) = backend::open(database.url(), 4).await.expect("databases");
        let newer = with(coming("0999_later", oldest));
        let migrated = run_all(&newer, &administration, &usage).await;
        migrated.expect("migrated by the newer version");
        let outcome = run(&administration, &usage).await;
        assert_eq!(outcome.is_ok(), starts, "{oldest:?}: {outcome:?}");
        if let Err(error) = outcome {
            let error = error.to_string();
            assert!(
                error.starts_with("migration 0999_later: is not known"),
                "{error}"
            );
        }
        assert_eq!(
            missing(&administration, &usage).await.expect("a read"),
            None
        );
    }
}

#[tokio::test]
async fn a_table_of_migrations_of_an_earlier_version_gets_the_column_for_expansions() {
    let database = TestDatabase::without_tables();
    let (administration, usage) = backend::open(database.url(), 4).await.expect("databases");
    let mut transaction = administration.begin().await.expect("a transaction");
    let before = "CREATE TABLE migrations (name TEXT PRIMARY KEY)";
    transaction.batch(before).await.expect("a table");
    transaction.commit().await.expect("a commit");
    for _ in 0..2 {
        run(&administration, &usage).await.expect("migrated");
    }
    let expansions =
        "SELECT name || ' ' || oldest AS line FROM migrations WHERE name = '0027_nodes'";
    assert_eq!(
        lines(&administration, expansions).await,
        ["0027_nodes 0026_refusals"]
    );
}
