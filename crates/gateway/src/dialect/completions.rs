//! `/v1/completions`: text that is continued, as it was done before there were chats.

use super::demand::Output;
use super::{Demand, Dialect, PLAIN, chat};

/// The names that model servers have for the most tokens of an answer.
const MAXIMA: [&str; 3] = ["max_tokens", "max_new_tokens", "n_predict"];

pub(super) static COMPLETIONS: Dialect = Dialect {
    path: "/completions",
    fields: &[
        "model",
        "stream",
        "stream_options",
        "prompt",
        "suffix",
        "max_tokens",
        "max_new_tokens",
        "n_predict",
        "n",
        "best_of",
    ],
    maxima: &MAXIMA,
    answers: &["n", "best_of"],
    asks_for_usage: true,
    demand: |fields| {
        let most = fields.highest(&MAXIMA)?;
        let output = Output::of(most, fields.highest(&["n", "best_of"])?);
        Ok(Demand::of_output(output))
    },
    read_event: chat::read_event,
    ..PLAIN
};
