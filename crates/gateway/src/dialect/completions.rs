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
        "suffix",
        "max_tokens",
        "max_new_tokens",
        "n_predict",
        "n",
        "best_of",
    ],
    asks_for_usage: true,
    demand: |fields| {
        let most = fields.highest(&["max_tokens", "max_new_tokens", "n_predict"])?;
        let output = Output::of(most, fields.highest(&["n", "best_of"])?);
        Ok(Demand::of_output(output))
    },
    read_whole: Some(|tally, json| {
        chat::read(tally, json, &TEXTS);
    }),
    read_event: |tally, data| chat::read_event(tally, data, &TEXTS),
    ..PLAIN
};

static TEXTS: Keys = LazyLock::new(|| keys([br#""text""#]));
