//! Lists: the objects of a project, page by page, even while objects are deleted.

use serde_json::json;

use super::world;
use crate::world::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_each_of_a_projects_own_once() {
    let (world, shelf) = world().await;
    let mut files = Vec::new();
    for number in 0..7 {
        let purpose = if number % 2 == 0 {
            "user_data"
        } else {
            "evals"
        };
        files.push(world.file(world.service(), purpose, "x").await);
        world.clock.advance(1);
        world.file(world.other(), purpose, "x").await;
    }
    let oldest_first = files.clone();
    files.reverse();
    shelf.asked();
    assert_eq!(
        world.page("/v1/files", world.service()).await,
        (files.clone(), false)
    );
    let asked = shelf.asked();
    assert_eq!(asked.len(), 7, "{asked:?}");
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/v1/files?limit=3".to_owned();
    loop {
        let (ids, has_more) = world.page(&path, world.service()).await;
        seen.extend(ids);
        if !has_more {
            break;
        }
        path = format!("/v1/files?limit=3&after={}", seen.last().expect("an id"));
    }
    assert_eq!(seen, files);
    let ascending = world.page("/v1/files?order=asc", world.service()).await;
    assert_eq!(ascending, (oldest_first, false));
    let (evals, _) = world.page("/v1/files?purpose=evals", world.service()).await;
    assert_eq!(evals, [&files[1], &files[3], &files[5]].map(Clone::clone));
    let (others, _) = world.page("/v1/files", world.other()).await;
    assert_eq!(others.len(), 7);
    let foreign = format!("/v1/files?after={}", others[0]);
    for (query, param) in [
        (foreign.as_str(), "after"),
        ("/v1/files?limit=0", "limit"),
        ("/v1/files?other=1", "other"),
        ("/v1/batches?order=asc", "order"),
    ] {
        let answer = world.get(query, world.service()).await;
        assert_eq!(
            answer.refusal(),
            (400, json!(param), json!("invalid_value"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_lost_is_left_out_and_forgotten() {
    let (world, shelf) = world().await;
    let mut files = Vec::new();
    for _ in 0..6 {
        files.push(world.file(world.service(), "user_data", "x").await);
        world.clock.advance(1);
    }
    files.reverse();
    for lost in &files[1..5] {
        shelf.state().objects.remove(lost);
    }
    // What is new may not be found yet: it is left out, but not forgotten.
    let left = vec![files[0].clone(), files[5].clone()];
    assert_eq!(
        world.page("/v1/files", world.service()).await,
        (left.clone(), false)
    );
    world.clock.advance(3600);
    shelf.asked();
    let path = format!("/v1/files?limit=2&after={}", files[0]);
    assert_eq!(
        world.page(&path, world.service()).await,
        (vec![files[5].clone()], false),
        "empty pages are skipped"
    );
    let path = format!("/v1/files?limit=1&after={}", files[0]);
    assert_eq!(
        world.page(&path, world.service()).await,
        (vec![files[5].clone()], false)
    );
    assert_eq!(
        shelf.asked().len(),
        5,
        "those are forgotten, and the last was asked for a moment ago"
    );
    // An answer that is none of the account's changes nothing.
    shelf.set(&files[0], json!({"object": "lost"}));
    assert_eq!(
        world.page("/v1/files", world.service()).await,
        (vec![files[5].clone()], false)
    );
    shelf.set(&files[0], json!({"object": "file"}));
    assert_eq!(
        world
            .get(&format!("/v1/files/{}", files[0]), world.service())
            .await
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn vector_stores_are_listed_to_either_side() {
    let (world, _shelf) = world().await;
    let mut stores = Vec::new();
    for _ in 0..5 {
        stores.push(
            world
                .make("/v1/vector_stores", world.service(), &json!({}))
                .await,
        );
        world.clock.advance(1);
    }
    let stores: Vec<String> = stores.iter().rev().map(Answer::id).collect();
    let path = format!("/v1/vector_stores?limit=2&before={}", stores[3]);
    let page = world.page(&path, world.service()).await;
    assert_eq!(page, (stores[1..3].to_vec(), true));
    let path = format!("/v1/vector_stores?limit=2&order=asc&after={}", stores[3]);
    let page = world.page(&path, world.service()).await;
    assert_eq!(page, (vec![stores[2].clone(), stores[1].clone()], true));
    assert_eq!(
        world.page("/v1/vector_stores", world.other()).await,
        (vec![], false)
    );
}
