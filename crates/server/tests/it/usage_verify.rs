//! `orgplane usage verify` proves sums that nobody touched, beside a running server, and names those that somebody did.

use std::process::Command;

use serde_json::json;
use store::sql;
use testkit::Server;

use crate::process::{Ended, Process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_proved_beside_a_server_and_named_where_they_are_wrong() {
    let server = Server::start().await;
    let (project, now) = (
        server.default_project_id().to_string(),
        server.clock.now().0,
    );
    let event = |number: usize| {
        json!({"id": format!("evt-{number}"), "timestamp": now, "type": "embeddings", "project_id": project,
               "model": "m", "input_tokens": 7})
    };
    let events: Vec<_> = (0..30).map(event).collect();
    let body = json!(events);
    server
        .admin()
        .post("/organization/usage/events", body)
        .await
        .ok();
    let url = server.database.url.clone();
    let verified = verify(&url);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let said = "Every sum is that of the ledger: 30 rows, 1 days.\n";
    assert_eq!(verified.stdout, said);

    let mut transaction = server.store.usage().begin().await.expect("a transaction");
    let gone = sql!("DELETE FROM usage_sums");
    transaction.execute(gone).await.expect("deleted");
    transaction.commit().await.expect("a commit");
    let verified = verify(&url);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let first = "embeddings, project_id";
    assert!(verified.stdout.contains(first), "{verified:?}");
    let numbers = "input_tokens: the ledger comes to 210, but this is nothing";
    assert!(verified.stdout.contains(numbers), "{verified:?}");
    assert!(
        verified.stderr.contains("orgplane usage rebuild"),
        "{verified:?}"
    );
}

fn verify(url: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orgplane"));
    command.args(["usage", "verify", "--database", url]);
    command.current_dir(std::env::temp_dir());
    Process::start(command).ended()
}
