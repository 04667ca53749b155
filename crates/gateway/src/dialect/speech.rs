//! `/v1/audio/speech`: text made speech. The answer is sound, which passes unread; what counts is in the request.

use base::Result;
use bodies::{BodyContents, Content};
use usage::{Kind, Metric};

use super::{AnswerForm, Demand, Dialect, Fields, PLAIN, Spent, Tally};
use crate::answer::Document;
use crate::sse::Verdict;

pub(super) static SPEECH: Dialect = Dialect {
    path: "/audio/speech",
    kind: Kind::AudioSpeeches,
    holds: BodyContents {
        request: Content::Text,
        answer: Content::Media,
    },
    fields: &["model", "input", "stream_format"],
    answer: AnswerForm::Sound,
    demand,
    read_event,
    spent,
    ..PLAIN
};

fn demand(fields: &Fields<'_>) -> Result<Demand> {
    let characters = fields.text("input")?.map_or(0, |text| text.chars().count());
    Ok(Demand {
        units: i64::try_from(characters).unwrap_or(i64::MAX),
        ..Demand::default()
    })
}

/// Sound that comes as events has its usage in the last.
fn read_event(tally: &mut Tally, event: &Document) -> Verdict {
    tally.is_done |= event.kind.text() == "speech.audio.done";
    tally.take(event);
    tally.text.rewind(0);
    Verdict::Keep
}

/// The characters of what was asked for, if it was spoken.
fn spent(demand: &Demand, _: &str, tally: &Tally) -> Spent {
    let mut spent = Spent::reported(tally);
    if !tally.is_failed {
        spent.quantities.set(Metric::Characters, demand.units);
    }
    spent
}
