//! `/v1/audio/speech`: text made speech. The answer is sound, which passes unread; what counts is in the request.

use base::Result;
use bodies::{Content, Holds};
use serde::Deserialize;
use usage::{Kind, Metric};

use super::report::Usage;
use super::tally::carries_usage;
use super::{Demand, Dialect, Fields, PLAIN, Spent, Tally};
use crate::sse::Verdict;

pub(super) static SPEECH: Dialect = Dialect {
    path: "/audio/speech",
    kind: Kind::AudioSpeeches,
    holds: Holds {
        request: Content::Text,
        answer: Content::Media,
    },
    fields: &["model", "input"],
    demand,
    read_event,
    spent,
    ..PLAIN
};

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "type")]
    name: String,
    usage: Usage,
}

fn demand(fields: &Fields<'_>) -> Result<Demand> {
    let characters = fields.text("input")?.map_or(0, |text| text.chars().count());
    Ok(Demand {
        units: i64::try_from(characters).unwrap_or(i64::MAX),
        ..Demand::default()
    })
}

/// Sound that comes as events has its usage in the last.
fn read_event(tally: &mut Tally, data: &[u8]) -> Verdict {
    if carries_usage(data)
        && let Ok(report) = serde_json::from_slice::<Report>(data)
    {
        tally.is_done = report.name == "speech.audio.done";
        tally.take(Some(&report.usage), None);
    }
    Verdict::Keep
}

fn spent(demand: &Demand, _: &str, tally: Tally) -> Spent {
    let mut spent = Spent::reported(tally);
    spent.quantities.set(Metric::Characters, demand.units);
    spent
}
