//! The rule about sleeps in tests: a test waits for a condition with a deadline, or drives the clock. What a scenario plays
//! to a server may take its time.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, Signature};

use super::modules::{self, Module, is_test_path};
use super::sources::unit_tests;
use super::{File, Finding, tokens};

/// The type of crate `poll` for a delay in the input of a scenario.
const SCENARIO_DELAY: &str = "ScenarioDelay";
/// Modules that may use [`SCENARIO_DELAY`], as files or folders, each with the reason.
const SCENARIOS: &[(&str, &str)] = &[
    ("crates/poll/", "defines the type"),
    (
        "crates/admin/tests/it/slow_mail_server.rs",
        "a mail server that takes its time",
    ),
    (
        "crates/gateway/tests/it/limits/seeded.rs",
        "a load generator: clients that begin at seeded moments",
    ),
    (
        "crates/gateway/tests/it/upstream.rs",
        "a model server that waits between the steps of its script",
    ),
    (
        "crates/server/tests/alone/",
        "load generators, attackers and faults that last for a while",
    ),
    (
        "crates/server/tests/it/bounds.rs",
        "clients that send byte after byte",
    ),
    (
        "crates/server/tests/it/kill/",
        "kills that strike at random moments",
    ),
    (
        "crates/server/tests/it/model_stub.rs",
        "a model server whose streams take as long as is asked for",
    ),
    (
        "crates/server/tests/it/nodes/hang.rs",
        "a load generator beside a database that hangs for a while",
    ),
    (
        "crates/server/tests/it/nodes/limits.rs",
        "a load generator beside a database that is away for a while",
    ),
];

/// A test does not sleep. In a test whose clock is paused, `sleep` moves the clock and passes; so does a delay of a scenario
/// in a module of [`SCENARIOS`].
pub fn in_tests(files: &[File]) -> Vec<Finding> {
    let crates = modules::crates(files);
    let modules = || crates.iter().flat_map(|found| &found.modules);
    let is_test_file = |file: &File| {
        let own = |module: &&Module<'_>| !module.is_block && module.file.path == file.path;
        is_test_path(&file.path) || modules().filter(own).any(|module| module.is_test)
    };
    let words = ["sleep", SCENARIO_DELAY];
    let mentions = |file: &&File| words.iter().any(|word| file.text.contains(word));
    let mut findings = Vec::new();
    for file in files.iter().filter(mentions) {
        let Some(syntax) = file.syntax() else {
            continue;
        };
        let mut functions = Functions::default();
        functions.visit_file(syntax);
        let is_test = is_test_file(file);
        let unit_tests = unit_tests(file);
        for (wait, line) in waits(file) {
            let is_in_test = is_test || unit_tests.iter().any(|span| span.contains(&line));
            let function = functions.innermost(line);
            let is_allowed = match wait {
                Wait::Sleep => function.is_some_and(|function| function.is_paused),
                Wait::Scenario => is_scenario(&file.path),
            };
            if is_in_test && !is_allowed {
                let name = function.map_or("", |function| &function.name);
                findings.push(file.at(line, name, wait.message()));
            }
        }
    }
    findings
}

/// A place at which a test waits for a time.
#[derive(Clone, Copy)]
enum Wait {
    Sleep,
    /// A [`SCENARIO_DELAY`].
    Scenario,
}

impl Wait {
    fn message(self) -> &'static str {
        match self {
            Self::Sleep => "a test must wait for a condition with a deadline, not sleep",
            Self::Scenario => {
                "only a load generator, a fault injector or a server of a test may use a scenario's delay"
            }
        }
    }
}

/// True if the file belongs to a module that may use [`SCENARIO_DELAY`].
fn is_scenario(path: &str) -> bool {
    SCENARIOS.iter().any(|(scenario, _)| {
        path == *scenario || scenario.ends_with('/') && path.starts_with(scenario)
    })
}

