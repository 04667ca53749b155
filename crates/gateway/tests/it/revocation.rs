//! Keys that are revoked while their requests are in flight.

use std::sync::Arc;
use std::time::Duration;

use base::time::Stopwatch;
use gateway::{Durability, FlowLimits};
use http_body_util::BodyExt;
use serde_json::json;
use testkit::ProjectKey;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::slow_body::{UnderWay, slow_body, slow_chat};
use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{Bounds, World, chat, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;
/// The time within which a revocation takes effect: a second on every node, with a reserve for a busy machine.
const REVOCATION_TIMEOUT: Duration = Duration::from_secs(3);

/// A change that revokes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revocation {
    KeyDeleted,
    ServiceAccountDeleted,
    MembershipEnded,
    ProjectArchived,
    OwnerDemoted,
    KeyExpired,
}

const REVOCATIONS: [Revocation; 6] = [
    Revocation::KeyDeleted,
    Revocation::ServiceAccountDeleted,
    Revocation::MembershipEnded,
    Revocation::ProjectArchived,
    Revocation::OwnerDemoted,
    Revocation::KeyExpired,
];

impl Revocation {
    /// Returns a key that this change revokes.
    async fn key(self, world: &World) -> ProjectKey {
        match self {
            Self::KeyDeleted => world.keys.owner.clone(),
            Self::ServiceAccountDeleted | Self::ProjectArchived => world.keys.service.clone(),
            Self::MembershipEnded => world.member_key().await,
            Self::OwnerDemoted => world.second_owner_key().await,
            Self::KeyExpired => world.expiring_key().await,
        }
    }

    /// Makes the change that revokes the key.
    async fn apply(self, world: &World, key: &ProjectKey) {
        match self {
            Self::KeyDeleted => world.unset(&format!("api_keys/{}", key.id)).await,
            Self::ServiceAccountDeleted => world.delete_service().await,
            Self::MembershipEnded => world.leave_project(&key.owner_id).await,
            Self::ProjectArchived => world.archive().await,
            Self::OwnerDemoted => world.demote(&key.owner_id).await,
            Self::KeyExpired => world.clock.advance(4000),
        }
    }

    /// True if the key stays valid and only loses permissions.
    fn takes_permissions(self) -> bool {
        matches!(self, Self::MembershipEnded | Self::OwnerDemoted)
    }
}

