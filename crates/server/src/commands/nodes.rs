//! `orgplane nodes`: lists the nodes that serve a database.

use cluster::{LivingNode, living_nodes};

use super::deployment::open;
use super::output::{escape_control, print};
use crate::config::{Config, Overrides};

/// The columns of the list.
const HEADINGS: [&str; 6] = [
    "EPOCH",
    "NAME",
    "VERSION",
    "AGE",
    "REVISION",
    "CONFIGURATION",
];

pub(super) async fn run(overrides: &Overrides) -> anyhow::Result<()> {
    let store = open(&Config::load(overrides)?).await?;
    if store.administration().is_local() {
        return print("SQLite: the database has one node.\n");
    }
    print(&list(&living_nodes(&store).await?))
}

/// Returns the list of nodes, whose configuration is compared with that of the first, the oldest one.
fn list(nodes: &[LivingNode]) -> String {
    let Some(first) = nodes.first() else {
        return "No node serves this database.\n".to_owned();
    };
    let rows = nodes.iter().map(|node| {
        let differences = first.fingerprint.differences(&node.fingerprint);
        [
            node.epoch.to_string(),
            escape_control(&node.name),
            escape_control(&node.version),
            age(node.age),
            node.revision.to_string(),
            match differences.is_empty() {
                true => "same".to_owned(),
                false => format!("differs: {}", escape_control(&differences.join(", "))),
            },
        ]
    });
    let mut table = vec![HEADINGS.map(str::to_owned)];
    table.extend(rows);
    let width = |column: usize| {
        let widths = table.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |row: &[String; HEADINGS.len()]| {
        let cells = row.iter().zip(&widths);
        let cells = cells.map(|(cell, &width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    table.iter().map(line).collect()
}

/// Returns an age in its largest unit.
fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use cluster::Fingerprint;

    use super::*;

    fn node(epoch: i64, name: &str, age: i64, prices: &str) -> LivingNode {
        LivingNode {
            epoch,
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            fingerprint: Fingerprint::of(&[("prices", prices), ("upstreams", "u")]),
            age,
            silence: 0,
            revision: 12,
            keep_bodies_days: 0,
        }
    }

    #[test]
    fn nodes_are_listed_with_what_differs() {
        let listed = list(&[
            node(3, "a:8080", 90_000, "1"),
            node(14, "b\u{1b}[2J:8080", 61, "2"),
            node(15, "c", 4, "1"),
        ]);
        let expected = "\
EPOCH  NAME             VERSION  AGE  REVISION  CONFIGURATION
3      a:8080           0.1.0    1d   12        same
14     b\\u{1b}[2J:8080  0.1.0    1m   12        differs: prices
15     c                0.1.0    4s   12        same
";
        assert_eq!(listed, expected);
        assert_eq!(list(&[]), "No node serves this database.\n");
    }
}
