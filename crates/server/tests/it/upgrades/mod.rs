//! Databases of released versions, stored with data in every table, and what the program makes of them.
//!
//! `cargo xtask record-upgrade` fills an installation of today's program and stores it in `tests/upgrades`, a folder for
//! each version. A test fills an installation without storing it, so that a new table is missed when it is made, not at the
//! next release; another takes every stored version through the migrations and compares what the API answers.

mod answers;
mod filled;
mod fixture;

use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;

use crate::installation::Installation;
use crate::model_stub::ModelStub;
use filled::{MODEL, filled};
use fixture::Fixture;

/// Variable with the name of the version to store; without it nothing is stored.
const RECORD: &str = "ORGPLANE_TEST_RECORD_UPGRADE";

/// Returns the folder of the stored versions.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/upgrades")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_of_this_version_can_be_filled_and_stored() {
    let (installation, mut fixture) = filled().await;
    let counts = testkit::row_counts(&installation.database_url());
    let empty: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).collect();
    assert!(empty.is_empty(), "`filled` must fill: {empty:?}");
    fixture.read_content(&installation);
    if let Ok(version) = std::env::var(RECORD) {
        fixture.write(&folder().join(version));
    }
    upgrade(&fixture).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_released_versions_are_migrated_and_read_as_before() {
    let versions = std::fs::read_dir(folder()).expect("stored versions");
    let mut versions: Vec<_> = versions
        .map(|entry| entry.expect("an entry").path())
        .collect();
    versions.sort();
    assert!(!versions.is_empty());
    for version in versions {
        upgrade(&Fixture::read(&version)).await;
    }
}

/// Restores a stored installation and takes it through the migrations: nothing is lost, and everything still works.
async fn upgrade(fixture: &Fixture) {
    let stub = ModelStub::start().await;
    let installation = Installation::without_tables("");
    // The bodies in the database stay, since they are among the answers that are compared.
    let keep = "[bodies]\nkeep_days = 30\n".to_owned();
    installation.configure(&(keep + &stub.setting(&[MODEL])));
    fixture.restore(&installation);
    let counts = testkit::row_counts(&installation.database_url());
    let empty: Vec<_> = counts.iter().filter(|(_, count)| **count == 0).collect();
    assert!(
        counts.len() > 30 && empty.is_empty(),
        "{empty:?} of {counts:?}"
    );

    let shown = installation.run(&["bodies", "show", &fixture.known.request_id]);
    assert!(shown.stdout.contains("Say hello."), "{shown:?}");
    let server = installation.serve();
    let admin = server.api(&fixture.known.admin_key);
    answers::compare(&admin, &fixture.known.answers).await;
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "Hello again."}]});
    let application = server.api(&fixture.known.project_key);
    application.post("/chat/completions", &body).await;
    let renamed = json!({"name": "After the upgrade"});
    admin.post("/organization/groups", &renamed).await;
    let refused = server
        .api("sk-svcacct-none")
        .request(Method::GET, "/models");
    assert_eq!(refused.send().await.expect("an answer").status(), 401);
    server.stop();
    for words in [["usage", "verify"], ["audit", "verify"]] {
        let ended = installation.run(&words);
        assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    }
}
