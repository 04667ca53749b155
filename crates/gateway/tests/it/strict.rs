//! Strict durability: who has the whole answer can find it in the ledger.

use std::time::Duration;

use gateway::Durability;
use http_body_util::BodyExt;

use crate::upstream::{COMPLETION, EVENTS, Reply, nobody};
use crate::world::{SERVICE, World, chat, config};

async fn count(world: &World) -> usize {
    let all = usage::Entries::all(world.store.usage()).await;
    all.expect("the ledger").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_byte_waits_for_the_ledger() {
    let nobody = nobody();
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Strict, |url| {
        let mut gone = config("gone", nobody);
        gone.models = vec!["gone".into()];
        gone.aliases.clear();
        vec![config("local", url), gone]
    })
    .await;
    let replies = [
        Reply::whole(200, COMPLETION),
        Reply::events(),
        Reply::whole(500, "oh"),
    ];
    let mut expected = 0;
    for reply in replies {
        world.upstream.replies(reply);
        let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
        assert!(!answer.body.is_empty());
        expected += 1;
        assert_eq!(count(&world).await, expected);
    }
    assert_eq!(world.chat(r#"{"model":"gone"}"#).await.status, 502);
    assert_eq!(count(&world).await, expected + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_that_says_done_waits_too() {
    let mut reply = Reply::events();
    reply
        .steps
        .push(crate::upstream::Step::Wait(Duration::from_secs(3)));
    let world = World::with(reply, Durability::Strict, |url| vec![config("local", url)]).await;
    let request = chat(SERVICE, r#"{"model":"real","stream":true}"#);
    let mut body = world.gateway.handle(request).await.into_body();
    let mut text = Vec::new();
    while !text.ends_with(EVENTS[3].as_bytes()) {
        let frame = body.frame().await.expect("a frame").expect("a piece");
        text.extend_from_slice(&frame.into_data().expect("data"));
    }
    assert_eq!(count(&world).await, 1);
}
