//! The rule about imports: no cycle between files of different folders of a crate.
//!
//! An import is a `use`, or a path in code or in a macro. It is followed through re-exports to the file that defines what
//! is imported; a re-export alone is no import. Unit tests are left out. A module's file, `a.rs` or `a/mod.rs`, lies in the
//! module's folder if there is one, as the files of its children do.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::TokenTree;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Macro, UseTree, Visibility};

use super::modules::{self, Crate, Module};
use super::{File, Finding, tokens};

/// Maximum number of re-exports that an import is followed through.
const MAX_REEXPORTS: usize = 8;

/// No file imports from another folder what leads back to it.
pub fn cycles(files: &[File]) -> Vec<Finding> {
    modules::crates(files)
        .iter()
        .flat_map(|found| Graph::of(found).findings())
        .collect()
}

/// An import in a module, before it is resolved.
struct Import {
    segments: Vec<String>,
    /// Name in the importing module; `None` for `*`.
    alias: Option<String>,
    line: usize,
    is_reexport: bool,
}

/// The imports of one crate, from file to file.
struct Graph<'files> {
    /// Files by path.
    files: BTreeMap<&'files str, &'files File>,
    folders: BTreeMap<&'files str, String>,
    /// Line of the first import and the imported names, by the paths of the two files.
    edges: BTreeMap<(&'files str, &'files str), (usize, BTreeSet<String>)>,
}

impl<'files> Graph<'files> {
    fn of(found: &Crate<'files>) -> Self {
        let scopes: Vec<_> = found
            .modules
            .iter()
            .map(|module| Scope::of(module, found))
            .collect();
        let resolver = Resolver {
            found,
            scopes,
            exported_macros: exported_macros(found),
        };
        let mut graph = Self {
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        for (number, module) in found.modules.iter().enumerate() {
            if module.is_test {
                continue;
            }
            let path = module.file.path.as_str();
            graph.files.insert(path, module.file);
            graph
                .folders
                .entry(path)
                .or_insert_with(|| folder(module, found));
            let scope = &resolver.scopes[number];
            for import in scope.imports.iter().filter(|import| !import.is_reexport) {
                graph.add(&resolver, number, import);
            }
        }
        graph
    }

    fn add(&mut self, resolver: &Resolver<'_, 'files>, from: usize, import: &Import) {
        let Some(target) = resolver.resolve(from, &import.segments, MAX_REEXPORTS) else {
            return;
        };
        let modules = &resolver.found.modules;
        let (from, to) = (&modules[from].file.path, &modules[target].file.path);
        if from == to || modules[target].is_test {
            return;
        }
        let edge = self
            .edges
            .entry((from, to))
            .or_insert_with(|| (import.line, BTreeSet::new()));
        let name = import.segments.last().map_or("*", String::as_str);
        edge.1.insert(name.to_owned());
    }

    /// Returns a finding for each import between folders that is part of a cycle.
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let reachable: BTreeMap<_, _> = self
            .files
            .keys()
            .map(|path| (*path, self.reachable(path)))
            .collect();
        for ((from, to), (line, names)) in &self.edges {
            let returns = reachable.get(to).is_some_and(|paths| paths.contains(from));
            if !returns || self.folders.get(from) == self.folders.get(to) {
                continue;
            }
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let way = self.way_back(to, from).join(" → ");
            let message = format!(
                "imports {} of {to}, which leads back: {way}",
                names.join(", ")
            );
            if let Some(file) = self.files.get(from) {
                findings.push(file.at(*line, to, &message));
            }
        }
        findings
    }

    fn neighbours<'graph>(
        &'graph self,
        from: &'graph str,
    ) -> impl Iterator<Item = &'files str> + 'graph {
        let edges = self.edges.keys();
        edges.filter(move |edge| edge.0 == from).map(|(_, to)| *to)
    }

    /// Returns the files that a file imports from, directly or through others.
    fn reachable(&self, from: &str) -> BTreeSet<&'files str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<_> = self.neighbours(from).collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.neighbours(next));
            }
        }
        found
    }

    /// Returns the shortest way of imports from one file to another, both included.
    fn way_back(&self, from: &'files str, to: &str) -> Vec<&'files str> {
        let mut ways = vec![vec![from]];
        let mut seen = BTreeSet::from([from]);
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let end = way.last().copied().unwrap_or(from);
                if end == to {
                    return way;
                }
                for next in self.neighbours(end).filter(|next| seen.insert(next)) {
                    longer.push([way.as_slice(), &[next]].concat());
                }
            }
            ways = longer;
        }
        Vec::new()
    }
}

