//! `/v1/audio/transcriptions` and `/v1/audio/translations`: speech made text.

use std::time::Duration;

use usage::{Kind, Metric};

use super::sound::max_seconds;
use super::{AnswerForm, Demand, Dialect, Form, PLAIN, Spent, Tally};
use crate::answer::Document;
use crate::sse::Verdict;

pub(super) static TRANSCRIPTIONS: Dialect = Dialect {
    path: "/audio/transcriptions",
    kind: Kind::AudioTranscriptions,
    form: Form::Multipart,
    fields: &["model", "file", "stream"],
    demand: |fields| {
        let seconds = fields.length("file").div_ceil(BYTES_PER_SECOND).max(1);
        let demand = Demand {
            units: i64::try_from(seconds).unwrap_or(i64::MAX),
            max_seconds: fields.get("file").map_or(0, max_seconds),
            ..Demand::default()
        };
        Ok(demand.with_audio(fields))
    },
    answer: AnswerForm::Text,
    read_whole,
    read_event,
    spent,
    ..PLAIN
};

pub(super) static TRANSLATIONS: Dialect = Dialect {
    path: "/audio/translations",
    kind: Kind::AudioTranscriptions,
    form: Form::Multipart,
    fields: TRANSCRIPTIONS.fields,
    demand: TRANSCRIPTIONS.demand,
    answer: AnswerForm::Text,
    read_whole: TRANSCRIPTIONS.read_whole,
    read_event: TRANSCRIPTIONS.read_event,
    spent,
    ..PLAIN
};

/// One second of speech is about so many bytes, compressed as most is.
const BYTES_PER_SECOND: usize = 16_000;

fn read_event(tally: &mut Tally, event: &Document) -> Verdict {
    tally.is_done |= event.kind.text() == "transcript.text.done";
    read_whole(tally, event);
    Verdict::Keep
}

/// Takes usage by tokens or by time.
fn read_whole(tally: &mut Tally, document: &Document) {
    let reported = document.usage().and_then(|usage| usage.seconds);
    let seconds = reported.or(document.duration).and_then(begun_seconds);
    tally.seconds = seconds.or(tally.seconds);
    tally.take(document);
}

/// The seconds that were begun; none of what is no time, or longer than any recording.
fn begun_seconds(seconds: f64) -> Option<i64> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    let begun = u64::from(time.subsec_nanos() > 0);
    let seconds = i64::try_from(time.as_secs().checked_add(begun)?).ok();
    seconds.filter(|seconds| *seconds <= Metric::Seconds.max_amount())
}

/// Time, or tokens, as was reported; else as long as the file suggests.
fn spent(demand: &Demand, _: &str, tally: &Tally) -> Spent {
    let mut spent = Spent::reported(tally);
    if let Some(seconds) = tally.seconds {
        spent.quantities.set(Metric::Seconds, seconds);
    } else if tally.reported.is_none() && !tally.is_failed {
        spent.quantities.set(Metric::Seconds, demand.units);
        spent.estimated = true;
    }
    spent
}
