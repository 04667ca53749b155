//! `/v1/completions`: text that is continued, as it was done before there were chats.

use std::sync::LazyLock;

use super::tally::{Keys, keys};
use super::{Demand, Dialect, PLAIN, chat};

pub(super) static COMPLETIONS: Dialect = Dialect {
    path: "/completions",
    fields: &["model", "stream", "stream_options", "prompt"],
    asks_for_usage: true,
    demand: |fields| Ok(Demand::of_input(fields.get("prompt").unwrap_or_default())),
    read_whole: Some(|tally, json| {
        chat::read(tally, json, &TEXTS);
    }),
    read_event: |tally, data| chat::read_event(tally, data, &TEXTS),
    ..PLAIN
};

static TEXTS: Keys = LazyLock::new(|| keys([br#""text""#]));
