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

/// Applies a retention to the first project: as its own, or as that of its organization.
async fn apply(fixture: &Fixture, retention: Retention, is_inherited: bool) {
    if !is_inherited {
        return fixture.retain(fixture.first(), retention.as_str()).await;
    }
    // The retention of an organization is `none` until it is set, and cannot be set to that.
    if retention != Retention::NoControl {
        fixture.retain(fixture.second(), "none").await;
        fixture.retain_everywhere(retention.as_str()).await;
    }
    fixture
        .retain(fixture.first(), "organization_default")
        .await;
}

/// Allows everything to the first project again.
async fn reset(fixture: &Fixture) {
    fixture.retain(fixture.first(), "none").await;
}

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

/// Deletes the row of a project. No operation of the API does, but a restored or repaired database can lack it.
async fn delete_project(fixture: &Fixture, id: &str) {
    let mut transaction = fixture.store.begin().await.expect("a transaction");
    for statement in [
        sql!("DELETE FROM projects WHERE id = $1", id),
        // The audit log does not tell of this change, so the directory must load everything anew.
        sql!("UPDATE organizations SET revision = revision + 1"),
    ] {
        transaction.execute(statement).await.expect("a change");
    }
    transaction.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_bodies_are_stored_as_far_as_retention_allows() {
    let fixture = Fixture::start().await;
    for (retention, allowed) in ALLOWED {
        for inherited in [false, true] {
            reset(&fixture).await;
            apply(&fixture, retention, inherited).await;
            pass(&fixture, fixture.first());
            // Written last: once it is there, the others are, too.
            pass(&fixture, fixture.second());
            fixture.wait_for(fixture.second(), &ALL).await;
            assert_eq!(
                fixture.kept(fixture.first()).await,
                allowed,
                "{retention:?}"
            );
            clear(&fixture).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_bodies_are_deleted_when_a_setting_forbids_them() {
    let mut fixture = Fixture::start().await;
    for (retention, allowed) in ALLOWED {
        for (inherited, runs) in [(false, true), (true, true), (false, false), (true, false)] {
            for project in [fixture.first(), fixture.second()] {
                pass(&fixture, project);
                fixture.wait_for(project, &ALL).await;
            }
            if !runs {
                fixture.stop().await;
            }
            apply(&fixture, retention, inherited).await;
            if !runs {
                assert_eq!(fixture.kept(fixture.first()).await, ALL);
                fixture.keep(30).await;
            }
            fixture.wait_for(fixture.first(), allowed).await;
            assert_eq!(fixture.kept(fixture.second()).await, ALL, "{retention:?}");
            reset(&fixture).await;
            clear(&fixture).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_bodies_are_deleted_with_their_project() {
    let fixture = Fixture::start().await;
    for project in [fixture.first(), fixture.second()] {
        pass(&fixture, project);
        fixture.wait_for(project, &ALL).await;
    }
    fixture.archive(fixture.first()).await;
    fixture.wait_for(fixture.first(), &[]).await;
    assert_eq!(fixture.kept(fixture.second()).await, ALL);
    delete_project(&fixture, fixture.second()).await;
    fixture.wait_for(fixture.second(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_bodies_that_a_new_setting_forbids_are_never_stored() {
    for is_archived in [false, true] {
        let fixture = Fixture::start().await;
        // The body writer has deleted what the settings at its start forbid, and waits for bodies.
        pass(&fixture, fixture.second());
        fixture.wait_for(fixture.second(), &ALL).await;
        clear(&fixture).await;
        let mut turn = fixture
            .store
            .usage()
            .begin()
            .await
            .expect("the writer's turn");
        turn.lock_table("bodies").await.expect("a lock");
        pass(&fixture, fixture.first());
        pass(&fixture, fixture.second());
        // The body writer has taken bodies of at least one of the four requests, and waits for its lock.
        poll::until("bodies are taken from the queue", async || {
            fixture.bodies().map(bodies::Bodies::queue_depth) < Some(4)
        })
        .await;
        if is_archived {
            fixture.archive(fixture.first()).await;
        } else {
            let retention = Retention::EnhancedZeroDataRetention;
            apply(&fixture, retention, false).await;
        }
        assert_eq!(fixture.kept(fixture.second()).await, Vec::<String>::new());
        drop(turn);
        poll::until("the other project's bodies are stored", async || {
            assert_eq!(fixture.kept(fixture.first()).await, Vec::<String>::new());
            fixture.kept(fixture.second()).await == ALL
        })
        .await;
        assert_eq!(fixture.bodies().map(bodies::Bodies::lost), Some(0));
    }
}
