//! What people read of the commands, made from the registry: `ORGPLANE_ACCEPT=1` writes it anew, to be reviewed.

use std::path::Path;

#[test]
fn the_table_of_commands_is_the_reviewed_one() {
    reviewed("../../docs/commands.md", &format!("{HEAD}{}", cli::table()));
}

#[test]
fn the_help_is_the_reviewed_one() {
    reviewed("tests/it/help.txt", &cli::help("orgplane"));
}

#[track_caller]
fn reviewed(file: &str, text: &str) {
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
        "{} is not what the registry says, first at {different:?}; ORGPLANE_ACCEPT=1 writes it anew, to be reviewed",
        file.display()
    );
}

const HEAD: &str = "\
# Commands

What every command takes, made from the registry: `ORGPLANE_ACCEPT=1 cargo test -p cli` writes it anew. The words stand
behind `orgplane admin:organization:`. A: the items of all pages are shown, and `--max-items` is taken. J: it has a body,
which can be piped in. X: an extension of ours. Of flags: `*` required, `?` takes `null`, `…` may be repeated; (p) sets a
part of the path, (q) of the query, (b) of the body, under the name behind the colon if there is one.

";
