//! Rules about the text of Rust files.

use super::File;

const LINES: usize = 400;
/// The only home of the clock; everything else is given one, so that tests can set it.
const CLOCK: &str = "crates/base/src/time.rs";

/// A file fits into a reader's head.
pub fn length(files: &[File]) -> Vec<String> {
    let long = files
        .iter()
        .filter(|file| file.is_rust() && file.text.lines().count() > LINES);
    long.map(|file| file.at(LINES, &format!("more than {LINES} lines")))
        .collect()
}

/// Each file says what it serves.
pub fn introduction(files: &[File]) -> Vec<String> {
    let mute = files
        .iter()
        .filter(|file| file.is_rust() && !file.text.starts_with("//! "));
    mute.map(|file| file.at(0, "starts without `//!`"))
        .collect()
}

/// Nothing half done is committed.
pub fn unfinished(files: &[File]) -> Vec<String> {
    let markers = ["TODO", "FIXME", "todo!", "unimplemented!", "#[ignore"];
    mentions(files, &markers, "unfinished", |path| {
        path.starts_with("xtask/src/tidy/")
    })
}

/// A lint is switched off with `#[expect(…, reason = "…")]`, which says why and complains once it is not needed.
pub fn bare_allow(files: &[File]) -> Vec<String> {
    let markers = ["#[allow(", "#![allow("];
    mentions(files, &markers, "use `expect` with a reason", |path| {
        path.starts_with("xtask/src/tidy/")
    })
}

/// Only `store` knows that there are databases.
pub fn database_drivers(files: &[File]) -> Vec<String> {
    let home =
        |path: &str| path.starts_with("crates/store/") || path.starts_with("xtask/src/tidy/");
    mentions(
        files,
        &["rusqlite", "tokio_postgres"],
        "only crates/store names the database driver",
        home,
    )
}

/// Only one file reads the wall clock, and the operating system's monotonic one. Tokio's, which tests pause and advance,
/// may be read wherever a time is waited for.
pub fn clocks(files: &[File]) -> Vec<String> {
    let exempt = |path: &str| {
        let folders = ["xtask/", "benches/", "tests/", "crates/testkit/"];
        path == CLOCK
            || folders.iter().any(|folder| path.starts_with(folder))
            || path.contains("/tests/")
            || path.contains("/benches/")
    };
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && !exempt(&file.path))
    {
        let has_tokios = file.text.lines().any(|line| {
            let names = line.trim_start().strip_prefix("use tokio::time::");
            names.is_some_and(|names| names.contains("Instant"))
        });
        for (number, line) in file.text.lines().enumerate() {
            let is_tokios = has_tokios || line.contains("tokio::time::Instant::now");
            if line.contains("SystemTime::now") || line.contains("Instant::now") && !is_tokios {
                findings.push(file.at(number, &format!("only {CLOCK} reads the clock")));
            }
        }
    }
    findings
}

/// Every queue has a bound.
pub fn unbounded(files: &[File]) -> Vec<String> {
    mentions(
        files,
        &["unbounded_channel"],
        "every queue is bounded",
        |path| path.starts_with("xtask/src/tidy/"),
    )
}

/// A statement names the columns that it gives: one that a newer version adds would change what it gives, and PostgreSQL
/// refuses a prepared statement that does.
pub fn named_columns(files: &[File]) -> Vec<String> {
    let is_star = |word: &str| {
        let word = word.trim_end_matches([',', '"', ';', ')']);
        word == "*" || word.ends_with(".*")
    };
    let mut findings = Vec::new();
    let sources = files.iter().filter(|file| file.is_rust());
    for file in sources.filter(|file| !file.path.starts_with("xtask/src/tidy/")) {
        for (number, line) in file.text.lines().enumerate() {
            let mut words = line.split_whitespace().peekable();
            while let Some(word) = words.next() {
                let gives = word.ends_with("SELECT") || word.ends_with("RETURNING");
                if gives && words.peek().is_some_and(|next| is_star(next)) {
                    findings.push(file.at(number, "`*`: a statement names its columns"));
                }
            }
        }
    }
    findings
}

