//! Load balancing: the upstreams of a model share its requests by their weights.

use gateway::{Durability, UpstreamConfig};

use crate::upstream::{COMPLETION, Reply, Upstream, nobody};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;

/// Starts a gateway with three upstreams of these weights; returns the second and the third.
async fn balanced_by(weights: [u32; 3]) -> (World, [Upstream; 2]) {
    let reply = || Reply::whole(200, COMPLETION);
    let others = [
        Upstream::start(reply()).await,
        Upstream::start(reply()).await,
    ];
    let urls = [others[0].base_url(), others[1].base_url()];
    let world = World::with(reply(), Durability::Batched, |url| {
        let urls = std::iter::once(url).chain(urls);
        let weighted = |((weight, url), name)| UpstreamConfig {
            weight,
            ..config(name, url)
        };
        let names = ["first", "second", "third"];
        let all = weights.into_iter().zip(urls).zip(names);
        all.map(weighted).collect()
    })
    .await;
    (world, others)
}

fn asked(world: &World, others: &[Upstream; 2]) -> [usize; 3] {
    [&world.upstream, &others[0], &others[1]].map(|upstream| upstream.asked().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_get_requests_in_proportion_to_their_weights() {
    let (world, others) = balanced_by([3, 1, 2]).await;
    for _ in 0..6 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(asked(&world, &others), [3, 1, 2]);
    // Concurrent requests are shared in the same way.
    let clients = (0..54).map(|_| {
        let gateway = world.gateway.clone();
        let request = crate::world::chat(world.service(), MODEL);
        tokio::spawn(async move {
            crate::world::read(gateway.handle(request).await)
                .await
                .status
        })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.await.expect("an answer"), 200);
    }
    assert_eq!(asked(&world, &others), [30, 10, 20]);
    assert_eq!(world.rows(60).await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_gets_a_request_only_when_the_others_fail() {
    let (world, others) = balanced_by([1, 0, 0]).await;
    for _ in 0..4 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(asked(&world, &others), [4, 0, 0]);
    world.upstream.replies(Reply::whole(503, "{}"));
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(asked(&world, &others), [5, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn share_of_an_unreachable_upstream_goes_to_the_others() {
    let nobody = nobody();
    let second = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        let gone = UpstreamConfig {
            weight: 5,
            ..config("gone", nobody)
        };
        let heavy = UpstreamConfig {
            weight: 2,
            ..config("heavy", url)
        };
        vec![gone, heavy, config("light", second.base_url())]
    })
    .await;
    for _ in 0..7 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    // The first request opened the circuit; from the second on there are whole rounds of three.
    let asked = [world.upstream.asked().len(), second.asked().len()];
    assert_eq!(asked, [5, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_one_prompt_cache_key_stay_at_one_upstream() {
    let (world, others) = balanced_by([1, 1, 1]).await;
    let body = |key: usize| format!(r#"{{"model":"real","prompt_cache_key":"key {key}"}}"#);
    let mut per_key = Vec::new();
    for key in 0..12 {
        let before = asked(&world, &others);
        for _ in 0..3 {
            assert_eq!(world.chat(&body(key)).await.status, 200);
        }
        let after = asked(&world, &others);
        let by_upstream = [0, 1, 2].map(|index| after[index] - before[index]);
        let nearest = by_upstream.iter().position(|count| *count == 3);
        per_key.push(nearest.unwrap_or_else(|| panic!("key {key}: {by_upstream:?}")));
    }
    for index in 0..3 {
        let name = ["first", "second", "third"][index];
        assert!(per_key.contains(&index), "{name} has no key of {per_key:?}");
    }
    // A failing upstream's keys move; they return with it.
    let key = per_key.iter().position(|index| *index == 0);
    let key = key.expect("a key of the first upstream");
    world.upstream.replies(Reply::whole(503, "{}"));
    assert_eq!(world.chat(&body(key)).await.status, 200);
    world.upstream.replies(Reply::whole(200, COMPLETION));
    let before = asked(&world, &others)[0];
    assert_eq!(world.chat(&body(key)).await.status, 200);
    assert_eq!(asked(&world, &others)[0], before + 1);
}
