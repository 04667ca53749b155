//! Nodes of an older version beside one that has changed the tables.

use super::World;
use crate::installation::Server;
use crate::process::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b9_an_older_node_goes_on_beside_newer_tables_and_says_why_it_does_not_start_on_them() {
    let Some(world) = World::start("") else {
        return;
    };
    let (server, admin) = world.first_node();
    world.ask("ALTER TABLE organizations ADD COLUMN later TEXT");
    world.ask("INSERT INTO migrations (name) VALUES ('0999_later')");
    admin.application("App").await;
    let ready = crate::api::http().get(format!("{}/readyz", server.address));
    assert_eq!(ready.send().await.expect("an answer").status(), 200);
    let ended = Process::start(world.node(&world.url())).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for words in ["0999_later", "not known to this version", "or a newer one"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    // Expansions name the last migration that a node must know.
    world.ask("UPDATE migrations SET oldest = '0027_nodes' WHERE name = '0999_later'");
    let older = Server::from(world.node(&world.url()));
    admin.application("Another").await;
    older.stop();
    server.stop();
}
