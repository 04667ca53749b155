//! `/v1/embeddings`.

use usage::{Kind, Metric, Quantities};

use super::report::Usage;
use super::{Dialect, PLAIN, Tally, input_spent};
use crate::answer::Document;

pub(super) static EMBEDDINGS: Dialect = Dialect {
    path: "/embeddings",
    kind: Kind::Embeddings,
    fields: &["model", "input"],
    read_whole,
    spent: input_spent,
    ..PLAIN
};

/// Takes the usage, which is all there is to know. The sum is what was read, for nothing is written.
pub(super) fn read_whole(tally: &mut Tally, answer: &Document) {
    if let Some(input) = answer.usage().and_then(Usage::input_alone) {
        tally.reported = Some(Quantities::default().with(Metric::InputTokens, input));
    }
}
