//! `/v1/embeddings`.

use serde::Deserialize;
use usage::Kind;

use super::report::Usage;
use super::{Dialect, PLAIN, Tally, input_spent};

pub(super) static EMBEDDINGS: Dialect = Dialect {
    path: "/embeddings",
    kind: Kind::Embeddings,
    fields: &["model", "input"],
    read_whole: Some(read_whole),
    spent: input_spent,
    ..PLAIN
};

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    usage: Option<Usage>,
}

/// Takes the usage, which is all there is to know.
pub(super) fn read_whole(tally: &mut Tally, json: &[u8]) {
    if let Ok(report) = serde_json::from_slice::<Report>(json) {
        tally.take(report.usage.as_ref(), None);
    }
}
