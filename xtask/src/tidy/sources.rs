//! Rules about the text of Rust files.

use std::ops::RangeInclusive;

use syn::Item;

use super::modules::is_test_item;
use super::{File, Finding, tokens};

/// Maximum number of lines of code in a file, without unit tests, comments and blank lines.
const MAX_CODE_LINES: usize = 400;
/// Maximum number of lines of code of the gateway's façade.
const MAX_FACADE_LINES: usize = 99;
const FACADE: &str = "crates/gateway/src/lib.rs";
/// The only file that reads the clock; everything else is given one, so that tests can set it.
const CLOCK: &str = "crates/base/src/time.rs";
/// The rules and their examples.
const TIDY: &str = "xtask/src/tidy/";

/// A file fits into a reader's head.
pub fn code_lines(files: &[File]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.filter_map(|file| too_long(file, MAX_CODE_LINES))
        .collect()
}

/// The gateway's `lib.rs` declares and composes, no more.
pub fn gateway_facade(files: &[File]) -> Vec<Finding> {
    let facade = files.iter().filter(|file| file.path == FACADE);
    facade
        .filter_map(|file| too_long(file, MAX_FACADE_LINES))
        .collect()
}

fn too_long(file: &File, limit: usize) -> Option<Finding> {
    let tests = unit_tests(file);
    let is_code = |(number, line): &(usize, &str)| {
        let line = line.trim_start();
        let is_test = tests.iter().any(|span| span.contains(number));
        !line.is_empty() && !line.starts_with("//") && !is_test
    };
    let count = file.text.lines().enumerate().filter(is_code).count();
    let message = format!("{count} lines of code, {limit} are allowed");
    (count > limit).then(|| file.at(0, "length", &message))
}

/// Returns the lines, counted from 0, of the blocks `#[cfg(test)] mod … { … }` of a file.
pub fn unit_tests(file: &File) -> Vec<RangeInclusive<usize>> {
    let items = file.syntax().map(|syntax| syntax.items.as_slice());
    let items = items.unwrap_or_default().iter();
    items
        .filter_map(|item| match item {
            Item::Mod(item) if is_test_item(&item.attrs) => {
                let (brace, _) = item.content.as_ref()?;
                let first = tokens::line(item.attrs.first()?.pound_token.span);
                Some(first..=tokens::line(brace.span.close()))
            }
            _ => None,
        })
        .collect()
}

/// Each file says what it serves.
pub fn introduction(files: &[File]) -> Vec<Finding> {
    let mute = files
        .iter()
        .filter(|file| file.is_rust() && !file.text.starts_with("//! "));
    mute.map(|file| file.at(0, "introduction", "starts without `//!`"))
        .collect()
}

/// Half-done work is not committed.
pub fn unfinished(files: &[File]) -> Vec<Finding> {
    let markers = ["TODO", "FIXME", "todo!", "unimplemented!", "#[ignore"];
    mentions(files, &markers, "unfinished", |path| path.starts_with(TIDY))
}

/// A lint is switched off with `#[expect(…, reason = "…")]`, which says why and complains once it is not needed.
pub fn bare_allow(files: &[File]) -> Vec<Finding> {
    let markers = ["#[allow(", "#![allow("];
    mentions(files, &markers, "use `expect` with a reason", |path| {
        path.starts_with(TIDY)
    })
}

/// Only `store` knows that there are databases.
pub fn database_drivers(files: &[File]) -> Vec<Finding> {
    let home = |path: &str| path.starts_with("crates/store/") || path.starts_with(TIDY);
    mentions(
        files,
        &["rusqlite", "tokio_postgres"],
        "only crates/store names the database driver",
        home,
    )
}

/// Only one file reads the wall clock, and the operating system's monotonic one. Tokio's, which tests pause and advance,
/// may be read wherever a time is waited for.
pub fn clocks(files: &[File]) -> Vec<Finding> {
    let exempt = |path: &str| {
        let folders = [
            "xtask/",
            "benches/",
            "tests/",
            "crates/poll/",
            "crates/testkit/",
        ];
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
                findings.push(file.at(number, "clock", &format!("only {CLOCK} reads the clock")));
            }
        }
    }
    findings
}

/// Every queue has a bound.
pub fn unbounded(files: &[File]) -> Vec<Finding> {
    mentions(
        files,
        &["unbounded_channel"],
        "every queue is bounded",
        |path| path.starts_with(TIDY),
    )
}

/// A statement names the columns that it gives: one that a newer version adds would change what it gives, and PostgreSQL
/// refuses a prepared statement that does.
pub fn named_columns(files: &[File]) -> Vec<Finding> {
    let is_star = |word: &str| {
        let word = word.trim_end_matches([',', '"', ';', ')']);
        word == "*" || word.ends_with(".*")
    };
    let mut findings = Vec::new();
    let sources = files.iter().filter(|file| file.is_rust());
    for file in sources.filter(|file| !file.path.starts_with(TIDY)) {
        for (number, line) in file.text.lines().enumerate() {
            let mut words = line.split_whitespace().peekable();
            while let Some(word) = words.next() {
                let gives = word.ends_with("SELECT") || word.ends_with("RETURNING");
                if gives && words.peek().is_some_and(|next| is_star(next)) {
                    findings.push(file.at(number, "*", "`*`: a statement names its columns"));
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
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_rust() && !exempt(&file.path))
    {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(file.at(number, word, &format!("`{word}`: {what}")));
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
    fn length_of_code_is_bounded() {
        let lines = |count| "fn f() {}\n".repeat(count);
        let fine = [("a.rs", lines(400)), ("a.json", lines(401))];
        for (path, text) in &fine {
            assert!(findings(code_lines, &[(path, text)]).is_empty());
        }
        assert_eq!(
            findings(code_lines, &[("a.rs", &lines(401))]),
            ["a.rs:1: 401 lines of code, 400 are allowed"]
        );
        assert_eq!(findings(gateway_facade, &[(FACADE, &lines(100))]).len(), 1);
        assert!(findings(gateway_facade, &[(FACADE, &lines(99))]).is_empty());
    }

    #[test]
    fn unit_tests_comments_and_blank_lines_are_no_code() {
        let code = "fn f() {}\n".repeat(400);
        let text = format!(
            "//! A.\n\n/// B.\n{code}// C.\n#[cfg(test)]\nmod tests {{\n    use super::*;\n}}\n"
        );
        assert!(findings(code_lines, &[("a.rs", &text)]).is_empty());
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
