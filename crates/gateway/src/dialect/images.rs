//! `/v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`.

use base::Result;
use bodies::{BodyContents, Content};
use usage::{Kind, Metric};

use super::{Demand, Dialect, Fields, Form, PLAIN, Spent, Tally};
use crate::answer::Document;
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
    holds: BodyContents {
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
    read_whole,
    read_event,
    spent,
    ..PLAIN
};

/// The end of the names of the events that bring an image, and of those that bring a sketch of one.
const COMPLETED: &str = ".completed";
const SKETCHED: &str = ".partial_image";
/// The longest size that is taken down, in bytes: `1024x1536`, `auto`.
const MAX_SIZE: usize = 32;
/// The size that these models give to those who ask for none.
const SQUARE: (&str, &str) = ("dall-e-", "1024x1024");

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

/// Counts the images, if all of them have come.
fn read_whole(tally: &mut Tally, answer: &Document) {
    if answer.is_whole && answer.data.is_some() {
        tally.images = answer.data;
    }
    tally.take(answer);
    tally.size = answer.size.to_owned().and_then(plausible);
}

/// Each image comes in an event of its own, with the usage of it.
fn read_event(tally: &mut Tally, event: &Document) -> Verdict {
    let kind = event.kind.text();
    if kind.ends_with(COMPLETED) && event.is_whole {
        let others = tally.reported.take();
        tally.take(event);
        match (&mut tally.reported, others) {
            (Some(sum), Some(others)) => sum.add(&others),
            (sum, others) => *sum = sum.or(others),
        }
        tally.images = Some(tally.images.unwrap_or(0).saturating_add(1));
        tally.size = event.size.to_owned().and_then(plausible);
        tally.has_end = true;
    } else if kind.ends_with(SKETCHED) {
        tally.has_end = false;
    }
    Verdict::Keep
}

/// How many came; of an answer that does not tell, how many were asked for.
fn spent(demand: &Demand, model: &str, tally: &Tally) -> Spent {
    let (of_model, square) = SQUARE;
    let square = || model.starts_with(of_model).then(|| square.to_owned());
    let asked = demand.size.as_deref().map(str::to_owned);
    let mut spent = Spent::reported(tally);
    if let Some(images) = tally.images {
        spent.quantities.set(Metric::Images, images);
    } else if !tally.is_failed {
        spent.quantities.set(Metric::Images, demand.units);
        spent.estimated = true;
    }
    spent.size = tally.size.clone().or(asked).or_else(square);
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
        GENERATIONS.read(&mut tally, answer.as_bytes());
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
            let spent = spent(&of(asked), model, &whole(answer));
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
            let event = Document::of(event.as_bytes(), &mut tally.text);
            read_event(&mut tally, &event);
        }
        let spent = spent(&Demand::default(), "m", &tally);
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
