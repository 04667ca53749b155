//! Choice of the database that a test runs on, in a run on both: most tests run on both, and those whose subject is not
//! the database on one of them. A run on a single database has all tests.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use toml::Value;

/// A database that tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Sqlite,
    Postgres,
}

/// Tests that run on one database: the binary, the beginning of the tests' names, and why the other database adds nothing.
type Single = (&'static str, &'static str, &'static str);

const HTTP: &str = "the listener, before an operation is found";
const MODEL_SERVER: &str = "bytes between clients, the gateway and model servers";
const LOCAL: &str = "commands that open no database";
const FILE: &str = "SQLite's own files";
const MACHINE: &str =
    "time and memory of the gateway, which asks the snapshot and the ledger's queue";
const CLUSTER: &str = "starts a PostgreSQL server of its own, whatever the run is on";

const ON_SQLITE: &[Single] = &[
    ("orgplane alone", "hostile_tenant::", MACHINE),
    ("orgplane alone", "stop_under_load::", MACHINE),
    ("orgplane it", "bounds::", HTTP),
    ("orgplane it", "connections::", HTTP),
    ("orgplane it", "cors::", HTTP),
    ("orgplane it", "tls::", HTTP),
    ("orgplane it", "signals::", HTTP),
    ("orgplane it", "log_sink::", "the log"),
    ("orgplane it", "telemetry::", "spans and metrics"),
    (
        "orgplane it",
        "command_line::",
        "commands, whose server is the same",
    ),
    ("orgplane it", "differential::", MODEL_SERVER),
    ("orgplane it", "messages::", MODEL_SERVER),
    ("orgplane it", "sockets::", MODEL_SERVER),
    ("orgplane it", "endpoints::", MODEL_SERVER),
    ("orgplane it", "third_party::", MODEL_SERVER),
    ("orgplane it", "commands::configuration::", LOCAL),
    ("orgplane it", "demo::", FILE),
    ("orgplane it", "outage::disk::", FILE),
    ("orgplane it", "outage::files::", FILE),
    ("orgplane it", "threat_model::", "documents"),
];
const ON_POSTGRES: &[Single] = &[
    ("orgplane it", "nodes::", CLUSTER),
    ("orgplane it", "outage::postgres::", CLUSTER),
    ("store it", "tls::", CLUSTER),
    ("cluster it", "sessions::", "SQLite has one node"),
];

/// Returns the tests of a binary that do not run on `system` because they run on the other one.
///
/// # Errors
/// A line of the lists names no test.
pub fn left_out<'a>(system: System, binary: &str, tests: &'a [String]) -> Result<Vec<&'a str>> {
    let elsewhere = match system {
        System::Sqlite => ON_POSTGRES,
        System::Postgres => ON_SQLITE,
    };
    let mut found = Vec::new();
    for (_, beginning, _) in elsewhere.iter().filter(|(of, ..)| *of == binary) {
        let before = found.len();
        let matching = tests.iter().filter(|test| test.starts_with(beginning));
        found.extend(matching.map(String::as_str));
        if found.len() == before {
            bail!(
                "xtask/src/test/selection.rs names `{beginning}`, but `{binary}` has no such test"
            );
        }
    }
    Ok(found)
}

/// True if a line of the lists is about the binary, which is then asked for its tests.
pub fn is_listed(system: System, binary: &str) -> bool {
    let elsewhere = match system {
        System::Sqlite => ON_POSTGRES,
        System::Postgres => ON_SQLITE,
    };
    elsewhere.iter().any(|(of, ..)| *of == binary)
}

/// Returns the packages of `Cargo.lock` that cannot reach a database, not even in their tests: they do not depend on
/// `store`, directly or through others.
///
/// # Errors
/// The text is no lock file.
pub fn without_database(lock: &str) -> Result<BTreeSet<String>> {
    let lock: Value = toml::from_str(lock)?;
    let packages = lock["package"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependencies: BTreeMap<String, Vec<String>> = packages
        .iter()
        .map(|package| {
            let named = package.get("dependencies").and_then(Value::as_array);
            // With two versions of a package, its version follows the name.
            let name = |value: &Value| text(value).split(' ').next().map(str::to_owned);
            let named = named.into_iter().flatten().filter_map(name).collect();
            (text(&package["name"]), named)
        })
        .collect();
    let mut with = BTreeSet::from(["store".to_owned()]);
    loop {
        let is_new = |(name, of): &(&String, &Vec<String>)| {
            !with.contains(*name) && of.iter().any(|dependency| with.contains(dependency))
        };
        let more: Vec<String> = dependencies
            .iter()
            .filter(is_new)
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        with.extend(more);
    }
    let names = dependencies.into_keys();
    Ok(names.filter(|name| !with.contains(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tests_of_one_database_are_left_out_on_the_other() {
        let tests = names(&["nodes::hang::a", "nodes_of_trees::b", "outage::postgres::c"]);
        let on_sqlite = left_out(System::Sqlite, "orgplane it", &tests).expect("a selection");
        assert_eq!(on_sqlite, ["nodes::hang::a", "outage::postgres::c"]);
        let chaos = names(&["chaos::a", "hostile_tenant::b", "stop_under_load::c"]);
        let on_postgres = left_out(System::Postgres, "orgplane alone", &chaos);
        assert_eq!(on_postgres.expect("a selection"), chaos[1..]);
        assert!(!is_listed(System::Sqlite, "orgplane alone"));
    }

    #[test]
    fn lines_that_name_no_test_are_errors() {
        let tests = names(&["nul::a"]);
        let error = left_out(System::Sqlite, "store it", &tests);
        let error = error.expect_err("`tls::` is missing").to_string();
        assert!(error.contains("`tls::`"), "{error}");
    }

    #[test]
    fn no_test_is_left_out_on_both_databases() {
        for (binary, beginning, _) in ON_SQLITE {
            let overlaps = |(other, prefix, _): &&Single| {
                other == binary && (prefix.starts_with(beginning) || beginning.starts_with(prefix))
            };
            let other = ON_POSTGRES.iter().find(overlaps);
            assert_eq!(other, None, "{binary} {beginning}");
        }
    }

    #[test]
    fn packages_that_reach_no_store_are_found() {
        let lock = r#"
            [[package]]
            name = "base"
            [[package]]
            name = "cli"
            dependencies = ["base", "syn 2.0.1"]
            [[package]]
            name = "gateway"
            dependencies = ["usage"]
            [[package]]
            name = "store"
            dependencies = ["base"]
            [[package]]
            name = "usage"
            dependencies = ["base", "store"]
        "#;
        let found = without_database(lock).expect("a lock file");
        assert_eq!(Vec::from_iter(found), ["base", "cli"]);
    }
}
