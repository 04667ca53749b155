//! The usage of a batch that has ended, by the length of its requests: prices may depend on it.

use std::collections::BTreeMap;

use base::{Error, NanoDollars, Result};
use bytes::Buf;
use http::Method;
use usage::{MAX_BANDS, Metric, ModelFacts};

use super::batch_input::BatchInput;
use super::batch_status::BatchStatus;
use super::repository::UpstreamObject;
use super::upstream::{ObjectClient, PassthroughBody, UpstreamRequest};
use crate::answer::DocumentReader;
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::document::{Document, JsonPath};
use crate::object_kind::ObjectKind;

/// The usage of the requests of a batch whose lengths have the same prices.
pub(super) struct BandUsage {
    /// The number of bounds of [`BatchInput::bands`] that the requests are longer than, at most [`MAX_BANDS`].
    pub(super) band: usize,
    pub(super) usage: MeasuredUsage,
}

/// The bands of a batch.
struct Bands<'a> {
    /// The numbers of input tokens that separate bands, in ascending order.
    bounds: &'a [i64],
    /// The most input tokens of a request, as far as that is known from the input.
    longest: i64,
}

impl<'a> Bands<'a> {
    fn of(input: &'a BatchInput, facts: &ModelFacts) -> Self {
        let bounds = &input.bands[..input.bands.len().min(MAX_BANDS)];
        let each = input.longest.as_ref();
        let longest = each.and_then(|each| each.max_input_tokens(facts, &input.model));
        Self {
            bounds,
            longest: longest.unwrap_or(i64::MAX),
        }
    }

    /// Returns the band of a request.
    fn band(&self, input_tokens: i64) -> usize {
        let bounds = self.bounds.iter();
        bounds.filter(|bound| input_tokens > **bound).count()
    }

    /// Returns the most input tokens that one of the requests with this usage can have.
    fn longest_in(&self, usage: &MeasuredUsage) -> i64 {
        let sum = usage.quantities.or_zero(Metric::InputTokens);
        sum.min(self.longest)
    }

    /// Returns the usage of all requests as if each were as long as the longest can be: what is only known in sum.
    fn as_one(&self, usage: MeasuredUsage) -> BandUsage {
        let longest = self.longest_in(&usage);
        self.usage_of(longest, usage)
    }

    fn usage_of(&self, longest: i64, mut usage: MeasuredUsage) -> BandUsage {
        if !self.bounds.is_empty() {
            usage.quantities.set(Metric::LongestInputTokens, longest);
        }
        BandUsage {
            band: self.band(longest),
            usage,
        }
    }
}

/// Returns the usage that the status of an ended batch reports; `None` if its output must be read: there is no report, or
/// the prices depend on lengths of requests that the sum does not show.
pub(super) fn status_usage(
    batch: &BatchStatus,
    input: &BatchInput,
    facts: &ModelFacts,
) -> Option<BandUsage> {
    let bands = Bands::of(input, facts);
    let usage = batch.reported_usage()?;
    let is_one_band = bands.band(bands.longest_in(&usage)) == 0;
    is_one_band.then(|| bands.as_one(usage))
}

/// Returns the usage of an ended batch from its output, a part for each band. Without an output it is the sum that the
/// batch reports, or else an estimate.
///
/// # Errors
/// 502: the output could not be read.
pub(super) async fn output_usage(
    client: &ObjectClient,
    object: &UpstreamObject,
    batch: &BatchStatus,
    input: &BatchInput,
    facts: &ModelFacts,
) -> Result<Vec<BandUsage>> {
    let bands = Bands::of(input, facts);
    let (Some(dialect), 1..) = (Dialect::at(&input.path), batch.answered()) else {
        return Ok(batch
            .reported_usage()
            .map(|usage| bands.as_one(usage))
            .into_iter()
            .collect());
    };
    let tokens_per_request = input.tokens / input.requests.max(1);
    let in_sum = || {
        let reported = batch.reported_usage();
        let usage = reported.unwrap_or_else(|| estimate(batch.answered(), tokens_per_request));
        vec![bands.as_one(usage)]
    };
    let output = match batch.output_file() {
        None => None,
        Some(id) => open_output(client, object, id).await?,
    };
    let Some(output) = output else {
        return Ok(in_sum());
    };
    let mut sum = OutputSum {
        dialect,
        model: input.model.clone(),
        estimate: Estimate::of_input(tokens_per_request),
        bands: &bands,
        sums: BTreeMap::new(),
    };
    sum.read(output).await?;
    let usages = sum.into_usages();
    Ok(if usages.is_empty() { in_sum() } else { usages })
}

