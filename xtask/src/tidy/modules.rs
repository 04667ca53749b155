//! The modules of each crate, found from its root as the compiler finds them.

use syn::{Attribute, Expr, Item, Lit, Meta};

use super::File;

/// A module: a file, or a `mod name { … }` in one.
pub struct Module<'files> {
    /// Names from the root of the crate; empty for the root.
    pub path: Vec<String>,
    pub file: &'files File,
    pub items: &'files [Item],
    /// True for a `mod name { … }`.
    pub is_block: bool,
    /// True if only tests are compiled with it.
    pub is_test: bool,
}

/// A crate with its modules; the root is the first.
pub struct Crate<'files> {
    pub modules: Vec<Module<'files>>,
}

/// Returns the crates of the repository: one for each `src/lib.rs`, `src/main.rs` and `tests/NAME/main.rs`.
pub fn crates(files: &[File]) -> Vec<Crate<'_>> {
    let roots = files.iter().filter(|file| is_root(&file.path));
    roots
        .filter_map(|root| {
            let mut found = Crate {
                modules: Vec::new(),
            };
            let folder = root.path.strip_suffix(root.name())?;
            let module = Module {
                path: Vec::new(),
                file: root,
                items: &root.syntax()?.items,
                is_block: false,
                is_test: is_test_path(&root.path),
            };
            found.add(module, folder, files);
            Some(found)
        })
        .collect()
}

/// True if the file is a test or a benchmark by its place.
pub fn is_test_path(path: &str) -> bool {
    let folders = ["tests/", "benches/"];
    path.starts_with("crates/testkit/")
        || folders
            .iter()
            .any(|folder| path.starts_with(folder) || path.contains(&format!("/{folder}")))
}

/// True if the item is compiled for tests only.
pub fn is_test_item(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            let is_all = condition.starts_with("all(test") || condition.starts_with("all(loom");
            is_all || condition == "test" || condition == "loom"
        }
        _ => false,
    })
}

fn is_root(path: &str) -> bool {
    path.ends_with("src/lib.rs")
        || path.ends_with("src/main.rs")
        || path.ends_with("/main.rs") && path.contains("/tests/")
}

impl<'files> Crate<'files> {
    /// Adds a module and those below it, whose files are in `folder`.
    fn add(&mut self, module: Module<'files>, folder: &str, files: &'files [File]) {
        let (items, parent_path) = (module.items, module.path.clone());
        let (file, parent_is_test) = (module.file, module.is_test);
        self.modules.push(module);
        for item in items {
            let Item::Mod(item) = item else {
                continue;
            };
            let name = item.ident.to_string();
            let mut path = parent_path.clone();
            path.push(name.clone());
            let is_test = parent_is_test || is_test_item(&item.attrs);
            if let Some((_, items)) = &item.content {
                let inner = Module {
                    path,
                    file,
                    items,
                    is_block: true,
                    is_test,
                };
                self.add(inner, &format!("{folder}{name}/"), files);
                continue;
            }
            let candidates = match named_path(&item.attrs) {
                Some(named) => vec![format!("{folder}{named}")],
                None => vec![
                    format!("{folder}{name}.rs"),
                    format!("{folder}{name}/mod.rs"),
                ],
            };
            let found = files
                .iter()
                .find(|file| candidates.contains(&file.path))
                .and_then(|file| Some((file, file.syntax()?)));
            if let Some((file, syntax)) = found {
                let inner = Module {
                    path,
                    file,
                    items: &syntax.items,
                    is_block: false,
                    is_test,
                };
                self.add(inner, &format!("{folder}{name}/"), files);
            }
        }
    }

    /// Returns the number of the module with this path.
    pub fn module(&self, path: &[String]) -> Option<usize> {
        self.modules.iter().position(|module| module.path == path)
    }
}

/// Returns the value of `#[path = "…"]`.
fn named_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        match &pair.value {
            Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_in_files_folders_and_blocks() {
        let files = [
            File::new(
                "crates/a/src/lib.rs",
                "mod b; mod c; #[cfg(test)] mod tests;",
            ),
            File::new(
                "crates/a/src/b.rs",
                "mod d { mod e; } #[cfg(all(test, unix))] mod f {}",
            ),
            File::new("crates/a/src/b/d/e.rs", ""),
            File::new("crates/a/src/c/mod.rs", ""),
            File::new("crates/a/src/tests.rs", ""),
            File::new("crates/a/src/forgotten.rs", ""),
        ];
        let crates = crates(&files);
        let found: Vec<_> = crates[0]
            .modules
            .iter()
            .map(|module| (module.path.join("::"), module.is_test))
            .collect();
        let expected = [
            ("", false),
            ("b", false),
            ("b::d", false),
            ("b::d::e", false),
            ("b::f", true),
            ("c", false),
            ("tests", true),
        ];
        assert_eq!(
            found,
            expected.map(|(path, is_test)| (path.to_owned(), is_test))
        );
    }
}
