//! Tables that a newer version has changed while this one runs.

use access::{Directory, LimitField};
use serde_json::json;
use store::testing::TestDatabase;
use store::{Store, sql};
use testkit::Organization;

/// Tables that a running node reads.
const TABLES: [&str; 7] = [
    "rate_limits",
    "model_permissions",
    "hosted_tool_permissions",
    "service_tier_settings",
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

    /// Waits until the node's snapshot has this limit.
    async fn until(&self, organization: &Organization, requests: i64) {
        poll::until("the snapshot is current", async || {
            let settings = self.directory.settings(&organization.id);
            let project = settings.project(&organization.default_project_id);
            let limits = project.limits("m", None);
            limits.get(LimitField::RequestsPerMinute) == Some(requests)
        })
        .await;
    }
}

/// Makes every setting of the default project and of its organization.
async fn fill(organization: &Organization) {
    limit(organization, 1).await;
    let retention = json!({"retention_type": "zero_data_retention"});
    let spend = json!({"threshold_amount": 500, "currency": "USD", "interval": "month"});
    organization.post("/data_retention", retention).await;
    organization.post("/spend_limit", spend).await;
    let project = format!("/projects/{}", organization.default_project_id);
    let models = json!({"mode": "allow_list", "model_ids": ["m"]});
    let tools = json!({"web_search": {"enabled": false}});
    let tiers = json!({"enabled_tiers": ["flex"]});
    for (setting, body) in [
        ("model_permissions", models),
        ("hosted_tool_permissions", tools),
        ("service_tier_settings", tiers),
    ] {
        organization
            .post(&format!("{project}/{setting}"), body)
            .await;
    }
}

/// Sets the limit of the default project.
async fn limit(organization: &Organization, requests: i64) {
    let project = &organization.default_project_id;
    let path = format!("/projects/{project}/rate_limits/rl-m");
    let body = json!({"max_requests_per_1_minute": requests});
    organization.post(&path, body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_added_by_a_newer_node_do_not_stop_an_older_one() {
    let database = TestDatabase::new();
    let (here, there) = (Node::start(&database).await, Node::start(&database).await);
    let organization = Organization::on(&here.store, &["m"]).await;
    fill(&organization).await;
    // All statements have been prepared by now.
    for limit in 2..5 {
        self::limit(&organization, limit).await;
        here.until(&organization, limit).await;
        there.until(&organization, limit).await;
    }
    for table in TABLES {
        let mut add = sql!("ALTER TABLE ");
        add.push(table).push(" ADD COLUMN later TEXT");
        let mut transaction = here.store.begin().await.expect("a transaction");
        transaction.execute(add).await.expect("a column");
        transaction.commit().await.expect("a commit");
    }
    for limit in 5..8 {
        self::limit(&organization, limit).await;
        here.until(&organization, limit).await;
        there.until(&organization, limit).await;
    }
}
