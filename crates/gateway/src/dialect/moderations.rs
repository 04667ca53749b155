//! `/v1/moderations`. The answer of most servers says nothing of its usage; of one that does it is believed.

use usage::Kind;

use super::{Dialect, PLAIN, embeddings, input_spent};

pub(super) static MODERATIONS: Dialect = Dialect {
    path: "/moderations",
    kind: Kind::Moderations,
    fields: &["model", "input"],
    default_model: Some("omni-moderation-latest"),
    read_whole: embeddings::read_whole,
    spent: input_spent,
    ..PLAIN
};