fn mentions(
    files: &[File],
    words: &[&str],
    what: &str,
    exempt: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && !exempt(&file.path))
    {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(file.at(number, &format!("`{word}`: {what}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    #[test]
    fn length_is_bounded() {
        assert!(
            findings(
                length,
                &[("a.rs", &"x\n".repeat(400)), ("a.json", &"x\n".repeat(401))]
            )
            .is_empty()
        );
        assert_eq!(
            findings(length, &[("a.rs", &"x\n".repeat(401))]),
            ["a.rs:401: more than 400 lines"]
        );
    }

    #[test]
    fn introductions_are_needed() {
        assert!(
            findings(
                introduction,
                &[("a.rs", "//! What it serves.\n"), ("a.sql", "--")]
            )
            .is_empty()
        );
        assert_eq!(findings(introduction, &[("a.rs", "fn main() {}")]).len(), 1);
        assert_eq!(findings(introduction, &[("a.rs", "")]).len(), 1);
    }

    #[test]
    fn unfinished_work_is_found() {
        assert!(findings(unfinished, &[("a.rs", "let todos = 1;")]).is_empty());
        let text = "// TODO x\n// FIXME x\ntodo!()\nunimplemented!()\n#[ignore = \"slow\"]\n";
        assert_eq!(findings(unfinished, &[("a.rs", text)]).len(), 5);
    }

    #[test]
    fn bare_allows_are_found() {
        assert!(
            findings(
                bare_allow,
                &[("a.rs", "#[expect(dead_code, reason = \"x\")]")]
            )
            .is_empty()
        );
        assert_eq!(
            findings(
                bare_allow,
                &[("a.rs", "#[allow(dead_code)]\n#![allow(dead_code)]")]
            )
            .len(),
            2
        );
    }

    #[test]
    fn drivers_stay_at_home() {
        assert!(
            findings(
                database_drivers,
                &[("crates/store/src/a.rs", "use rusqlite::Row;")]
            )
            .is_empty()
        );
        let found = findings(
            database_drivers,
            &[("crates/admin/src/a.rs", "x\nuse tokio_postgres::Row;")],
        );
        assert_eq!(
            found,
            [
                "crates/admin/src/a.rs:2: `tokio_postgres`: only crates/store names the database driver"
            ]
        );
    }

    #[test]
    fn clocks_stay_at_home() {
        let text = "Instant::now()";
        let fine = [
            ("crates/base/src/time.rs", text),
            ("crates/gateway/tests/it/a.rs", text),
            ("xtask/src/a.rs", text),
            (
                "crates/gateway/src/a.rs",
                "use tokio::time::{Instant, sleep};\nInstant::now()",
            ),
            ("crates/gateway/src/b.rs", "tokio::time::Instant::now()"),
        ];
        assert!(findings(clocks, &fine).is_empty());
        assert_eq!(
            findings(clocks, &[("crates/gateway/src/a.rs", text)]).len(),
            1
        );
        assert_eq!(
            findings(clocks, &[("crates/usage/src/a.rs", "SystemTime::now()")]).len(),
            1
        );
    }

    #[test]
    fn b8_statements_without_named_columns_are_found() {
        let found = |text| findings(named_columns, &[("crates/access/src/a.rs", text)]).len();
        assert_eq!(found("\"SELECT id, 2 * 3 AS six FROM t RETURNING id\""), 0);
        assert_eq!(found("\"SELECT COUNT(*) FROM t\""), 0);
        for text in [
            "const A: &str = \"SELECT * FROM t\";",
            "sql!(\"SELECT s.*, x FROM t s\")",
            "\"UPDATE t SET a = 1 RETURNING *\"",
        ] {
            assert_eq!(found(text), 1, "{text}");
        }
    }

    #[test]
    fn unbounded_queues_are_found() {
        assert_eq!(
            findings(
                unbounded,
                &[("crates/usage/src/a.rs", "mpsc::unbounded_channel()")]
            )
            .len(),
            1
        );
        assert!(findings(unbounded, &[("crates/usage/src/a.rs", "mpsc::channel(64)")]).is_empty());
    }
}