/// Returns the folder of a module's file: that of its children if it has any in files of their own.
fn folder(module: &Module<'_>, found: &Crate<'_>) -> String {
    let path = &module.file.path;
    let parent = path.strip_suffix(module.file.name()).unwrap_or_default();
    let own = format!("{}/", path.trim_end_matches(".rs"));
    let has_children = found
        .modules
        .iter()
        .any(|other| other.file.path.starts_with(&own));
    if has_children { own } else { parent.to_owned() }
}

/// The names of one module.
struct Scope {
    imports: Vec<Import>,
    /// Names of the items that the module defines.
    items: BTreeSet<String>,
}

impl Scope {
    fn of(module: &Module<'_>, found: &Crate<'_>) -> Self {
        let mut scope = Self {
            imports: Vec::new(),
            items: BTreeSet::new(),
        };
        let is_child = |name: &str| {
            let path = [module.path.as_slice(), &[name.to_owned()]].concat();
            found.module(&path).is_some()
        };
        let mut paths = Paths {
            found: Vec::new(),
            is_child: &is_child,
        };
        for item in module.items {
            let (name, attributes) = name_and_attributes(item);
            scope.items.extend(name);
            if modules::is_test_item(attributes) || matches!(item, Item::Mod(_)) {
                continue;
            }
            paths.visit_item(item);
        }
        scope.imports = paths.found;
        scope
    }
}

/// Finds the imports and paths of a module's items.
struct Paths<'scope> {
    found: Vec<Import>,
    is_child: &'scope dyn Fn(&str) -> bool,
}

