//! `/v1/embeddings` and `/v1/moderations`: text in, and an output that is not counted.

use usage::{Metric, Quantities, UsageKind};

use super::{DEFAULT, Dialect, UsageAccumulator, measure_input};
use crate::document::{Document, ReportedUsage};

pub(super) static EMBEDDINGS: Dialect = Dialect {
    path: "/embeddings",
    kind: UsageKind::Embeddings,
    fields: &["model", "input"],
    read_document,
    measure: measure_input,
    ..DEFAULT
};

/// Most servers report no usage of moderations, so that it is estimated; a report is believed.
pub(super) static MODERATIONS: Dialect = Dialect {
    path: "/moderations",
    kind: UsageKind::Moderations,
    fields: &["model", "input"],
    default_model: Some("omni-moderation-latest"),
    read_document,
    measure: measure_input,
    ..DEFAULT
};

/// Reads the tokens of the input. With no output to count, `total_tokens` alone reports them too.
fn read_document(accumulator: &mut UsageAccumulator, answer: &Document) {
    if let Some(input) = answer.usage().and_then(ReportedUsage::input_alone) {
        accumulator.reported = Some(Quantities::default().with(Metric::InputTokens, input));
    }
    accumulator.add_cost(answer);
}
