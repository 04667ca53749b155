//! A database on a small disk that is full.

use reqwest::Method;
use serde_json::json;

use super::{World, is_unavailable};
use crate::reports;
use crate::small_disk::Disk;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_full_disk_is_503_and_not_ready() {
    // Without the right to mount something there is no small disk to be had.
    let Some(disk) = Disk::new(16) else { return };
    let database = disk.path().join("orgplane.db");
    let world = World::start(&format!("sqlite://{}", database.display()));
    world.is_well().await;
    let (project, _) = world.admin.application("Application").await;
    disk.fill();
    // The log of the database has room that was used before.
    let mut answer = world.write().await;
    for _ in 0..5_000 {
        if answer.0 != 200 {
            break;
        }
        answer = world.write().await;
    }
    is_unavailable(&answer);
    world.not_ready("full").await;
    let lately = reports::now() - 30 * 86_400;
    let events: Vec<_> = (0..1_000)
        .map(|number| {
            json!({"id": format!("evt_{number}"), "timestamp": lately, "type": "completions",
                   "project_id": project, "model": "m", "input_tokens": 1, "output_tokens": 1})
        })
        .collect();
    let path = "/organization/usage/events";
    let answer = world.ask(Method::POST, path, Some(&json!(events))).await;
    is_unavailable(&answer);
    world.not_ready("usage waits in memory").await;
    assert!((1..10).contains(&world.lines("database unavailable")));
    assert_eq!(world.lines("query failed"), 0);

    disk.free();
    world.is_well().await;
    let known = world.admin.post(path, &json!(events)).await;
    assert_eq!(
        known["duplicates"], 1_000,
        "what waited was written: {known}"
    );
    world.server.stop();
}
