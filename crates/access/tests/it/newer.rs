//! Tables that a newer version has changed while this one runs.

use access::{Directory, LimitField};
use base::ids::{Id, OrganizationId, ProjectId};
use store::testing::TestDatabase;
use store::{Statement, Store, sql};

const ROWS: &[&str] = &[
    "INSERT INTO projects (organization_id, id, name, created_at) VALUES ('org-1', 'proj_1', 'P', 1)",
    "INSERT INTO rate_limits (organization_id, project_id, model, max_requests_per_1_minute)
     VALUES ('org-1', 'proj_1', 'm', 1)",
    "INSERT INTO model_permissions (organization_id, project_id, mode, model_ids)
     VALUES ('org-1', 'proj_1', 'allow_list', '[\"m\"]')",
    "INSERT INTO hosted_tool_permissions (organization_id, project_id, file_search, web_search, image_generation, mcp,
         code_interpreter) VALUES ('org-1', 'proj_1', TRUE, FALSE, TRUE, TRUE, TRUE)",
    "INSERT INTO data_retention (organization_id, project_id, retention_type) VALUES ('org-1', '', 'none')",
    "INSERT INTO spend_limits (organization_id, project_id, threshold_amount) VALUES ('org-1', '', 500)",
];

/// Tables that a running node reads.
const TABLES: [&str; 6] = [
    "rate_limits",
    "model_permissions",
    "hosted_tool_permissions",
    "data_retention",
    "spend_limits",
    "api_keys",
];

/// A node with its own store and directory.
struct Node {
    store: Store,
    directory: std::sync::Arc<Directory>,
    _following: Box<dyn Send>,
}

impl Node {
    async fn start(database: &TestDatabase) -> Self {
        let store = Store::open(database.url()).await.expect("a store");
        let store = store.for_requests();
        let (directory, following) = Directory::start(store.clone()).await.expect("a directory");
        Self {
            store,
            directory,
            _following: Box::new(following),
        }
    }

    async fn commit(&self, statements: Vec<Statement>) {
        let mut transaction = self.store.begin().await.expect("a transaction");
        for statement in statements {
            transaction.execute(statement).await.expect("a change");
        }
        transaction.commit().await.expect("a commit");
    }

    /// Sets the limit and raises the revision, like the Administration API.
    async fn limit(&self, requests: i64) {
        self.commit(vec![
            sql!(
                "UPDATE rate_limits SET max_requests_per_1_minute = $1",
                requests
            ),
            sql!("UPDATE organizations SET revision = revision + 1"),
        ])
        .await;
    }

    /// Waits until the node's snapshot has this limit.
    async fn until(&self, requests: i64) {
        let (organization, project) = (organization(), project());
        poll::until("the snapshot is current", async || {
            let settings = self.directory.settings(&organization);
            let limits = settings.project(&project).limits("m", None);
            limits.get(LimitField::RequestsPerMinute) == Some(requests)
        })
        .await;
    }
}

fn organization() -> OrganizationId {
    OrganizationId::from_text("org-1".to_owned())
}

fn project() -> ProjectId {
    ProjectId::from_text("proj_1".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_added_by_a_newer_node_do_not_stop_an_older_one() {
    let database = TestDatabase::new();
    let (here, there) = (Node::start(&database).await, Node::start(&database).await);
    let insert = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'O', 1, 0, $1)";
    let mut rows = vec![sql!(insert, Vec::<u8>::new())];
    rows.extend(ROWS.iter().map(|row| sql!(*row)));
    here.commit(rows).await;
    // All statements have been prepared by now.
    for limit in 2..5 {
        here.limit(limit).await;
        here.until(limit).await;
        there.until(limit).await;
    }
    for table in TABLES {
        let mut add = sql!("ALTER TABLE ");
        add.push(table).push(" ADD COLUMN later TEXT");
        here.commit(vec![add]).await;
    }
    for limit in 5..8 {
        here.limit(limit).await;
        here.until(limit).await;
        there.until(limit).await;
    }
}
