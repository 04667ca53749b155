//! The rule about names of types: each is defined once in a crate.

use std::collections::btree_map::{BTreeMap, Entry};

use syn::visit::{self, Visit};
use syn::{Ident, ItemEnum, ItemStruct, ItemTrait, ItemType, ItemUnion, Macro};

use super::{File, Finding, tokens};

/// A name of a struct, enum, union, trait or alias has one meaning in a crate, its unit tests included.
pub fn unique(files: &[File]) -> Vec<Finding> {
    let mut homes = BTreeMap::new();
    let mut findings = Vec::new();
    for file in files {
        let (Some(folder), Some(syntax)) = (crate_folder(&file.path), file.syntax()) else {
            continue;
        };
        let mut types = Types::default();
        types.visit_file(syntax);
        for (line, name) in types.0 {
            match homes.entry((folder, name)) {
                Entry::Vacant(entry) => {
                    entry.insert(&file.path);
                }
                Entry::Occupied(entry) => {
                    let name = &entry.key().1;
                    let message = format!("`{name}` is already a type in {}", entry.get());
                    findings.push(file.at(line, name, &message));
                }
            }
        }
    }
    findings
}

/// Returns the folder of the crate's sources that a file belongs to.
fn crate_folder(path: &str) -> Option<&str> {
    let (before, _) = path.split_once("/src/")?;
    Some(before)
}

/// The types that a file defines, with their lines.
#[derive(Default)]
struct Types(Vec<(usize, String)>);

impl Types {
    fn add(&mut self, ident: &Ident) {
        self.0.push((tokens::line(ident.span()), ident.to_string()));
    }
}

impl<'ast> Visit<'ast> for Types {
    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.add(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.add(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast ItemUnion) {
        self.add(&item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.add(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.add(&item.ident);
        visit::visit_item_type(self, item);
    }

    /// Adds the enum that `names!` declares.
    fn visit_macro(&mut self, found: &'ast Macro) {
        if let Ok(item) = found.parse_body::<ItemEnum>() {
            self.add(&item.ident);
        }
        visit::visit_macro(self, found);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn second_type_of_a_name_in_one_crate_is_found() {
        let files = [
            (
                "crates/a/src/x.rs",
                "struct Report; mod tests { type Report = u8; }",
            ),
            ("crates/a/src/y.rs", "fn f() { enum Report {} }"),
            (
                "crates/a/src/z.rs",
                "names! { /// A report.\n pub enum Report { Day = \"day\", } }",
            ),
        ];
        let expected = ["x", "y", "z"].map(|file| format!("crates/a/src/{file}.rs: Report"));
        assert_eq!(places(unique, &files), expected);
    }

    #[test]
    fn one_name_in_two_crates_passes() {
        let files = [
            (
                "crates/a/src/x.rs",
                "struct Report; impl Iterator for Report { type Item = u8; }",
            ),
            (
                "crates/b/src/x.rs",
                "struct Report; impl Iterator for Report { type Item = u8; }",
            ),
            ("crates/a/tests/it/x.rs", "struct Report;"),
        ];
        assert!(places(unique, &files).is_empty());
    }
}
