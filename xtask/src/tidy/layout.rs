//! Rules about which files there are.

use super::{File, Finding};

/// A file is named after what it serves; these names fit everything.
const VAGUE: [&str; 4] = ["util.rs", "types.rs", "common.rs", "helpers.rs"];

/// No file is named after nothing in particular.
pub fn vague_names(files: &[File]) -> Vec<Finding> {
    let vague = files.iter().filter(|file| VAGUE.contains(&file.name()));
    vague
        .map(|file| file.at(0, "name", "a file is named after what it serves"))
        .collect()
}

/// Every file of a test binary is part of it: one that is not declared passes by not being compiled.
pub fn forgotten_tests(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for main in files
        .iter()
        .filter(|file| file.path.ends_with("/tests/it/main.rs"))
    {
        let folder = main.path.trim_end_matches("main.rs");
        for file in files {
            let Some(name) = module(folder, &file.path) else {
                continue;
            };
            let declared =
                |line: &str| line.trim().trim_start_matches("pub ") == format!("mod {name};");
            if !main.text.lines().any(declared) {
                let message = format!("{} does not declare `mod {name};`", main.path);
                findings.push(file.at(0, name, &message));
            }
        }
    }
    let homeless = |file: &&File| {
        let Some((folder, _)) = file.path.split_once("/tests/it/") else {
            return false;
        };
        file.is_rust()
            && !files
                .iter()
                .any(|main| main.path == format!("{folder}/tests/it/main.rs"))
    };
    findings.extend(
        files
            .iter()
            .filter(homeless)
            .map(|file| file.at(0, "main", "there is no main.rs beside it")),
    );
    findings
}

/// The module that a file directly in the folder is, or a folder in it that has a `mod.rs`.
fn module<'path>(folder: &str, path: &'path str) -> Option<&'path str> {
    let name = path.strip_prefix(folder)?.strip_suffix(".rs")?;
    let name = name.strip_suffix("/mod").unwrap_or(name);
    (name != "main" && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;

    #[test]
    fn vague_names_are_found() {
        assert_eq!(
            findings(
                vague_names,
                &[("crates/a/src/util.rs", ""), ("types.rs", "")]
            )
            .len(),
            2
        );
        assert!(findings(vague_names, &[("crates/a/src/event_types.rs", "")]).is_empty());
    }

    #[test]
    fn forgotten_tests_are_found() {
        let main = (
            "crates/a/tests/it/main.rs",
            "//! Tests.\nmod users;\nmod groups;\n",
        );
        let declared = [
            main,
            ("crates/a/tests/it/users.rs", ""),
            ("crates/a/tests/it/groups/mod.rs", ""),
        ];
        assert!(findings(forgotten_tests, &declared).is_empty());
        assert_eq!(
            findings(forgotten_tests, &[main, ("crates/a/tests/it/roles.rs", "")]).len(),
            1
        );
        assert!(
            findings(
                forgotten_tests,
                &[main, ("crates/a/tests/it/groups/users.rs", "")]
            )
            .is_empty()
        );
        assert_eq!(
            findings(forgotten_tests, &[("crates/b/tests/it/users.rs", "")]).len(),
            1
        );
    }

    #[test]
    fn a_commented_declaration_does_not_count() {
        let main = ("crates/a/tests/it/main.rs", "// mod users;\n");
        assert_eq!(
            findings(forgotten_tests, &[main, ("crates/a/tests/it/users.rs", "")]).len(),
            1
        );
    }
}
