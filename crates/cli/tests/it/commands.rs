//! The help and the reference table of all commands. `ORGPLANE_ACCEPT=1` rewrites the reviewed files.

use std::path::Path;

#[test]
fn reference_table_equals_reviewed_file() {
    assert_reviewed("../../docs/commands.md", &format!("{HEAD}{}", cli::table()));
}

#[test]
fn help_equals_reviewed_file() {
    assert_reviewed("tests/it/help.txt", &cli::help("orgplane"));
}

#[track_caller]
fn assert_reviewed(file: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("ORGPLANE_ACCEPT").is_some() {
        std::fs::write(&file, text).expect("it is writable");
    }
    let reviewed = std::fs::read_to_string(&file).expect("it is there");
    let different = text
        .lines()
        .zip(reviewed.lines())
        .find(|(is, was)| is != was);
    assert!(
        text == reviewed,
        "{} differs, first at {different:?}; ORGPLANE_ACCEPT=1 rewrites it, to be reviewed",
        file.display()
    );
}

const HEAD: &str = "\
# Commands

All commands with their flags, generated from `openapi.json` by `ORGPLANE_ACCEPT=1 cargo test -p cli`. A command is typed
behind `orgplane admin:organization:`. A: it shows the items of all pages, and takes `--max-items`. J: it sends a body,
which can be piped in. X: only orgplane has it. Of flags: `*` is required, `?` takes `null`, `…` may be repeated; (p) sets
a parameter of the path, (q) of the query, (b) a field of the body, whose name follows a colon if it is another one.

";
