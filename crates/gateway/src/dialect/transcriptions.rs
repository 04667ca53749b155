//! `/v1/audio/transcriptions` and `/v1/audio/translations`: speech made text.

use std::time::Duration;

use serde::Deserialize;
use usage::{Kind, Metric};

use super::report::Usage;
use super::sound::max_seconds;
use super::tally::carries_usage;
use super::{Demand, Dialect, Form, PLAIN, Spent, Tally};
use crate::sse::Verdict;

pub(super) static TRANSCRIPTIONS: Dialect = Dialect {
    path: "/audio/transcriptions",
    kind: Kind::AudioTranscriptions,
    form: Form::Multipart,
    fields: &["model", "file"],
    demand: |fields| {
        let seconds = fields.length("file").div_ceil(BYTES_PER_SECOND).max(1);
        let demand = Demand {
            units: i64::try_from(seconds).unwrap_or(i64::MAX),
            max_seconds: fields.get("file").map_or(0, max_seconds),
            ..Demand::default()
        };
        Ok(demand.with_audio(fields))
    },
    read_whole: Some(|tally, json| {
        read(tally, json);
    }),
    read_event: |tally, data| {
        if carries_usage(data) {
            tally.is_done = read(tally, data);
        }
        Verdict::Keep
    },
    spent,
    ..PLAIN
};

pub(super) static TRANSLATIONS: Dialect = Dialect {
    path: "/audio/translations",
    kind: Kind::AudioTranscriptions,
    form: Form::Multipart,
    fields: TRANSCRIPTIONS.fields,
    demand: TRANSCRIPTIONS.demand,
    read_whole: TRANSCRIPTIONS.read_whole,
    read_event: TRANSCRIPTIONS.read_event,
    spent,
    ..PLAIN
};

/// One second of speech is about so many bytes, compressed as most is.
const BYTES_PER_SECOND: usize = 16_000;

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    usage: Option<Usage>,
    /// In seconds, where everything is told.
    #[serde(default)]
    duration: Option<f64>,
}

/// Takes usage by tokens or by time; whether there is any.
fn read(tally: &mut Tally, json: &[u8]) -> bool {
    let Ok(report) = serde_json::from_slice::<Report>(json) else {
        return false;
    };
    let reported = report.usage.as_ref().and_then(|usage| usage.seconds);
    tally.seconds = reported.or(report.duration).and_then(begun_seconds);
    tally.take(report.usage.as_ref(), None) || tally.seconds.is_some()
}

/// The seconds that were begun; none of what is no time, or longer than any recording.
fn begun_seconds(seconds: f64) -> Option<i64> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    let begun = u64::from(time.subsec_nanos() > 0);
    let seconds = i64::try_from(time.as_secs().checked_add(begun)?).ok();
    seconds.filter(|seconds| *seconds <= Metric::Seconds.max_amount())
}

/// Time, or tokens, as was reported; else as long as the file suggests.
fn spent(demand: &Demand, _: &str, tally: Tally) -> Spent {
    let (seconds, by_tokens) = (tally.seconds, tally.reported.is_some());
    let mut spent = Spent::reported(tally);
    spent.estimated = seconds.is_none() && !by_tokens;
    if let Some(seconds) = seconds.or(spent.estimated.then_some(demand.units)) {
        spent.quantities.set(Metric::Seconds, seconds);
    }
    spent
}
