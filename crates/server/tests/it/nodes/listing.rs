//! The list of nodes, and what each of them shows of the others.

use super::World;
use crate::api::http;
use crate::installation::Server;

/// Returns the metrics of a node.
pub(super) async fn metrics(server: &Server) -> String {
    let answer = http().get(format!("{}/metrics", server.address)).send();
    let answer = answer.await.expect("an answer");
    answer.text().await.expect("text")
}

fn listed(world: &World) -> String {
    let ended = world
        .installation
        .run(&["nodes", "--database", &world.url()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_listed_with_differences_of_configuration_and_metrics_agree() {
    let Some(world) = World::start("[cluster]\nname = 'first'\n") else {
        return;
    };
    let (one, admin) = world.first_node();
    let settings = "listen = '127.0.0.1:0'\n[cluster]\nname = 'second'\n[[price]]\nmodel = 'm'\neffective = '2026-01-01'\ninput = '1'\n";
    let file = world.installation.directory().join("second.toml");
    std::fs::write(&file, settings).expect("a file");
    let mut command = world.node(&world.url());
    command.args(["--config", file.to_str().expect("a path")]);
    let other = Server::from(command);
    let lines = listed(&world);
    let first = lines.lines().find(|line| line.contains("first"));
    assert!(first.is_some_and(|line| line.ends_with("same")), "{lines}");
    let second = lines.lines().find(|line| line.contains("second"));
    assert!(
        second.is_some_and(|line| line.ends_with("differs: prices")),
        "{lines}"
    );
    for server in [&one, &other] {
        poll::until("the metrics agree", async || {
            let metrics = metrics(server).await;
            metrics.contains("orgplane_nodes 2\n")
                && metrics.contains("orgplane_nodes_differing 1\n")
                && metrics.contains("orgplane_session_over 0\n")
        })
        .await;
    }
    other.stop();
    let lines = listed(&world);
    assert!(
        !lines.contains("second") && lines.contains("first"),
        "{lines}"
    );
    poll::until("the metrics agree", async || {
        let metrics = metrics(&one).await;
        metrics.contains("orgplane_nodes 1\n") && metrics.contains("orgplane_nodes_differing 0\n")
    })
    .await;
    drop(admin);
    one.stop();
    assert_eq!(listed(&world), "No node serves this database.\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_leaves_the_list_after_its_session() {
    let Some(world) = World::start("") else {
        return;
    };
    let (one, _admin) = world.first_node();
    let other = Server::from(world.node(&world.url()));
    assert_eq!(listed(&world).lines().count(), 3);
    other.process.kill();
    poll::until("the session is over", async || {
        world.ask("SELECT COUNT(*) FROM nodes WHERE ended_at IS NOT NULL AND NOT has_left") == "1"
    })
    .await;
    assert_eq!(listed(&world).lines().count(), 2);
    one.stop();
}
