//! `orgplane audit verify` proves an audit log that nobody touched, and names the first entry that somebody did.

use std::process::{Command, Output};

use serde_json::json;
use store::{Statement, Store, sql};
use testkit::{Server, TestStorage};

/// A database with five entries of one organization and one of another.
async fn written() -> (TestStorage, Store, String) {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d"] {
        let body = json!({"name": name});
        server
            .admin()
            .post("/organization/projects", body)
            .await
            .ok();
    }
    let organization = server.organization_id().to_string();
    let store = server.store.clone();
    (server.stop().await, store, organization)
}

fn verify(database: &TestStorage) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_orgplane"))
        .args(["audit", "verify", "--database", &database.url])
        .current_dir(database.directory.path())
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// Changes what no program can: past the triggers.
async fn tamper(store: &Store, change: Statement) {
    let triggers: &[&'static str] = if store.kind() == "sqlite" {
        &[
            "DROP TRIGGER audit_logs_keep_rows",
            "DROP TRIGGER audit_logs_keep_values",
        ]
    } else {
        &["DROP TRIGGER audit_logs_keep ON audit_logs"]
    };
    let mut transaction = store.begin().await.expect("a transaction");
    for trigger in triggers {
        transaction
            .execute(Statement::new(trigger, Vec::new()))
            .await
            .expect("dropped");
    }
    let changed = transaction.execute(change).await.expect("changed");
    assert_eq!(changed, 1);
    transaction.commit().await.expect("committed");
}

#[tokio::test]
async fn an_untouched_log_is_proved() {
    let (database, _store, organization) = written().await;
    let (code, out, _) = verify(&database);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(out.lines().count(), 2, "{out}");
    let proof =
        format!("{organization}: all 5 entries are as they were written; hash of the last one: ");
    let line = out
        .lines()
        .find(|line| line.starts_with(&proof))
        .expect("a proof");
    assert_eq!(line.len(), proof.len() + 64, "{line}");
}

#[tokio::test]
async fn the_first_entry_that_was_changed_is_named() {
    let cases = [
        (
            "UPDATE audit_logs SET payload = '{}' WHERE organization_id = $1 AND sequence = 3",
            "entry 3 (audit_log-",
            "does not say what it said",
        ),
        (
            "UPDATE audit_logs SET effective_at = effective_at + 1 WHERE organization_id = $1 AND sequence = 2",
            "entry 2 (audit_log-",
            "does not say what it said",
        ),
        (
            "UPDATE audit_logs SET actor_email = 'eve@acme.example' WHERE organization_id = $1 AND sequence = 4",
            "entry 4 (audit_log-",
            "is filed under what it does not say",
        ),
        (
            "DELETE FROM audit_logs WHERE organization_id = $1 AND sequence = 4",
            "entry 4 ",
            "is gone",
        ),
        (
            "DELETE FROM audit_logs WHERE organization_id = $1 AND sequence = 5",
            "entry 5 ",
            "is gone",
        ),
    ];
    for (change, entry, reason) in cases {
        let (database, store, organization) = written().await;
        tamper(&store, sql!(change, organization.as_str())).await;
        let (code, out, err) = verify(&database);
        assert_eq!(code, Some(1), "{change}: {out}");
        for part in [&format!("{organization}: {entry}"), reason] {
            assert!(err.contains(part), "{change}: {err}");
        }
        assert!(
            out.contains(": all 1 entries"),
            "the other organization's log is whole: {out}"
        );
    }
}
