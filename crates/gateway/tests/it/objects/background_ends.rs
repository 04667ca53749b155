//! The ends of responses in the background, each of which is metered by what is known.

use http::Method;
use serde_json::{Value, json};
use store::sql;

use super::background::{COMPLETED, HOUR_SECONDS, INPUT_ONLY, MINUTE_SECONDS, running};
use super::keeper;

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_response_is_metered_by_what_is_known() {
    for usage in [Value::Null, json!({"input_tokens": 11, "output_tokens": 2})] {
        let (world, shelf, response) = running().await;
        shelf.set(&response, json!({"usage": usage}));
        let path = format!("/v1/responses/{response}/cancel");
        let answer = world.call(Method::POST, &path, world.service(), "").await;
        assert_eq!(answer.json()["status"], "cancelled");
        world.until_metered(1).await;
        let row = world.row().await;
        match usage {
            Value::Null => assert_eq!(row.sums(), INPUT_ONLY),
            _ => assert_eq!(
                row.sums(),
                ("client_gone", false, Some(11), Some(2), Some(1))
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_response_is_metered_by_what_is_reported() {
    let reported = json!({"input_tokens": 11, "output_tokens": 2});
    let nothing = ("upstream_failed", false, None, None, Some(0));
    let some = ("upstream_failed", false, Some(11), Some(2), Some(1));
    for (usage, sums) in [(Value::Null, nothing), (reported, some)] {
        let (world, shelf, response) = running().await;
        let error = json!({"code": "server_error", "message": "boom"});
        let failed = json!({"status": "failed", "error": error, "usage": usage});
        shelf.set(&response, failed);
        world.poll_after(2).await;
        world.until_metered(1).await;
        assert_eq!(world.row().await.sums(), sums);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_reported_usage_is_estimated_by_its_text() {
    let (world, shelf, response) = running().await;
    let item = json!({"type": "message", "content": [{"type": "output_text", "text": "Hi there"}]});
    let incomplete = json!({"status": "incomplete", "output": [item]});
    shelf.set(&response, incomplete);
    world.poll_after(2).await;
    world.until_metered(1).await;
    let row = world.row().await;
    assert_eq!(
        row.sums(),
        ("succeeded", true, Some(2), Some(2), Some(1)),
        "{row:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_response_is_cancelled_and_metered_before_it_is_deleted() {
    let (world, shelf, response) = running().await;
    let path = format!("/v1/responses/{response}");
    shelf.asked();
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    let asked = shelf.asked();
    assert_eq!(asked.first(), Some(&format!("POST {path}/cancel")));
    assert_eq!(asked.last(), Some(&format!("DELETE {path}")));
    assert_eq!(world.row().await.sums(), INPUT_ONLY);
    assert_eq!(world.get(&path, world.service()).await.status, 404);
    world.poll_after(HOUR_SECONDS).await;
    assert_eq!(world.ledger().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_ended_unseen_is_metered_before_it_is_deleted() {
    let (world, shelf, response) = running().await;
    shelf.complete(&response);
    let path = format!("/v1/responses/{response}");
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    assert_eq!(world.row().await.sums(), COMPLETED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_the_upstream_has_lost_is_estimated() {
    for asks in [false, true] {
        let (world, shelf, response) = running().await;
        shelf.state().objects.remove(&response);
        world.poll_after(10 * MINUTE_SECONDS).await;
        assert!(
            world.ledger().await.is_empty(),
            "it may not be found at first"
        );
        world.clock.advance(10 * MINUTE_SECONDS);
        if asks {
            let path = format!("/v1/responses/{response}");
            assert_eq!(world.get(&path, world.service()).await.status, 404);
        }
        world.until_metered(1).await;
        assert_eq!(world.row().await.sums(), INPUT_ONLY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_does_not_end_within_a_day_is_cancelled() {
    for ignores in [false, true] {
        let (world, shelf, response) = running().await;
        shelf.state().ignores_cancels = ignores;
        world.poll_after(24 * HOUR_SECONDS - 1).await;
        assert!(world.ledger().await.is_empty());
        world.poll_after(MINUTE_SECONDS).await;
        world.until_metered(1).await;
        let cancel = format!("POST /v1/responses/{response}/cancel");
        assert!(shelf.asked().contains(&cancel));
        let outcome = if ignores { "timed_out" } else { "client_gone" };
        let (_, estimated, input, output, requests) = INPUT_ONLY;
        let expected = (outcome, estimated, input, output, requests);
        assert_eq!(world.row().await.sums(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_estimated_once_its_upstream_is_away_for_a_day() {
    let (world, shelf, _) = running().await;
    shelf.state().objects.clear();
    let upstream = keeper("http://127.0.0.1:9/v1".to_owned());
    let expiry = 31 * 24 * HOUR_SECONDS;
    // Claimed by a node that does not run any more.
    let claim = sql!(
        "UPDATE stored_objects SET claimed_until = $1",
        4_102_444_800_i64
    );
    world.change(claim).await;
    world.poll_after(expiry).await;
    assert_eq!(world.unmetered().await, 1, "its record does not expire");
    let node = world.another_node(vec![upstream]).await;
    let free = sql!("UPDATE stored_objects SET claimed_until = NULL");
    world.change(free).await;
    node.gateway().poll_objects().await;
    let row = world.rows(1).await.remove(0);
    let (_, estimated, input, output, requests) = INPUT_ONLY;
    assert_eq!(
        row.sums(),
        ("timed_out", estimated, input, output, requests)
    );
    world.poll_after(0).await;
    assert_eq!(world.unmetered().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosted_tools_are_counted_in_the_final_response() {
    let (world, shelf, response) = running().await;
    let call =
        json!({"type": "web_search_call", "status": "completed", "action": {"type": "search"}});
    shelf.set(&response, json!({"output": [call, call]}));
    shelf.complete(&response);
    world.poll_after(2).await;
    poll::until("every response is metered", async || {
        world.gateway.poll_objects().await;
        world.unmetered().await == 0
    })
    .await;
    let consumed = world.consumed().await;
    assert_eq!(consumed.len(), 2, "{consumed:?}");
    assert!(consumed.iter().any(|row| row.starts_with("completions")));
    let searches = consumed.iter().find(|row| row.starts_with("web_search"));
    assert!(
        searches.is_some_and(|row| row.contains("=2")),
        "{consumed:?}"
    );
}
