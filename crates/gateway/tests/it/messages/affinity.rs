//! Requests of a conversation stay at one of several upstreams, since each account has a prompt cache of its own.

use gateway::Durability;
use serde_json::{Value, json};

use super::{MESSAGE, anthropic};
use crate::upstream::{Reply, Upstream};
use crate::world::World;

/// Starts a gateway with three upstreams; returns the second and the third.
async fn balanced() -> (World, [Upstream; 2]) {
    let reply = || Reply::whole(200, MESSAGE);
    let others = [
        Upstream::start(reply()).await,
        Upstream::start(reply()).await,
    ];
    let urls = [others[0].base_url(), others[1].base_url()];
    let world = World::with(reply(), Durability::Batched, |url| {
        let [second, third] = urls;
        let all = [("first", url), ("second", second), ("third", third)];
        all.map(|(name, url)| anthropic(name, url)).to_vec()
    })
    .await;
    (world, others)
}

fn asked(world: &World, others: &[Upstream; 2]) -> [usize; 3] {
    [&world.upstream, &others[0], &others[1]].map(|upstream| upstream.asked().len())
}

/// Sends the turns of every conversation, which must stay at one upstream; each upstream must get some conversations.
async fn check_stays(turns: impl Fn(usize) -> Vec<Value>) {
    let (world, others) = balanced().await;
    let mut by_upstream = [0; 3];
    // More than upstreams, so that each upstream gets some.
    for conversation in 0..12 {
        let before = asked(&world, &others);
        let turns = turns(conversation);
        for turn in &turns {
            assert_eq!(world.message(&turn.to_string()).await.status, 200, "{turn}");
        }
        let after = asked(&world, &others);
        let counts = [0, 1, 2].map(|index| after[index] - before[index]);
        let index = counts.iter().position(|count| *count == turns.len());
        by_upstream[index.unwrap_or_else(|| panic!("{conversation}: {counts:?}"))] += 1;
    }
    assert!(
        by_upstream.iter().all(|count| *count > 0),
        "{by_upstream:?}"
    );
}

fn user(content: &Value) -> Value {
    json!({"role": "user", "content": content})
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_of_a_conversation_stay_at_one_upstream_whatever_is_marked_for_its_cache() {
    check_stays(|conversation| {
        let text = format!("Question {conversation}");
        let cache = json!({"type": "ephemeral"});
        let marked = json!([{"type": "text", "text": text, "cache_control": cache}]);
        let (first, bare) = (user(&marked), user(&json!(text)));
        let answer = json!({"role": "assistant", "content": [{"type": "text", "text": "Yes."}]});
        let later = user(&json!([{"type": "text", "text": "More", "cache_control": cache}]));
        [
            vec![first],
            vec![bare.clone(), answer.clone(), later.clone()],
            vec![bare, answer.clone(), user(&json!("More")), answer, later],
        ]
        .map(|messages| {
            json!({"model": "real", "max_tokens": 50, "system": "Be kind", "messages": messages})
        })
        .to_vec()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_user_stay_at_one_upstream_whatever_they_say() {
    check_stays(|conversation| {
        let request = |text: &str| {
            json!({
                "model": "real",
                "max_tokens": 50,
                "metadata": {"user_id": format!("user_1_session_{conversation}")},
                "system": format!("Version {text}"),
                "messages": [user(&json!(text))],
            })
        };
        ["one", "two", "three"].map(request).to_vec()
    })
    .await;
}
