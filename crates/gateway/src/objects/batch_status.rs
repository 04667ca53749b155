//! The status of a batch as its upstream reports it, and the usage of a batch that has ended.

use base::{Error, Result};
use bytes::Buf;
use http::Method;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use usage::{Metric, Outcome};

use super::batch_input::BatchInput;
use super::repository::UpstreamObject;
use super::upstream::{ObjectClient, PassthroughBody, UpstreamRequest};
use crate::answer::DocumentReader;
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::document::{Document, GeneratedText, JsonPath, ReportedUsage};
use crate::object_kind::ObjectKind;

/// The fields of a batch that the gateway reads.
#[derive(Deserialize)]
pub(super) struct BatchStatus {
    status: String,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    #[serde(default, deserialize_with = "usage")]
    usage: Option<ReportedUsage>,
    #[serde(default)]
    request_counts: RequestCounts,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelled_at: Option<i64>,
}

/// Reads the usage of a batch in every form that the usage of an answer can have.
fn usage<'de, D: Deserializer<'de>>(
    field: D,
) -> std::result::Result<Option<ReportedUsage>, D::Error> {
    let json = Box::<RawValue>::deserialize(field)?;
    let json = format!(r#"{{"usage":{json}}}"#);
    Ok(Document::of(json.as_bytes(), &mut GeneratedText::default()).usage)
}

#[derive(Clone, Copy, Default, Deserialize)]
struct RequestCounts {
    #[serde(default)]
    completed: i64,
}

impl BatchStatus {
    /// Reads an upstream's answer.
    ///
    /// # Errors
    /// 502: the answer is no batch.
    pub(super) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|_| Error::upstream("The model server's answer is no batch."))
    }

    /// True if the batch has ended, in success or failure.
    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.status.as_str(),
            "completed" | "failed" | "expired" | "cancelled"
        )
    }

    /// Returns the reported end of the batch, in seconds since 1970.
    pub(super) fn ended_at(&self) -> Option<i64> {
        self.completed_at
            .or(self.failed_at)
            .or(self.expired_at)
            .or(self.cancelled_at)
    }

    /// Returns the ids of the files that the batch has created.
    pub(super) fn output_files(&self) -> impl Iterator<Item = &str> {
        let ids = [&self.output_file_id, &self.error_file_id];
        ids.into_iter().flatten().map(String::as_str)
    }

    /// Returns the number of requests that were answered.
    fn answered(&self) -> i64 {
        self.request_counts.completed.max(0)
    }

    /// Returns the reported usage; `None` if there is none, or if answers are said to have cost no input.
    pub(super) fn reported_usage(&self) -> Option<MeasuredUsage> {
        let quantities = self.usage.as_ref()?.quantities()?;
        quantities.get(Metric::InputTokens)?;
        if quantities.or_zero(Metric::InputTokens) == 0 && self.answered() > 0 {
            return None;
        }
        Some(MeasuredUsage {
            quantities: quantities.with(Metric::NumModelRequests, self.answered()),
            ..MeasuredUsage::default()
        })
    }

    /// Returns the outcome for the ledger.
    pub(super) fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "failed" => Outcome::UpstreamFailed,
            "expired" => Outcome::TimedOut,
            "cancelled" => Outcome::ClientGone,
            _ => Outcome::Succeeded,
        }
    }
}

/// The sum of the usage of the lines that were read.
struct OutputSum {
    dialect: &'static Dialect,
    model: String,
    estimate: Estimate,
    spent: MeasuredUsage,
}

/// Returns the usage of an ended batch that does not report it: from its output, or estimated if there is no output.
///
/// # Errors
/// 502: the output could not be read.
pub(super) async fn output_usage(
    client: &ObjectClient,
    object: &UpstreamObject,
    batch: &BatchStatus,
    input: &BatchInput,
) -> Result<MeasuredUsage> {
    let (Some(dialect), 1..) = (Dialect::at(&input.path), batch.answered()) else {
        return Ok(MeasuredUsage::default());
    };
    let tokens_per_request = input.tokens / input.requests.max(1);
    let output = match &batch.output_file_id {
        None => None,
        Some(id) => open(client, object, id).await?,
    };
    let Some(output) = output else {
        return Ok(estimate(batch.answered(), tokens_per_request));
    };
    let mut sum = OutputSum {
        dialect,
        model: input.model.clone(),
        estimate: Estimate::of_input(tokens_per_request),
        spent: MeasuredUsage::default(),
    };
    sum.read(output).await?;
    if sum.spent.quantities.or_zero(Metric::NumModelRequests) == 0 {
        return Ok(estimate(batch.answered(), tokens_per_request));
    }
    Ok(sum.spent)
}

/// Opens the output file of a batch; returns `None` if the file was deleted.
async fn open(
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

impl OutputSum {
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
        self.spent.quantities.add(&spent.quantities);
        self.spent.estimated |= spent.estimated;
        self.spent.service_tier = spent.service_tier;
        self.spent.size = spent.size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_in_the_lines_of_a_batch_are_read_at_any_length() {
        let mut sum = OutputSum {
            dialect: Dialect::at("/responses").expect("an endpoint"),
            model: "m".to_owned(),
            estimate: Estimate::of_input(5),
            spent: MeasuredUsage::default(),
        };
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
            let amount = |metric| sum.spent.quantities.or_zero(metric);
            assert_eq!(amount(Metric::InputTokens), input, "{text}");
            assert_eq!(amount(Metric::NumModelRequests), requests, "{text}");
        }
        assert!(sum.spent.estimated);
    }
}