/// Returns the waits of a file, with their lines.
fn waits(file: &File) -> Vec<(Wait, usize)> {
    let mut waits = Vec::new();
    tokens::each_run(tokens::of(file), &mut |run| {
        for (index, token) in run.iter().enumerate() {
            let is_call = matches!(run.get(index + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
            let TokenTree::Ident(ident) = token else {
                continue;
            };
            let before = &run[..index];
            let wait = match ident.to_string().as_str() {
                "sleep" if !is_definition(before) => Wait::Sleep,
                SCENARIO_DELAY => Wait::Scenario,
                _ => continue,
            };
            if is_call {
                waits.push((wait, tokens::line(ident.span())));
            }
        }
    });
    waits
}

/// True if the tokens before a name make it the name of a function.
fn is_definition(before: &[TokenTree]) -> bool {
    matches!(before.last(), Some(TokenTree::Ident(word)) if word == "fn")
}

/// A function in a file.
struct Function {
    name: String,
    lines: RangeInclusive<usize>,
    /// True for a test that starts with a paused clock.
    is_paused: bool,
}

/// The functions of a file.
#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        let is_paused = attributes.iter().any(|attribute| match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string().contains("start_paused"),
            _ => false,
        });
        self.0.push(Function {
            name: signature.ident.to_string(),
            lines: tokens::line(signature.fn_token.span)
                ..=tokens::line(block.brace_token.span.close()),
            is_paused,
        });
    }

    fn innermost(&self, line: usize) -> Option<&Function> {
        let around = self.0.iter().filter(|it| it.lines.contains(&line));
        around.min_by_key(|it| it.lines.end() - it.lines.start())
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.attrs, &item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.attrs, &item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    const SLEEP: &str = "async fn waits() { tokio::time::sleep(PAUSE).await }";

    fn found(path: &str, text: &str) -> Vec<String> {
        places(in_tests, &[(path, text)])
    }

    #[test]
    fn sleep_in_an_integration_test_is_found() {
        assert_eq!(
            found("crates/a/tests/it/b.rs", SLEEP),
            ["crates/a/tests/it/b.rs: waits"]
        );
        let in_macro = "fn f() { select!(_ = sleep(PAUSE) => {}) }";
        assert_eq!(
            found("crates/testkit/src/b.rs", in_macro),
            ["crates/testkit/src/b.rs: f"]
        );
    }

    #[test]
    fn sleep_in_a_unit_test_is_found() {
        let text = format!("{SLEEP}\n#[cfg(test)]\nmod tests {{\n {SLEEP}\n}}");
        assert_eq!(
            found("crates/a/src/b.rs", &text),
            ["crates/a/src/b.rs: waits"]
        );
        let files = [
            ("crates/a/src/lib.rs", "#[cfg(test)] mod tests;"),
            ("crates/a/src/tests.rs", SLEEP),
        ];
        assert_eq!(places(in_tests, &files), ["crates/a/src/tests.rs: waits"]);
    }

    #[test]
    fn sleep_outside_of_tests_passes() {
        assert!(found("crates/a/src/lib.rs", SLEEP).is_empty());
    }

    #[test]
    fn sleep_in_a_test_with_a_paused_clock_passes() {
        let text =
            format!("#[tokio::test(start_paused = true)] {SLEEP} async fn sleep(t: u8) {{}}");
        assert!(found("crates/a/tests/it/b.rs", &text).is_empty());
    }

    #[test]
    fn delays_of_a_scenario_stay_in_the_listed_modules() {
        let text = "async fn f() { ScenarioDelay(SHORT).elapse().await }";
        assert_eq!(
            found("crates/server/tests/it/kills.rs", text),
            ["crates/server/tests/it/kills.rs: f"]
        );
        for (path, _) in SCENARIOS {
            let file = if path.ends_with('/') { "a.rs" } else { "" };
            assert!(found(&format!("{path}{file}"), text).is_empty());
        }
        let sleeps = found("crates/server/tests/alone/a.rs", SLEEP);
        assert_eq!(sleeps, ["crates/server/tests/alone/a.rs: waits"]);
    }

    #[test]
    fn listed_modules_have_delays_of_a_scenario() {
        let files = super::super::files(&super::super::root().unwrap()).unwrap();
        for (path, _) in SCENARIOS {
            let has_delay = files
                .iter()
                .any(|file| file.path.starts_with(path) && file.text.contains(SCENARIO_DELAY));
            assert!(has_delay, "{path}");
        }
    }
}
