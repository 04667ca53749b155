//! The rule about sleeps in tests: a test waits for a condition with a deadline, or drives the clock.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, Signature};

use super::modules::{self, Module, is_test_path};
use super::sources::unit_tests;
use super::{File, Finding, tokens};

/// A test does not sleep. In a test whose clock is paused, `sleep` moves the clock and passes.
pub fn in_tests(files: &[File]) -> Vec<Finding> {
    let crates = modules::crates(files);
    let modules = || crates.iter().flat_map(|found| &found.modules);
    let is_test_file = |file: &File| {
        let own = |module: &&Module<'_>| !module.is_block && module.file.path == file.path;
        is_test_path(&file.path) || modules().filter(own).any(|module| module.is_test)
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.text.contains("sleep")) {
        let Some(syntax) = file.syntax() else {
            continue;
        };
        let mut functions = Functions::default();
        functions.visit_file(syntax);
        let is_test = is_test_file(file);
        let unit_tests = unit_tests(file);
        for line in calls(file) {
            let is_in_test = is_test || unit_tests.iter().any(|span| span.contains(&line));
            let function = functions.innermost(line);
            let is_paused = function.is_some_and(|function| function.is_paused);
            if is_in_test && !is_paused {
                let name = function.map_or("", |function| &function.name);
                let message = "a test must wait for a condition with a deadline, not sleep";
                findings.push(file.at(line, name, message));
            }
        }
    }
    findings
}

/// Returns the lines of the calls of `sleep`.
fn calls(file: &File) -> Vec<usize> {
    let mut lines = Vec::new();
    tokens::each_run(tokens::of(file), &mut |run| {
        for (index, token) in run.iter().enumerate() {
            let is_call = matches!(run.get(index + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
            let is_definition =
                index > 0 && matches!(&run[index - 1], TokenTree::Ident(word) if word == "fn");
            if let TokenTree::Ident(ident) = token
                && ident == "sleep"
                && is_call
                && !is_definition
            {
                lines.push(tokens::line(ident.span()));
            }
        }
    });
    lines
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
}
