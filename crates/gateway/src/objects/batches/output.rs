//! Usage of a batch that does not report it: the sum of the usage in its output file.

use base::{Error, Result};
use bytes::Buf;
use http::Method;
use usage::Metric;

use super::{BatchInput, BatchStatus};
use crate::answer::{Document, DocumentReader};
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::object_kind::ObjectKind;
use crate::objects::repository::UpstreamObject;
use crate::objects::upstream::{ObjectClient, PassthroughBody, UpstreamRequest};

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
pub(in crate::objects) async fn output_usage(
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
    read_lines(output, |line, tally| sum.add(line, tally)).await?;
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
    /// Adds the usage of the answer on a line.
    fn add(&mut self, line: &Document, mut tally: UsageAccumulator) {
        let is_success = line
            .status_code
            .is_some_and(|code| (200..300).contains(&code));
        if !is_success {
            return;
        }
        tally.is_failed = line.error().is_some() || !line.is_whole;
        (self.dialect.read_document)(&mut tally, line);
        let spent = self.dialect.measure(&self.estimate, &self.model, &tally);
        self.spent.quantities.add(&spent.quantities);
        self.spent.estimated |= spent.estimated;
        self.spent.service_tier = spent.service_tier;
        self.spent.size = spent.size;
    }
}

/// Reads the lines of an output, each of which may have any length.
async fn read_lines(
    mut output: PassthroughBody,
    mut take: impl FnMut(&Document, UsageAccumulator),
) -> Result<()> {
    let (mut line, mut tally) = (
        DocumentReader::of_batch_lines(),
        UsageAccumulator::default(),
    );
    while let Some(piece) = output.next().await {
        let broken = |_| Error::upstream("The output of a batch broke off.");
        let mut piece = piece.map_err(broken)?;
        while let Some(end) = memchr::memchr(b'\n', &piece) {
            line.feed(&mut tally, &piece.split_to(end));
            piece.advance(1);
            let document = line.finish(&mut tally);
            take(&document, std::mem::take(&mut tally));
        }
        line.feed(&mut tally, &piece);
    }
    let document = line.finish(&mut tally);
    take(&document, tally);
    Ok(())
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
        let mut line = DocumentReader::of_batch_lines();
        let mut tally = UsageAccumulator::default();
        line.feed(&mut tally, begin.as_bytes());
        for _ in 0..40 {
            line.feed(&mut tally, file.as_bytes());
        }
        line.feed(&mut tally, end.as_bytes());
        sum.add(&line.finish(&mut tally), tally);
        for (text, input, requests) in [
            (String::new(), 100, 1),
            (answer(400, &format!("{{{usage}}}")), 100, 1),
            (answer(200, r#"{"error":{"message":"boom"}}"#), 100, 1),
            (answer(200, &format!("{{{usage}}}")), 200, 2),
            (answer(200, r#"{"output":[]}"#), 205, 3),
        ] {
            let mut tally = UsageAccumulator::default();
            line.feed(&mut tally, text.as_bytes());
            sum.add(&line.finish(&mut tally), tally);
            let amount = |metric| sum.spent.quantities.or_zero(metric);
            assert_eq!(amount(Metric::InputTokens), input, "{text}");
            assert_eq!(amount(Metric::NumModelRequests), requests, "{text}");
        }
        assert!(sum.spent.estimated);
    }
}
