//! Two nodes that start at once on an empty database.

use std::process::Command;

use super::{World, ask};
use crate::installation::Server;
use crate::process::Process;

const MAX_ATTEMPTS: usize = 8;
const CHOSEN: &str = "sk-admin-3f9a1c5be27d48069d1f2b7c8e4a6053";
const KEY: &str = "Admin key (shown only now): ";
const ORGANIZATIONS: &str = "SELECT COUNT(*) FROM organizations";

/// An empty database for each try.
fn databases(world: &World) -> Vec<String> {
    let url = world.url();
    let names = (0..MAX_ATTEMPTS).map(|number| {
        let name = format!("try_{number}");
        world.ask(&format!("CREATE DATABASE {name}"));
        match url.rsplit_once('/') {
            Some((server, _)) => format!("{server}/{name}"),
            None => url.clone(),
        }
    });
    names.collect()
}

/// Starts two nodes at once, and waits until both serve.
fn both(nodes: [Command; 2]) -> [Server; 2] {
    let processes = nodes.map(Process::start);
    processes.map(|mut process| {
        let address = process.wait_for_line("Listening on ");
        Server { process, address }
    })
}

#[test]
fn b10_with_a_chosen_key_both_nodes_start_and_there_is_one_organization() {
    let Some(world) = World::start("") else {
        return;
    };
    for database in databases(&world) {
        let node = || {
            let mut node = world.node(&database);
            node.env("ORGPLANE_BOOTSTRAP_ADMIN_KEY", CHOSEN);
            node
        };
        for server in both([node(), node()]) {
            let text = server.process.stdout();
            assert!(!text.contains(CHOSEN), "{text}");
            server.stop();
        }
        assert_eq!(ask(&database, ORGANIZATIONS), "1");
    }
}

#[test]
fn b10_without_a_chosen_key_one_node_makes_the_organization_and_prints_the_key() {
    let Some(world) = World::start("") else {
        return;
    };
    for database in databases(&world) {
        let servers = both([world.node(&database), world.node(&database)]);
        let keys: Vec<_> = (servers.iter())
            .filter_map(|server| server.process.line(KEY))
            .collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(ask(&database, ORGANIZATIONS), "1");
        for server in servers {
            server.stop();
        }
    }
}

#[test]
fn b10_of_two_nodes_with_different_secrets_one_is_refused_and_told_why() {
    let Some(world) = World::start("") else {
        return;
    };
    for (number, database) in databases(&world).into_iter().enumerate() {
        let nodes = ["here", "there"].map(|name| {
            let mut node = world.node(&database);
            let file = format!("{name}-{number}.secret");
            node.env("ORGPLANE_SECRET_FILE", file);
            Process::start(node)
        });
        let (mut serving, mut refused) = (0, 0);
        for mut process in nodes {
            if process.serves_or_ends() {
                serving += 1;
                process.terminate();
                assert_eq!(process.ended().code, Some(0));
            } else {
                refused += 1;
                let ended = process.ended();
                assert_eq!(ended.code, Some(1), "{ended:?}");
                assert!(ended.stderr.contains("secret file"), "{ended:?}");
                assert!(ended.stderr.contains("restore"), "{ended:?}");
            }
        }
        assert_eq!((serving, refused), (1, 1));
        assert_eq!(ask(&database, ORGANIZATIONS), "1");
    }
}
