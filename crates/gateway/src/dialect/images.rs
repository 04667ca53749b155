//! `/v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`.

use base::Result;
use bodies::{BodyContents, Content};
use usage::{Metric, UsageKind};

use super::{DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, RequestFormat, UsageAccumulator};
use crate::document::Document;
use crate::sse::Verdict;

pub(super) static GENERATIONS: Dialect = Dialect {
    path: "/images/generations",
    source: Some("image.generation"),
    ..IMAGES
};

pub(super) static EDITS: Dialect = Dialect {
    path: "/images/edits",
    source: Some(EDIT),
    format: RequestFormat::Either,
    ..IMAGES
};

pub(super) static VARIATIONS: Dialect = Dialect {
    path: "/images/variations",
    source: Some("image.variation"),
    holds: BodyContents {
        request: Content::Media,
        answer: Content::Media,
    },
    format: RequestFormat::Multipart,
    ..IMAGES
};

/// The source of the usage of images that are made from others.
pub(super) const EDIT: &str = "image.edit";

const IMAGES: Dialect = Dialect {
    kind: UsageKind::Images,
    fields: &["model", "n", "size", "prompt"],
    estimate,
    read_document,
    read_event,
    measure,
    ..DEFAULT
};

/// The end of the type of an event with an image.
const COMPLETED: &str = ".completed";
/// The end of the type of an event with a partial image.
const PARTIAL_IMAGE: &str = ".partial_image";
/// The longest size that is recorded.
const MAX_SIZE_BYTES: usize = 32;
/// The models with a default size, and that size.
const DEFAULT_SIZE: (&str, &str) = ("dall-e-", "1024x1024");

fn estimate(fields: &Fields<'_>) -> Result<Estimate> {
    let size = fields.text("size")?;
    Ok(Estimate {
        units: fields.count("n")?.unwrap_or(1),
        size: size.and_then(recordable).map(String::into_boxed_str),
        ..Estimate::default()
    })
}

/// Returns a size that can be recorded. For `auto`, only the answer has the size.
fn recordable(size: String) -> Option<String> {
    let is_plain = size.len() <= MAX_SIZE_BYTES && size.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !matches!(size.as_str(), "" | "auto")).then_some(size)
}

/// Reads the images, if all of them have come.
fn read_document(accumulator: &mut UsageAccumulator, answer: &Document) {
    if answer.is_whole && answer.data.is_some() {
        accumulator.images = answer.data;
    }
    accumulator.add_report(answer);
    accumulator.size = answer.size.to_owned().and_then(recordable);
}

/// Reads an event. Each image comes in an event of its own, with its usage.
fn read_event(accumulator: &mut UsageAccumulator, event: &Document) -> Verdict {
    let event_type = event.event_type.as_str();
    if event_type.ends_with(COMPLETED) && event.is_whole {
        let (others, cost) = (accumulator.reported.take(), accumulator.cost.take());
        accumulator.add_report(event);
        accumulator.cost = match (accumulator.cost, cost) {
            (Some(cost), Some(others)) => Some(cost + others),
            (cost, others) => cost.or(others),
        };
        match (&mut accumulator.reported, others) {
            (Some(sum), Some(others)) => sum.add(&others),
            (sum, others) => *sum = sum.or(others),
        }
        accumulator.images = Some(accumulator.images.unwrap_or(0).saturating_add(1));
        accumulator.size = event.size.to_owned().and_then(recordable);
        accumulator.has_end = true;
    } else if event_type.ends_with(PARTIAL_IMAGE) {
        accumulator.has_end = false;
    }
    Verdict::Keep
}

/// Measures the images that came, or those that the request asked for if the answer does not show their number.
fn measure(estimate: &Estimate, model: &str, accumulator: &UsageAccumulator) -> MeasuredUsage {
    let (models, size) = DEFAULT_SIZE;
    let default = || model.starts_with(models).then(|| size.to_owned());
    let requested = estimate.size.as_deref().map(str::to_owned);
    let mut usage = MeasuredUsage::reported(accumulator);
    if let Some(images) = accumulator.images {
        usage.quantities.set(Metric::Images, images);
    } else if !accumulator.is_failed {
        usage.estimate(Metric::Images, estimate.units);
    }
    usage.size = accumulator.size.clone().or(requested).or_else(default);
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &str) -> Estimate {
        let fields = Fields::of_json(fields.as_bytes(), GENERATIONS.fields).expect("JSON");
        estimate(&fields).expect("an estimate")
    }

    fn read(answer: &str) -> UsageAccumulator {
        let mut accumulator = UsageAccumulator::default();
        GENERATIONS.read(&mut accumulator, answer.as_bytes());
        accumulator
    }

    #[test]
    fn size_is_that_of_the_answer_else_of_the_request_else_of_the_model() {
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
            let usage = measure(&of(asked), model, &read(answer));
            assert_eq!(usage.size.as_deref(), size, "{asked}");
            assert_eq!(usage.quantities.get(Metric::Images), Some(1));
            assert_eq!(usage.estimated, answer.is_empty());
        }
        assert_eq!(of(r#"{"n":3}"#).units, 3);
        assert_eq!(of(r#"{"n":1e2}"#).units, 100);
    }

    #[test]
    fn each_image_of_a_stream_counts_and_no_partial_image_does() {
        let usage = r#""usage":{"input_tokens":10,"output_tokens":50,"input_tokens_details":{"text_tokens":8,"image_tokens":2}}"#;
        let mut accumulator = UsageAccumulator::default();
        for event in [
            r#"{"type":"image_generation.partial_image","b64_json":"AAAA"}"#.to_owned(),
            format!(r#"{{"type":"image_generation.completed","b64_json":"AAAA",{usage}}}"#),
            format!(r#"{{"type":"image_generation.completed","size":"2x2",{usage}}}"#),
        ] {
            let event = Document::of(event.as_bytes(), &mut accumulator.text);
            read_event(&mut accumulator, &event);
        }
        let measured = measure(&Estimate::default(), "m", &accumulator);
        for (metric, amount) in [
            (Metric::Images, 2),
            (Metric::NumModelRequests, 1),
            (Metric::InputTokens, 20),
            (Metric::InputImageTokens, 4),
            (Metric::OutputTokens, 100),
        ] {
            assert_eq!(measured.quantities.get(metric), Some(amount), "{metric:?}");
        }
        assert!(!measured.estimated);
        assert_eq!(measured.size.as_deref(), Some("2x2"));
    }
}
