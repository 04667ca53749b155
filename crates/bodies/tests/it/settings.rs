//! Every data retention setting, applied to new, to stored, and to waiting bodies.

use access::Retention;
use store::sql;

use crate::fixture::{Fixture, SPEECH, TEXT};

const BOTH: [&str; 2] = ["asked", "got"];
const ALL: [&str; 4] = [
    "req_1 answer",
    "req_1 request",
    "req_2 answer",
    "req_2 request",
];

/// The bodies that may be kept of a chat (`req_1`) and of speech (`req_2`), whose answer is sound only.
const ALLOWED: [(Retention, &[&str]); 5] = [
    (Retention::NoControl, &ALL),
    (Retention::ZeroDataRetention, &["req_2 answer"]),
    (Retention::ModifiedAbuseMonitoring, &["req_2 answer"]),
    (Retention::EnhancedZeroDataRetention, &[]),
    (Retention::EnhancedModifiedAbuseMonitoring, &[]),
];

/// Returns the statement that sets the project's retention.
const fn own(retention: Retention) -> &'static str {
    match retention {
        Retention::NoControl => {
            "INSERT INTO data_retention (organization_id, project_id, retention_type)
             VALUES ('org-1', 'proj_1', 'none')"
        }
        Retention::ZeroDataRetention => {
            "INSERT INTO data_retention (organization_id, project_id, retention_type)
             VALUES ('org-1', 'proj_1', 'zero_data_retention')"
        }
        Retention::ModifiedAbuseMonitoring => {
            "INSERT INTO data_retention (organization_id, project_id, retention_type)
             VALUES ('org-1', 'proj_1', 'modified_abuse_monitoring')"
        }
        Retention::EnhancedZeroDataRetention => {
            "INSERT INTO data_retention (organization_id, project_id, retention_type)
             VALUES ('org-1', 'proj_1', 'enhanced_zero_data_retention')"
        }
        Retention::EnhancedModifiedAbuseMonitoring => {
            "INSERT INTO data_retention (organization_id, project_id, retention_type)
             VALUES ('org-1', 'proj_1', 'enhanced_modified_abuse_monitoring')"
        }
    }
}

const UNSET: &str = "DELETE FROM data_retention";
/// Moves the setting from the project to its organization, which the project then inherits.
const INHERIT: [&str; 2] = [
    "UPDATE data_retention SET project_id = ''",
    "INSERT INTO data_retention (organization_id, project_id, retention_type)
     VALUES ('org-1', 'proj_1', 'organization_default'), ('org-1', 'proj_2', 'none')",
];

fn pass(fixture: &Fixture, project: &str) {
    fixture.pass(project, "req_1", TEXT, BOTH);
    fixture.pass(project, "req_2", SPEECH, BOTH);
}

async fn clear(fixture: &Fixture) {
    let mut transaction = fixture.store.usage().begin().await.expect("a transaction");
    let all = transaction.execute(sql!("DELETE FROM bodies")).await;
    all.expect("deleted");
    transaction.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_bodies_are_stored_as_far_as_retention_allows() {
    let fixture = Fixture::start().await;
    for (retention, allowed) in ALLOWED {
        for inherited in [false, true] {
            fixture.change(&[UNSET, own(retention)]).await;
            if inherited {
                fixture.change(&INHERIT).await;
            }
            pass(&fixture, "proj_1");
            // Written last: once it is there, the others are, too.
            pass(&fixture, "proj_2");
            fixture.wait_for("proj_2", &ALL).await;
            assert_eq!(fixture.kept("proj_1").await, allowed, "{retention:?}");
            clear(&fixture).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_bodies_are_deleted_when_a_setting_forbids_them() {
    let mut fixture = Fixture::start().await;
    for (retention, allowed) in ALLOWED {
        for (inherited, runs) in [(false, true), (true, true), (false, false), (true, false)] {
            for project in ["proj_1", "proj_2"] {
                pass(&fixture, project);
                fixture.wait_for(project, &ALL).await;
            }
            if !runs {
                fixture.stop().await;
            }
            fixture.change(&[own(retention)]).await;
            if inherited {
                fixture.change(&INHERIT).await;
            }
            if !runs {
                assert_eq!(fixture.kept("proj_1").await, ALL);
                fixture.keep(30).await;
            }
            fixture.wait_for("proj_1", allowed).await;
            assert_eq!(fixture.kept("proj_2").await, ALL, "{retention:?}");
            fixture.change(&[UNSET]).await;
            clear(&fixture).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_bodies_are_deleted_with_their_project() {
    let fixture = Fixture::start().await;
    for project in ["proj_1", "proj_2"] {
        pass(&fixture, project);
        fixture.wait_for(project, &ALL).await;
    }
    fixture
        .change(&["UPDATE projects SET archived_at = 5 WHERE id = 'proj_1'"])
        .await;
    fixture.wait_for("proj_1", &[]).await;
    assert_eq!(fixture.kept("proj_2").await, ALL);
    fixture
        .change(&["DELETE FROM projects WHERE id = 'proj_2'"])
        .await;
    fixture.wait_for("proj_2", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_bodies_that_a_new_setting_forbids_are_never_stored() {
    let fixture = Fixture::start().await;
    for change in [
        own(Retention::EnhancedZeroDataRetention),
        "UPDATE projects SET archived_at = 5 WHERE id = 'proj_1'",
    ] {
        let mut turn = fixture
            .store
            .usage()
            .begin()
            .await
            .expect("the writer's turn");
        turn.lock_table("bodies").await.expect("a lock");
        pass(&fixture, "proj_1");
        pass(&fixture, "proj_2");
        // The body writer has taken bodies, and waits for its lock.
        poll::until("bodies are taken from the queue", async || {
            fixture.bodies().map(bodies::Bodies::queue_depth) < Some(2)
        })
        .await;
        fixture.change(&[change]).await;
        assert_eq!(fixture.kept("proj_2").await, Vec::<String>::new());
        drop(turn);
        poll::until("the other project's bodies are stored", async || {
            assert_eq!(fixture.kept("proj_1").await, Vec::<String>::new());
            fixture.kept("proj_2").await == ALL
        })
        .await;
        assert_eq!(fixture.bodies().map(bodies::Bodies::lost), Some(0));
        fixture.change(&[UNSET]).await;
        clear(&fixture).await;
    }
}
