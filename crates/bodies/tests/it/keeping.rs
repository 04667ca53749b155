//! Stored bodies are readable with the secret, for as long as is configured.

use base::secret::Pepper;
use base::{BootClock, Entropy};
use bodies::Side;
use cluster::{Fingerprint, NodeSession, SessionOptions};
use store::{Store, sql};

use crate::fixture::{DAY_SECONDS, Fixture, START_SECONDS, TEXT};

const WORDS: [&str; 2] = ["the question that was asked", "the answer that was given"];

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_body_is_read_unchanged() {
    let fixture = Fixture::start().await;
    fixture.pass(fixture.first(), "req_1", TEXT, WORDS);
    fixture
        .wait_for(fixture.first(), &["req_1 answer", "req_1 request"])
        .await;
    let read = fixture.read("req_1", &fixture.pepper).await;
    assert_eq!(read, WORDS.map(|words| Some(words.as_bytes().to_vec())));
    let [request, answer] = &fixture.entries(fixture.first()).await[..] else {
        panic!("two bodies");
    };
    assert_eq!((request.side, answer.side), (Side::Request, Side::Answer));
    for (entry, words) in [(request, WORDS[0]), (answer, WORDS[1])] {
        assert_eq!(entry.created_at.0, START_SECONDS);
        assert_eq!(
            (entry.endpoint.as_str(), entry.model.as_str(), entry.status),
            ("/chat/completions", "m", Some(200))
        );
        let length = i64::try_from(words.len()).expect("a length");
        assert_eq!(
            (entry.length, entry.kept, entry.is_cut()),
            (length, length, false)
        );
    }
    assert!(fixture.read("req_2", &fixture.pepper).await.is_empty());
    assert_eq!(fixture.bodies().map(bodies::Bodies::lost), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_body_is_unreadable_without_the_secret() {
    let mut fixture = Fixture::start().await;
    fixture.pass(fixture.first(), "req_1", TEXT, WORDS);
    fixture.stop().await;
    let other = Pepper::generate(&Entropy::seeded(2));
    assert_eq!(fixture.read("req_1", &other).await, [None, None]);
    let mut connection = fixture.store.usage().read().await.expect("a connection");
    let all = sql!("SELECT content FROM bodies");
    let contents = connection.fetch_all(all, |row| row.get::<Vec<u8>>("content"));
    let mut places = contents.await.expect("contents");
    assert_eq!(places.len(), 2);
    if let Some(file) = fixture.database.url().strip_prefix("sqlite://") {
        let directory = std::path::Path::new(file).parent().expect("a directory");
        for file in std::fs::read_dir(directory).expect("files") {
            places.push(std::fs::read(file.expect("a file").path()).expect("bytes"));
        }
    }
    for place in places {
        for words in WORDS {
            let found = place
                .windows(words.len())
                .any(|part| part == words.as_bytes());
            assert!(!found, "{words}");
        }
    }
    // A body cannot be read in place of another.
    let swapped = sql!("UPDATE bodies SET request_id = 'req_2' WHERE request_id = 'req_1'");
    let mut transaction = fixture.store.usage().begin().await.expect("a transaction");
    transaction.execute(swapped).await.expect("swapped");
    transaction.commit().await.expect("a commit");
    assert_eq!(fixture.read("req_2", &fixture.pepper).await, [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_bodies_are_deleted() {
    let mut fixture = Fixture::start().await;
    fixture.pass(fixture.first(), "req_1", TEXT, WORDS);
    fixture
        .wait_for(fixture.first(), &["req_1 answer", "req_1 request"])
        .await;
    fixture.clock.advance(29 * DAY_SECONDS);
    fixture.pass(fixture.first(), "req_2", TEXT, WORDS);
    let both = [
        "req_1 answer",
        "req_1 request",
        "req_2 answer",
        "req_2 request",
    ];
    fixture.wait_for(fixture.first(), &both).await;
    fixture.clock.advance(DAY_SECONDS);
    fixture.wait_for(fixture.first(), &both[2..]).await;

    fixture.stop().await;
    fixture.keep(2).await;
    fixture.pass(fixture.first(), "req_3", TEXT, WORDS);
    fixture
        .wait_for(
            fixture.first(),
            &[
                "req_2 answer",
                "req_2 request",
                "req_3 answer",
                "req_3 request",
            ],
        )
        .await;
    fixture.stop().await;
    fixture.keep(1).await;
    fixture
        .wait_for(fixture.first(), &["req_3 answer", "req_3 request"])
        .await;
    fixture.stop().await;
    fixture.keep(0).await;
    assert!(fixture.bodies().is_none());
    fixture.wait_for(fixture.first(), &[]).await;
    fixture.stop().await;
}

/// SQLite has one node, so its bodies are deleted as that node is told to.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_another_node_keeps_are_not_deleted() {
    let mut fixture = Fixture::start().await;
    fixture.pass(fixture.first(), "req_1", TEXT, ["asked", "answered"]);
    fixture.stop().await;
    let kept = ["req_1 answer", "req_1 request"];
    let options = SessionOptions {
        name: "another".to_owned(),
        version: "1.0.0",
        fingerprint: Fingerprint::of(&[]),
        keep_bodies_days: 2,
        has_shared_limits: false,
        reports_revision_at_once: false,
        boot_clock: BootClock::system(),
    };
    let started = NodeSession::start(&fixture.store, &fixture.clock, options).await;
    let (_session, task) = started.expect("a session");
    if let Some(task) = task {
        fixture.clock.advance(DAY_SECONDS);
        fixture.keep(0).await;
        // Stopping waits for the deletions of the start.
        fixture.stop().await;
        fixture.wait_for(fixture.first(), &kept).await;
        task.stop().await;
    }
    fixture.keep(0).await;
    fixture.wait_for(fixture.first(), &[]).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_bodies_are_written_at_shutdown() {
    let mut fixture = Fixture::start().await;
    let turn = fixture
        .store
        .usage()
        .begin()
        .await
        .expect("the writer's turn");
    for number in 0..200 {
        fixture.pass(fixture.first(), &format!("req_{number}"), TEXT, WORDS);
    }
    drop(turn);
    fixture.stop().await;
    let store = Store::open(fixture.database.url()).await.expect("a store");
    let mut connection = store.usage().read().await.expect("a connection");
    let count = sql!("SELECT COUNT(*) AS count FROM bodies");
    let count = connection.fetch_one(count, |row| row.get::<i64>("count"));
    assert_eq!(count.await.ok(), Some(400));
}

/// PostgreSQL cannot store the name; no other body of the batch may be lost for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_model_with_nul_in_its_name_is_stored() {
    let fixture = Fixture::start().await;
    fixture.pass(fixture.first(), "req_1", TEXT, WORDS);
    fixture.pass_to("m\0", fixture.first(), "req_2", TEXT, WORDS);
    fixture.pass(fixture.first(), "req_3", TEXT, WORDS);
    let kept =
        ["req_1", "req_2", "req_3"].map(|id| [format!("{id} answer"), format!("{id} request")]);
    let kept: Vec<&str> = kept.as_flattened().iter().map(String::as_str).collect();
    fixture.wait_for(fixture.first(), &kept).await;
    let entries = fixture.entries(fixture.first()).await;
    let models = entries.iter().map(|entry| entry.model.as_str());
    assert_eq!(models.filter(|model| *model == "m\u{fffd}").count(), 2);
    assert_eq!(fixture.bodies().map(bodies::Bodies::lost), Some(0));
}
