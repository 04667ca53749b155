//! The rule about names of constants: a number or a duration says what kind of bound it is.

use syn::visit::{self, Visit};
use syn::{Ident, ImplItemConst, ItemConst, TraitItemConst, Type};

use super::{File, Finding, tokens};

const PREFIXES: &[&str] = &["MAX_", "MIN_", "DEFAULT_", "SECONDS_PER_"];
const SUFFIXES: &[&str] = &[
    "_TIMEOUT",
    "_INTERVAL",
    "_CAPACITY",
    "_BYTES",
    "_COUNT",
    "_LEN",
    "_LIMIT",
    "_DELAY",
    "_AGE",
    "_RATIO",
    "_BITS",
    "_SECONDS",
    "_VERSION",
    "_ID",
    "_PORT",
    "_STATUS",
    "_LEVEL",
    "_MASK",
    "_SHIFT",
];
const NUMERIC_TYPES: &[&str] = &[
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "Duration",
    "NonZeroU32",
    "NonZeroU64",
    "NonZeroUsize",
];

/// A constant that is a number or a duration is named `MAX_*`, `MIN_*`, `DEFAULT_*`, or by its kind (`*_TIMEOUT`, `*_BYTES`, …).
pub fn patterns(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let mut constants = Constants::default();
        if let Some(syntax) = file.syntax() {
            constants.visit_file(syntax);
        }
        for (line, name) in constants.0 {
            let message = format!(
                "`{name}` must say what it bounds: MAX_*, MIN_*, DEFAULT_*, *_TIMEOUT, *_INTERVAL, *_BYTES, …"
            );
            findings.push(file.at(line, &name, &message));
        }
    }
    findings
}

/// The misnamed constants of a file, with their lines.
#[derive(Default)]
struct Constants(Vec<(usize, String)>);

impl Constants {
    fn check(&mut self, ident: &Ident, kind: &Type) {
        let name = ident.to_string();
        if is_numeric(kind) && !is_well_named(&name) {
            self.0.push((tokens::line(ident.span()), name));
        }
    }
}

impl<'ast> Visit<'ast> for Constants {
    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.check(&item.ident, &item.ty);
        visit::visit_item_const(self, item);
    }

    fn visit_impl_item_const(&mut self, item: &'ast ImplItemConst) {
        self.check(&item.ident, &item.ty);
        visit::visit_impl_item_const(self, item);
    }

    fn visit_trait_item_const(&mut self, item: &'ast TraitItemConst) {
        self.check(&item.ident, &item.ty);
        visit::visit_trait_item_const(self, item);
    }
}

fn is_numeric(kind: &Type) -> bool {
    let Type::Path(path) = kind else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| NUMERIC_TYPES.iter().any(|name| last.ident == name))
}

fn is_well_named(name: &str) -> bool {
    let is_ratio = name
        .rsplit_once("_PER_")
        .is_some_and(|(_, unit)| !unit.is_empty() && unit.chars().all(|c| c.is_ascii_uppercase()));
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || is_ratio
        || matches!(name, "_" | "MAX" | "MIN")
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        places(patterns, &[("a.rs", text)])
    }

    #[test]
    fn numeric_constants_without_a_kind_are_found() {
        assert_eq!(found("const LINES: usize = 4;"), ["a.rs: LINES"]);
        assert_eq!(
            found("pub const PATIENCE: std::time::Duration = X;"),
            ["a.rs: PATIENCE"]
        );
        assert_eq!(found("impl A { const N: u8 = 1; }"), ["a.rs: N"]);
        assert_eq!(
            found("mod tests { fn f() { const ROUNDS: u64 = 1; } }"),
            ["a.rs: ROUNDS"]
        );
    }

    #[test]
    fn numeric_constants_with_a_kind_pass() {
        for name in [
            "MAX_LINES",
            "DEFAULT_PORT",
            "READ_TIMEOUT",
            "BLOCK_BYTES",
            "NANOS_PER_DOLLAR",
            "MAX",
        ] {
            assert!(
                found(&format!("const {name}: u64 = 1;")).is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn constants_of_other_types_may_have_any_name() {
        assert!(
            found("const NAMES: [u8; 2] = X; const WORD: &str = \"\"; static LINES: u8 = 1;")
                .is_empty()
        );
    }
}
