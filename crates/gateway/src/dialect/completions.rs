//! `/v1/completions`: text that is continued, as it was done before there were chats.

use std::sync::LazyLock;

use super::demand::Output;
use super::tally::{Keys, keys};
use super::{Demand, Dialect, PLAIN, chat};

pub(super) static COMPLETIONS: Dialect = Dialect {
    path: "/completions",
    fields: &[
        "model",
        "stream",
        "stream_options",
        "prompt",
        "max_tokens",
        "n",
        "best_of",
    ],
    texts: &["prompt"],
    maxima: &["max_tokens"],
    answers: &["n", "best_of"],
    asks_for_usage: true,
    demand: |fields| {
        let answers = fields.count("n").max(fields.count("best_of"));
        let output = Output::of(fields.count("max_tokens"), answers);
        Ok(Demand::of_output(output))
    },
    read_whole: Some(|tally, json| {
        chat::read(tally, json, &TEXTS);
    }),
    read_event: |tally, data| chat::read_event(tally, data, &TEXTS),
    ..PLAIN
};

static TEXTS: Keys = LazyLock::new(|| keys([br#""text""#]));