/// Opens the output file of a batch; returns `None` if the file was deleted.
pub(super) async fn open_output(
    client: &ObjectClient,
    object: &UpstreamObject,
    id: &str,
) -> Result<Option<PassthroughBody>> {
    let file = UpstreamObject {
        kind: ObjectKind::File,
        id: id.to_owned(),
        ..object.clone()
    };
    let request = UpstreamRequest::of_gateway(Method::GET, &file, "/content");
    let answer = client.send(client.upstream_of(object)?, request).await?;
    let status = answer.response.status();
    if status == http::StatusCode::NOT_FOUND || status == http::StatusCode::GONE {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(Error::upstream(format!("The output of a batch: {status}.")));
    }
    Ok(Some(PassthroughBody::of(answer).1))
}

/// Returns the estimated usage of answers to requests of this many tokens each.
fn estimate(answered: i64, tokens_per_request: i64) -> MeasuredUsage {
    let mut spent = MeasuredUsage {
        estimated: true,
        ..MeasuredUsage::default()
    };
    spent.quantities.set(Metric::NumModelRequests, answered);
    spent.quantities.set(
        Metric::InputTokens,
        answered.saturating_mul(tokens_per_request),
    );
    spent
}

/// The usage of the lines of an output that were read.
struct OutputSum<'a> {
    dialect: &'static Dialect,
    model: String,
    estimate: Estimate,
    bands: &'a Bands<'a>,
    /// The sum of each band.
    sums: BTreeMap<usize, LineSum>,
}

/// The sum of the usage of lines.
#[derive(Default)]
struct LineSum {
    usage: MeasuredUsage,
    /// The most input tokens of a line.
    longest: i64,
    /// The sum of the reported costs; `None` once a line has none.
    cost: Option<NanoDollars>,
    lines: u64,
}

