//! The table of all commands, in `docs/commands.md`. `ORGPLANE_ACCEPT=1` writes it anew.

use std::path::Path;

#[test]
fn the_table_of_commands_is_the_reviewed_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let text = format!("{HEAD}{}", cli::table());
    if std::env::var_os("ORGPLANE_ACCEPT").is_some() {
        std::fs::write(&file, &text).expect("the table is writable");
    }
    let reviewed = std::fs::read_to_string(&file).expect("the table is there");
    assert!(
        text == reviewed,
        "{} is not what the registry says; ORGPLANE_ACCEPT=1 writes it anew, to be reviewed",
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