impl Paths<'_> {
    fn add(&mut self, segments: Vec<String>, line: usize) {
        let is_ours = segments.first().is_some_and(|first| {
            matches!(first.as_str(), "crate" | "super" | "self") || (self.is_child)(first)
        });
        if is_ours && segments.len() > 1 {
            self.found.push(Import {
                segments,
                alias: Some(String::new()),
                line,
                is_reexport: false,
            });
        }
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String], is_reexport: bool) {
        let joined = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (segments, alias, span) = match tree {
            UseTree::Path(path) => {
                return self.add_tree(&path.tree, &joined(&path.ident), is_reexport);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(tree, before, is_reexport);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.to_vec(), before.last().cloned(), name.ident.span())
            }
            UseTree::Name(name) => {
                let alias = Some(name.ident.to_string());
                (joined(&name.ident), alias, name.ident.span())
            }
            UseTree::Rename(rename) => {
                let alias = Some(rename.rename.to_string());
                let segments = if rename.ident == "self" {
                    before.to_vec()
                } else {
                    joined(&rename.ident)
                };
                (segments, alias, rename.ident.span())
            }
            UseTree::Glob(glob) => (before.to_vec(), None, glob.star_token.spans[0]),
        };
        self.found.push(Import {
            segments,
            alias,
            line: tokens::line(span),
            is_reexport,
        });
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.add_tree(&item.tree, &[], is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let names = path.segments.iter().map(|it| it.ident.to_string());
            self.add(names.collect(), tokens::line(first.ident.span()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        tokens::each_run(found.tokens.clone(), &mut |run| {
            for start in 0..run.len() {
                let is_inside = start > 0 && tokens::is_punct(run.get(start - 1), ':');
                if let (TokenTree::Ident(first), false) = (&run[start], is_inside) {
                    self.add(path_at(&run[start..]), tokens::line(first.span()));
                }
            }
        });
    }
}

/// Returns the segments of the path at the start of a run of tokens.
fn path_at(run: &[TokenTree]) -> Vec<String> {
    let mut segments = Vec::new();
    for triple in run.chunks(3) {
        let Some(TokenTree::Ident(ident)) = triple.first() else {
            break;
        };
        segments.push(ident.to_string());
        if !tokens::is_punct(triple.get(1), ':') || !tokens::is_punct(triple.get(2), ':') {
            break;
        }
    }
    segments
}

/// Follows paths to the modules that define what they name.
struct Resolver<'graph, 'files> {
    found: &'graph Crate<'files>,
    scopes: Vec<Scope>,
    /// Modules that define macros with `#[macro_export]`, by the names that the root of the crate has for these macros.
    exported_macros: BTreeMap<String, usize>,
}

fn exported_macros(found: &Crate<'_>) -> BTreeMap<String, usize> {
    let mut macros = BTreeMap::new();
    for (number, module) in found.modules.iter().enumerate() {
        for item in module.items {
            if let Item::Macro(item) = item
                && let Some(name) = &item.ident
                && item
                    .attrs
                    .iter()
                    .any(|it| it.path().is_ident("macro_export"))
            {
                macros.insert(name.to_string(), number);
            }
        }
    }
    macros
}

impl Resolver<'_, '_> {
    /// Returns the module that defines what `segments` name in the module `from`; `None` for what is not of this crate.
    fn resolve(&self, from: usize, segments: &[String], reexports: usize) -> Option<usize> {
        let mut current = self.found.modules[from].path.clone();
        let mut rest = segments;
        let mut is_relative = false;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => current.clear(),
                "super" => drop(current.pop()),
                "self" => {}
                _ => break,
            }
            is_relative = true;
            rest = after;
        }
        let start = self.found.module(&current)?;
        let is_known = rest.first().is_none_or(|first| self.is_child(start, first));
        if !is_relative && !is_known {
            return None;
        }
        self.descend(start, rest, reexports)
    }

    fn is_child(&self, module: usize, name: &str) -> bool {
        self.child(module, name).is_some()
    }

    fn child(&self, module: usize, name: &str) -> Option<usize> {
        let path = &self.found.modules[module].path;
        self.found
            .module(&[path.as_slice(), &[name.to_owned()]].concat())
    }

    fn descend(&self, module: usize, segments: &[String], reexports: usize) -> Option<usize> {
        let Some((first, rest)) = segments.split_first() else {
            return Some(module);
        };
        if let Some(child) = self.child(module, first) {
            return self.descend(child, rest, reexports);
        }
        let is_root = self.found.modules[module].path.is_empty();
        if let Some(definition) = self.exported_macros.get(first)
            && is_root
            && rest.is_empty()
        {
            return Some(*definition);
        }
        let scope = &self.scopes[module];
        if scope.items.contains(first) || reexports == 0 {
            return Some(module);
        }
        let imports = || scope.imports.iter();
        let named = imports().find(|import| import.alias.as_ref() == Some(first));
        if let Some(import) = named {
            let segments = [import.segments.as_slice(), rest].concat();
            return self.resolve(module, &segments, reexports - 1);
        }
        let globs = imports().filter(|import| import.alias.is_none());
        let through_glob = globs
            .filter_map(|import| self.resolve(module, &import.segments, reexports - 1))
            .find(|target| self.scopes[*target].items.contains(first));
        Some(through_glob.unwrap_or(module))
    }
}