impl OutputSum<'_> {
    /// Reads the lines of an output, each of which may have any length.
    async fn read(&mut self, mut output: PassthroughBody) -> Result<()> {
        let mut line = DocumentReader::new(JsonPath::BatchLine);
        let mut accumulator = UsageAccumulator::default();
        while let Some(piece) = output.next().await {
            let broken = |_| Error::upstream("The output of a batch broke off.");
            let mut piece = piece.map_err(broken)?;
            while let Some(end) = memchr::memchr(b'\n', &piece) {
                line.feed(&mut accumulator, &piece.split_to(end));
                piece.advance(1);
                let document = line.finish(&mut accumulator);
                self.add(&document, std::mem::take(&mut accumulator));
            }
            line.feed(&mut accumulator, &piece);
        }
        let document = line.finish(&mut accumulator);
        self.add(&document, accumulator);
        Ok(())
    }

    /// Adds the usage of the answer on a line.
    fn add(&mut self, line: &Document, mut accumulator: UsageAccumulator) {
        let is_success = line
            .status_code
            .is_some_and(|code| (200..300).contains(&code));
        if !is_success {
            return;
        }
        accumulator.is_failed = line.error().is_some() || !line.is_whole;
        (self.dialect.read_document)(&mut accumulator, line);
        let spent = self
            .dialect
            .measure(&self.estimate, &self.model, &accumulator);
        let length = spent.quantities.or_zero(Metric::InputTokens);
        let sum = self.sums.entry(self.bands.band(length)).or_default();
        sum.cost = match sum.lines {
            0 => spent.cost,
            _ => sum.cost.zip(spent.cost).map(|(sum, cost)| sum + cost),
        };
        sum.lines += 1;
        sum.longest = sum.longest.max(length);
        sum.usage.quantities.add(&spent.quantities);
        sum.usage.estimated |= spent.estimated;
        sum.usage.service_tier = spent.service_tier;
        sum.usage.size = spent.size;
    }

    /// Returns the usage of each band in which a request was answered.
    fn into_usages(self) -> Vec<BandUsage> {
        let Self { bands, sums, .. } = self;
        let usages = sums.into_values().map(|sum| {
            let usage = MeasuredUsage {
                cost: sum.cost,
                ..sum.usage
            };
            bands.usage_of(sum.longest, usage)
        });
        let answered =
            usages.filter(|part| part.usage.quantities.or_zero(Metric::NumModelRequests) > 0);
        answered.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_in_the_lines_of_a_batch_are_read_at_any_length() {
        let bands = Bands {
            bounds: &[],
            longest: i64::MAX,
        };
        let mut sum = output_sum(&bands);
        let usage = r#""usage":{"input_tokens":100,"output_tokens":20}"#;
        let answer = |code: u16, body: &str| {
            format!(
                r#"{{"custom_id":"1","response":{{"status_code":{code},"body":{body}}},"error":null}}"#
            )
        };
        let file = "A".repeat(1024 * 1024);
        let large = answer(200, &format!(r#"{{"output":[{{"result":"@"}}],{usage}}}"#));
        let (begin, end) = large.split_once('@').expect("a file");
        let mut line = DocumentReader::new(JsonPath::BatchLine);
        let mut accumulator = UsageAccumulator::default();
        line.feed(&mut accumulator, begin.as_bytes());
        for _ in 0..40 {
            line.feed(&mut accumulator, file.as_bytes());
        }
        line.feed(&mut accumulator, end.as_bytes());
        sum.add(&line.finish(&mut accumulator), accumulator);
        for (text, input, requests) in [
            (String::new(), 100, 1),
            (answer(400, &format!("{{{usage}}}")), 100, 1),
            (answer(200, r#"{"error":{"message":"boom"}}"#), 100, 1),
            (answer(200, &format!("{{{usage}}}")), 200, 2),
            (answer(200, r#"{"output":[]}"#), 205, 3),
        ] {
            let mut accumulator = UsageAccumulator::default();
            line.feed(&mut accumulator, text.as_bytes());
            sum.add(&line.finish(&mut accumulator), accumulator);
            let spent = &sum.sums[&0].usage;
            let amount = |metric| spent.quantities.or_zero(metric);
            assert_eq!(amount(Metric::InputTokens), input, "{text}");
            assert_eq!(amount(Metric::NumModelRequests), requests, "{text}");
        }
        assert!(sum.sums[&0].usage.estimated);
        let longest = sum.into_usages()[0]
            .usage
            .quantities
            .get(Metric::LongestInputTokens);
        assert_eq!(longest, None, "no price depends on it");
    }

    /// Returns the band, requests, input tokens, longest request and cost of each part.
    fn shown(usages: &[BandUsage]) -> Vec<(usize, i64, i64, i64, Option<i64>)> {
        let shown = |part: &BandUsage| {
            let amount = |metric| part.usage.quantities.or_zero(metric);
            let (requests, input) = (Metric::NumModelRequests, Metric::InputTokens);
            let longest = amount(Metric::LongestInputTokens);
            let cost = part.usage.cost.map(|cost| cost.0);
            (part.band, amount(requests), amount(input), longest, cost)
        };
        usages.iter().map(shown).collect()
    }

    #[test]
    fn requests_of_a_batch_are_summed_by_the_bands_of_their_lengths() {
        let bands = Bands {
            bounds: &[100, 200],
            longest: i64::MAX,
        };
        let mut sum = output_sum(&bands);
        let mut line = DocumentReader::new(JsonPath::BatchLine);
        for (input, cost) in [
            (100, "0.1"),
            (101, "0.2"),
            (7, "0.3"),
            (200, "null"),
            (201, "1"),
        ] {
            let body = format!(
                r#"{{"output":[],"usage":{{"input_tokens":{input},"output_tokens":1,"cost":{cost}}}}}"#
            );
            let text = format!(r#"{{"response":{{"status_code":200,"body":{body}}}}}"#);
            let mut accumulator = UsageAccumulator::default();
            line.feed(&mut accumulator, text.as_bytes());
            sum.add(&line.finish(&mut accumulator), accumulator);
        }
        let expected = [
            (0, 2, 107, 100, Some(400_000_000)),
            // One of the two costs is not known.
            (1, 2, 301, 200, None),
            (2, 1, 201, 201, Some(1_000_000_000)),
        ];
        assert_eq!(shown(&sum.into_usages()), expected);
    }

    #[test]
    fn usage_known_in_sum_is_of_the_longest_request_that_the_input_allows() {
        let usage = |input| {
            let mut usage = MeasuredUsage::default();
            usage.quantities.set(Metric::InputTokens, input);
            usage.quantities.set(Metric::NumModelRequests, 3);
            usage
        };
        for (sum, longest, expected) in [
            (100, i64::MAX, (0, 3, 100, 100, None)),
            (300, 90, (0, 3, 300, 90, None)),
            (300, 150, (1, 3, 300, 150, None)),
            (300, i64::MAX, (2, 3, 300, 300, None)),
        ] {
            let bands = Bands {
                bounds: &[100, 200],
                longest,
            };
            assert_eq!(shown(&[bands.as_one(usage(sum))]), [expected]);
        }
    }

    fn output_sum<'a>(bands: &'a Bands<'a>) -> OutputSum<'a> {
        OutputSum {
            dialect: Dialect::at("/responses").expect("an endpoint"),
            model: "m".to_owned(),
            estimate: Estimate::of_input(5),
            bands,
            sums: BTreeMap::new(),
        }
    }
}
