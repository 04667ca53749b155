//! `/v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`.

use std::borrow::Cow;
use std::sync::LazyLock;

use base::Result;
use bodies::{Content, Holds};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::IgnoredAny;
use usage::{Kind, Metric};

use super::report::Usage;
use super::{Demand, Dialect, Fields, Form, PLAIN, Spent, Tally};
use crate::sse::Verdict;

pub(super) static GENERATIONS: Dialect = Dialect {
    path: "/images/generations",
    source: Some("image.generation"),
    ..IMAGES
};

pub(super) static EDITS: Dialect = Dialect {
    path: "/images/edits",
    source: Some(EDIT),
    form: Form::Either,
    ..IMAGES
};

pub(super) static VARIATIONS: Dialect = Dialect {
    path: "/images/variations",
    source: Some("image.variation"),
    holds: Holds {
        request: Content::Media,
        answer: Content::Media,
    },
    form: Form::Multipart,
    ..IMAGES
};

/// The source of images that are made from others.
pub(super) const EDIT: &str = "image.edit";

const IMAGES: Dialect = Dialect {
    kind: Kind::Images,
    fields: &["model", "n", "size", "prompt"],
    demand,
    read_whole: Some(read_whole),
    read_event,
    spent,
    ..PLAIN
};

/// The end of the names of the events that bring an image. Those that bring a sketch of one end otherwise.
static COMPLETED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#".completed""#));
/// The longest size that is taken down, in bytes: `1024x1536`, `auto`.
const MAX_SIZE: usize = 32;
/// The size that these models give to those who ask for none.
const SQUARE: (&str, &str) = ("dall-e-", "1024x1024");

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    size: Option<Cow<'a, str>>,
    #[serde(default)]
    data: Option<Vec<IgnoredAny>>,
}

fn demand(fields: &Fields<'_>) -> Result<Demand> {
    let size = fields.text("size")?;
    Ok(Demand {
        units: fields.count("n")?.unwrap_or(1),
        size: size.and_then(plausible).map(String::into_boxed_str),
        ..Demand::default()
    })
}

/// A size that is one. Of `auto` only the answer says what it was.
fn plausible(size: String) -> Option<String> {
    let is_one = size.len() <= MAX_SIZE && size.bytes().all(|byte| byte.is_ascii_graphic());
    (is_one && !matches!(size.as_str(), "" | "auto")).then_some(size)
}

fn read_whole(tally: &mut Tally, json: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Report<'_>>(json) else {
        return;
    };
    if let Some(data) = &report.data {
        tally.images = i64::try_from(data.len()).ok();
    }
    tally.take(report.usage.as_ref(), None);
    tally.size = report.size.map(Cow::into_owned).and_then(plausible);
}

/// Each image comes in an event of its own, with the usage of it.
fn read_event(tally: &mut Tally, data: &[u8]) -> Verdict {
    if COMPLETED.find(data).is_some()
        && let Ok(report) = serde_json::from_slice::<Report<'_>>(data)
    {
        let others = tally.reported.take();
        tally.take(report.usage.as_ref(), None);
        match (&mut tally.reported, others) {
            (Some(sum), Some(others)) => sum.add(&others),
            (sum, others) => *sum = sum.or(others),
        }
        tally.images = Some(tally.images.unwrap_or(0) + 1);
        tally.size = report.size.map(Cow::into_owned).and_then(plausible);
    }
    Verdict::Keep
}

/// How many came; of an answer that cannot be read, how many were asked for.
fn spent(demand: &Demand, model: &str, tally: Tally) -> Spent {
    let (images, size) = (tally.images, tally.size.clone());
    let (of_model, square) = SQUARE;
    let square = || model.starts_with(of_model).then(|| square.to_owned());
    let asked = demand.size.as_deref().map(str::to_owned);
    let mut spent = Spent::reported(tally);
    spent
        .quantities
        .set(Metric::Images, images.unwrap_or(demand.units));
    spent.estimated = images.is_none();
    spent.size = size.or(asked).or_else(square);
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Demand {
        let fields = Fields::of_json(fields.as_bytes(), GENERATIONS.fields).expect("JSON");
        demand(&fields).expect("a demand")
    }

    fn whole(answer: &str) -> Tally {
        let mut tally = Tally::default();
        read_whole(&mut tally, answer.as_bytes());
        tally
    }

    #[test]
    fn the_size_is_the_answers_or_the_requests_or_the_models() {
        let image = r#"{"data":[{"url":"u"}]}"#;
        let square = r#"{"data":[{"url":"u"}],"size":"2x2"}"#;
        for (asked, model, answer, size) in [
            (r#"{"size":"1x1"}"#, "m", image, Some("1x1")),
            (r#"{"size":"auto"}"#, "m", image, None),
            (r#"{"size":"1x1"}"#, "m", square, Some("2x2")),
            (r#"{"size":null}"#, "dall-e-3", image, Some("1024x1024")),
            (r#"{"size":"1\u00001"}"#, "m", image, None),
            ("{}", "m", "", None),
        ] {
            let spent = spent(&of(asked), model, whole(answer));
            assert_eq!(spent.size.as_deref(), size, "{asked}");
            assert_eq!(spent.quantities.get(Metric::Images), Some(1));
            assert_eq!(spent.estimated, answer.is_empty());
        }
        assert_eq!(of(r#"{"n":3}"#).units, 3);
        assert_eq!(of(r#"{"n":1e2}"#).units, 100);
    }

    #[test]
    fn each_image_of_a_stream_counts_and_no_sketch_does() {
        let usage = r#""usage":{"input_tokens":10,"output_tokens":50,"input_tokens_details":{"text_tokens":8,"image_tokens":2}}"#;
        let mut tally = Tally::default();
        for event in [
            r#"{"type":"image_generation.partial_image","b64_json":"AAAA"}"#.to_owned(),
            format!(r#"{{"type":"image_generation.completed","b64_json":"AAAA",{usage}}}"#),
            format!(r#"{{"type":"image_generation.completed","size":"2x2",{usage}}}"#),
        ] {
            read_event(&mut tally, event.as_bytes());
        }
        let spent = spent(&Demand::default(), "m", tally);
        for (metric, amount) in [
            (Metric::Images, 2),
            (Metric::NumModelRequests, 1),
            (Metric::InputTokens, 20),
            (Metric::InputImageTokens, 4),
            (Metric::OutputTokens, 100),
        ] {
            assert_eq!(spent.quantities.get(metric), Some(amount), "{metric:?}");
        }
        assert!(!spent.estimated);
        assert_eq!(spent.size.as_deref(), Some("2x2"));
    }
}
