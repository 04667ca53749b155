//! Parts of the documents that are generated from the tables of the gateway. `ORGPLANE_ACCEPT=1` rewrites them, to be reviewed.

use std::path::{Path, PathBuf};

/// Returns the path of a file of the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// Checks that a document has this text between the two lines that mark what is generated.
pub(crate) fn check(path: &str, mark: &str, text: &str) {
    let file = in_repository(path);
    let document = std::fs::read_to_string(&file).expect(path);
    let (begin, end) = (
        format!("<!-- {mark}: generated -->\n"),
        format!("<!-- {mark}: end -->\n"),
    );
    let (before, rest) = document.split_once(&begin).expect("the first mark");
    let (published, after) = rest.split_once(&end).expect("the last mark");
    if published == text {
        return;
    }
    if std::env::var_os("ORGPLANE_ACCEPT").is_some() {
        let document = format!("{before}{begin}{text}{end}{after}");
        std::fs::write(&file, document).expect(path);
        return;
    }
    let mut lines = published.lines().zip(text.lines());
    let different = lines.find(|(old, new)| old != new);
    panic!("{path} differs, first at {different:?}; ORGPLANE_ACCEPT=1 rewrites it, to be reviewed");
}
