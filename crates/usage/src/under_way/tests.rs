//! The registry of requests under way, by a clock that the tests drive.

use base::UnixTime;
use base::ids::{Id, OrganizationId, ProjectId};
use tokio::time::advance;

use super::{MIN_AGE, RegisteredRequest, UnderWay};
use crate::{Quantities, UsageEvent, UsageKind};

fn register(requests: &UnderWay, id: &str) -> RegisteredRequest {
    let event = UsageEvent::new(
        id.to_owned(),
        UnixTime(0),
        OrganizationId::from_text("org-a".to_owned()),
        ProjectId::from_text("proj_a".to_owned()),
        UsageKind::Completions,
        Quantities::default(),
    );
    requests.register(id.to_owned(), Box::new(move || event.clone()))
}

/// Returns the ids of the requests that are due, and those to delete.
fn due(requests: &UnderWay) -> (Vec<String>, Vec<String>) {
    let due = requests.take_due();
    let ids = due.requests.iter().map(|(_, request)| request.event().id);
    (ids.collect(), due.abandoned)
}

fn none() -> (Vec<String>, Vec<String>) {
    (Vec::new(), Vec::new())
}

#[tokio::test(start_paused = true)]
async fn a_request_is_due_once_it_is_old_enough() {
    let requests = UnderWay::default();
    let first = register(&requests, "1");
    advance(MIN_AGE / 2).await;
    let second = register(&requests, "2");
    assert_eq!(due(&requests), none());
    advance(MIN_AGE / 2).await;
    assert_eq!(due(&requests).0, ["1"]);
    assert_eq!(due(&requests), none(), "each is written once");
    assert_eq!(first.end().as_deref(), Some("1"), "the table has it");
    assert_eq!(second.end(), None, "the table does not have it");
    advance(MIN_AGE).await;
    assert_eq!(due(&requests), none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ends_without_a_row_is_deleted_if_it_was_written() {
    let requests = UnderWay::default();
    let (written, unwritten) = (register(&requests, "1"), register(&requests, "2"));
    drop(unwritten);
    advance(MIN_AGE).await;
    assert_eq!(due(&requests).0, ["1"]);
    drop(written);
    assert_eq!(due(&requests).1, ["1"]);
    assert_eq!(due(&requests), none());
}

/// A write that failed may have taken effect.
#[tokio::test(start_paused = true)]
async fn a_failed_write_is_repeated_and_its_requests_are_deleted_in_any_case() {
    let requests = UnderWay::default();
    let (first, second) = (register(&requests, "1"), register(&requests, "2"));
    let third = register(&requests, "3");
    advance(MIN_AGE).await;
    let failed = requests.take_due();
    assert_eq!(first.end().as_deref(), Some("1"), "on its way to the table");
    requests.put_back(failed);
    assert_eq!(second.end().as_deref(), Some("2"));
    assert_eq!(due(&requests).0, ["3"]);
    assert_eq!(third.end().as_deref(), Some("3"));
}

#[tokio::test(start_paused = true)]
async fn a_strict_request_is_taken_at_once() {
    let requests = UnderWay::default();
    let (first, second) = (register(&requests, "1"), register(&requests, "2"));
    let (message, _written) = second.strict();
    let taken = requests.take_strict(&[message]);
    assert_eq!(taken.requests.len(), 1);
    assert_eq!(second.end().as_deref(), Some("2"));
    assert_eq!(first.end(), None);
}