/// Returns the name that an item defines, and its attributes.
fn name_and_attributes(item: &Item) -> (Option<String>, &[Attribute]) {
    let named = |ident: &syn::Ident| Some(ident.to_string());
    match item {
        Item::Const(item) => (named(&item.ident), &item.attrs),
        Item::Enum(item) => (named(&item.ident), &item.attrs),
        Item::Fn(item) => (named(&item.sig.ident), &item.attrs),
        Item::Macro(item) => (item.ident.as_ref().and_then(named), &item.attrs),
        Item::Static(item) => (named(&item.ident), &item.attrs),
        Item::Struct(item) => (named(&item.ident), &item.attrs),
        Item::Trait(item) => (named(&item.ident), &item.attrs),
        Item::Type(item) => (named(&item.ident), &item.attrs),
        Item::Union(item) => (named(&item.ident), &item.attrs),
        Item::Impl(item) => (None, &item.attrs),
        Item::Mod(item) => (None, &item.attrs),
        Item::Use(item) => (None, &item.attrs),
        _ => (None, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{findings, places};
    use super::*;

    const ROOT: (&str, &str) = (
        "crates/a/src/lib.rs",
        "mod b; mod c; mod d; pub use b::x::Thing;",
    );
    const B: (&str, &str) = ("crates/a/src/b.rs", "mod x;");
    const C: (&str, &str) = ("crates/a/src/c.rs", "mod y;");

    fn cycle_between(x: &str, y: &str) -> Vec<String> {
        let files = [
            ROOT,
            B,
            C,
            ("crates/a/src/b/x.rs", x),
            ("crates/a/src/c/y.rs", y),
            ("crates/a/src/d.rs", "use crate::Thing; fn f() {}"),
        ];
        places(cycles, &files)
    }

    #[test]
    fn cycle_between_folders_is_found_at_each_import() {
        let expected = [
            "crates/a/src/b/x.rs: crates/a/src/c/y.rs",
            "crates/a/src/c/y.rs: crates/a/src/b/x.rs",
        ];
        let thing = "use crate::c::y::Other; pub struct Thing;";
        let through_reexport = "pub struct Other; use crate::Thing;";
        assert_eq!(cycle_between(thing, through_reexport), expected);
        let path_in_code = "pub struct Other(super::super::b::x::Thing);";
        assert_eq!(cycle_between(thing, path_in_code), expected);
        let path_in_macro = "pub struct Other; fn f() { vec![crate::Thing] }";
        assert_eq!(cycle_between(thing, path_in_macro), expected);
    }

    #[test]
    fn cycle_through_a_third_folder_is_found() {
        let found = cycle_between(
            "use crate::d::f; pub struct Thing;",
            "use crate::d::f; pub struct Other;",
        );
        let expected = [
            "crates/a/src/b/x.rs: crates/a/src/d.rs",
            "crates/a/src/d.rs: crates/a/src/b/x.rs",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn message_of_a_cycle_has_the_names_and_the_way_back() {
        let files = [
            ("crates/a/src/lib.rs", "mod b; mod c;"),
            B,
            ("crates/a/src/b/x.rs", "\nuse crate::c::{f, g};"),
            ("crates/a/src/c.rs", "use crate::b::x; fn f() {} fn g() {}"),
        ];
        let found = findings(cycles, &files);
        assert_eq!(
            found[0],
            "crates/a/src/b/x.rs:2: imports f, g of crates/a/src/c.rs, which leads back: \
             crates/a/src/c.rs → crates/a/src/b/x.rs"
        );
    }

    #[test]
    fn exported_macro_is_imported_from_the_file_that_defines_it() {
        let thing = "#[macro_export] macro_rules! make { () => {} } pub struct Thing;";
        let macro_of_the_crate = "use crate::{Thing, make}; pub struct Other;";
        assert!(cycle_between(thing, macro_of_the_crate).is_empty());
        let uses_other = "use crate::c::y::Other; #[macro_export] macro_rules! make { () => {} }";
        let found = cycle_between(uses_other, "pub struct Other; use crate::make;");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn imports_in_one_direction_pass() {
        assert!(
            cycle_between("pub struct Thing;", "use crate::Thing; pub struct Other;").is_empty()
        );
    }

    #[test]
    fn imports_of_unit_tests_are_left_out() {
        let x = "pub struct Thing; #[cfg(test)] mod tests { use crate::c::y::Other; }";
        assert!(cycle_between(x, "use crate::Thing; pub struct Other;").is_empty());
    }

    #[test]
    fn cycle_within_a_folder_passes() {
        let files = [
            ("crates/a/src/lib.rs", "mod b;"),
            ("crates/a/src/b.rs", "mod x; pub struct Parent(x::Child);"),
            (
                "crates/a/src/b/x.rs",
                "use super::Parent; pub struct Child;",
            ),
        ];
        assert!(places(cycles, &files).is_empty());
    }
}