/// Returns a stream of two events, a gate, the usage and the end.
fn gated(gate: &Arc<Semaphore>) -> Reply {
    Reply::stream(vec![
        send(EVENTS[0]),
        send(EVENTS[1]),
        Step::Gate(Arc::clone(gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_body_that_comes_after_its_key_was_revoked_is_refused() {
    for revocation in REVOCATIONS {
        let world = World::start(Reply::whole(200, COMPLETION)).await;
        let key = revocation.key(&world).await;
        let (sender, body) = slow_body(None);
        let request = UnderWay::start(&world, slow_chat(&key.secret, body));
        sender.send(&MODEL[..5]).await;
        revocation.apply(&world, &key).await;
        sender.send(&MODEL[5..]).await;
        drop(sender);
        let answer = request.answer().await;
        let expected = if revocation.takes_permissions() {
            403
        } else {
            401
        };
        assert_eq!(answer.status, expected, "{revocation:?}: {}", answer.body);
        assert_eq!(world.upstream.asked().len(), 0, "{revocation:?}");
        assert_eq!(world.ledger().await, [], "{revocation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_what_is_set_when_the_body_has_come_holds() {
    for expected in [
        (403, json!("model_not_found")),
        (429, json!("rate_limit_exceeded")),
    ] {
        let world = World::start(Reply::whole(200, COMPLETION)).await;
        let (sender, body) = slow_body(None);
        let request = UnderWay::start(&world, slow_chat(world.service(), body));
        sender.send(&MODEL[..5]).await;
        if expected.0 == 403 {
            world.list_models("deny_list", &["real"]).await;
        } else {
            world.limit("real", "max_requests_per_1_minute", 0).await;
        }
        sender.send(&MODEL[5..]).await;
        drop(sender);
        let answer = request.answer().await;
        let [.., code] = answer.error();
        assert_eq!((answer.status.as_u16(), code), expected);
        assert_eq!(world.upstream.asked().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_stream_of_a_revoked_key_ends_and_is_in_the_ledger_once() {
    for revocation in REVOCATIONS {
        let gate = Arc::new(Semaphore::new(0));
        let world = World::start(gated(&gate)).await;
        let key = revocation.key(&world).await;
        let response = world.gateway.handle(chat(&key.secret, STREAM)).await;
        let other = world.gateway.handle(chat(world.other(), STREAM)).await;
        let mut body = response.into_body();
        for _ in 0..2 {
            body.frame().await.expect("a frame").expect("a piece");
        }
        revocation.apply(&world, &key).await;
        let end = timeout(REVOCATION_TIMEOUT, body.frame())
            .await
            .expect("it ends soon");
        assert!(
            end.expect("an end").is_err(),
            "{revocation:?}: it breaks off"
        );
        assert!(body.frame().await.is_none());
        drop(body);
        gate.add_permits(2);
        let other = crate::world::read(other).await;
        assert!(!other.is_broken, "another project's goes on");
        let mut rows = world.rows(2).await;
        rows.sort_by(|a, b| a.outcome.cmp(&b.outcome));
        assert_eq!(
            rows[0].sums(),
            ("client_gone", false, Some(11), Some(7), Some(1)),
            "{revocation:?}"
        );
        assert_eq!(rows[1].outcome, "succeeded");
        assert_eq!(world.upstream.asked().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_stream_ends_when_another_process_revokes_its_key() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(gated(&gate)).await;
    let response = world.gateway.handle(chat(world.service(), STREAM)).await;
    let mut body = response.into_body();
    for _ in 0..2 {
        body.frame().await.expect("a frame").expect("a piece");
    }
    let account = &world.keys.service.owner_id;
    let path = format!("/projects/{}/service_accounts/{account}", world.project);
    world.elsewhere().await.delete(&path).await;
    let end = timeout(REVOCATION_TIMEOUT, body.frame())
        .await
        .expect("it ends soon");
    assert!(end.expect("an end").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_request_that_waits_for_its_answer_is_refused_and_in_the_ledger_once() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let world = World::start(reply).await;
    let gateway = world.gateway.clone();
    let request = chat(world.service(), MODEL);
    let request =
        tokio::spawn(async move { crate::world::read(gateway.handle(request).await).await });
    poll::until("the upstream is asked", async || {
        !world.upstream.asked().is_empty()
    })
    .await;
    world.delete_service().await;
    let answer = timeout(REVOCATION_TIMEOUT, request)
        .await
        .expect("it ends soon");
    let answer = answer.expect("an answer");
    let [message, _, _, code] = answer.error();
    assert_eq!(
        (answer.status.as_u16(), code),
        (401, json!("invalid_api_key"))
    );
    assert!(message.to_string().contains("revoked"), "{message}");
    gate.add_permits(1);
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_a_stream_goes_on_for_the_grace_that_is_configured() {
    let gate = Arc::new(Semaphore::new(0));
    let grace = Duration::from_secs(1);
    let bounds = Bounds {
        flow: FlowLimits {
            revoked_stream_grace: grace,
            ..FlowLimits::default()
        },
        ..Bounds::default()
    };
    let upstreams = |url| vec![config("local", url)];
    let world = World::bounded(gated(&gate), upstreams, bounds).await;
    let response = world.gateway.handle(chat(world.service(), STREAM)).await;
    let mut body = response.into_body();
    for _ in 0..2 {
        body.frame().await.expect("a frame").expect("a piece");
    }
    let watch = Stopwatch::start();
    world.delete_service().await;
    let end = timeout(grace + REVOCATION_TIMEOUT, body.frame()).await;
    assert!(end.expect("it ends").expect("an end").is_err());
    assert!(watch.elapsed() >= grace);
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_the_end_of_an_answer_waits_for_its_row_also_when_its_key_was_revoked() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::with(gated(&gate), Durability::Strict, |url| {
        vec![config("local", url)]
    })
    .await;
    let response = world.gateway.handle(chat(world.service(), STREAM)).await;
    world.delete_service().await;
    gate.add_permits(1);
    let _ = timeout(REVOCATION_TIMEOUT, crate::world::read(response))
        .await
        .expect("it ends");
    assert_eq!(world.rows(1).await.len(), 1);
}
