//! The threat model names a test for each property: every named test exists.

use std::collections::BTreeSet;
use std::path::Path;

/// Collects the names of all functions in the Rust files below `directory`.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    let entries = std::fs::read_dir(directory).expect("a directory of the repository");
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a file of the repository");
            let names = text.split("fn ").skip(1);
            found.extend(names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut known = BTreeSet::new();
    functions(&root.join("crates"), &mut known);
    let model = std::fs::read_to_string(root.join("docs/threat-model.md")).expect("the document");
    let rows = model.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter_map(|row| row.strip_suffix(" |")?.rsplit_once(" | "));
    let mut count = 0;
    for (property, tests) in rows.filter(|(property, _)| *property != "property") {
        assert!(tests.starts_with('`'), "no test shows: {property}");
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(known.contains(name), "there is no test '{name}'");
            count += 1;
        }
    }
    assert!(count > 30, "{count} tests are named");
}
