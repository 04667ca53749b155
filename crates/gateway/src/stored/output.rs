//! What a batch has consumed that does not say so itself: what the answers in its output say, added up.

use access::stored::{Kind, Object};
use base::{Error, Result};
use bytes::Buf;
use http::Method;
use usage::Metric;

use super::Passing;
use super::ask::Question;
use super::batches::Batch;
use super::lines::Work;
use crate::Shared;
use crate::answer::DocumentReader;
use crate::dialect::{Dialect, Estimate, MeasuredUsage, UsageAccumulator};
use crate::document::Document;

/// What the lines of an output say.
struct Sum {
    dialect: &'static Dialect,
    model: String,
    estimate: Estimate,
    spent: MeasuredUsage,
}

impl Shared {
    /// What an ended batch has consumed that does not say so itself.
    ///
    /// # Errors
    /// Its output could not be read now.
    pub(super) async fn spent_on(
        &self,
        object: &Object,
        batch: &Batch,
        work: &Work,
    ) -> Result<MeasuredUsage> {
        let (Some(dialect), 1..) = (Dialect::at(&work.path), batch.answered()) else {
            return Ok(MeasuredUsage::default());
        };
        let of_each = work.tokens / work.requests.max(1);
        let output = match &batch.output_file_id {
            None => None,
            Some(id) => self.output(object, id).await?,
        };
        let Some(output) = output else {
            return Ok(estimate(batch.answered(), of_each));
        };
        let mut sum = Sum {
            dialect,
            model: work.model.clone(),
            estimate: Estimate::of_input(of_each),
            spent: MeasuredUsage::default(),
        };
        read_lines(output, |line, tally| sum.add(line, tally)).await?;
        if sum.spent.quantities.or_zero(Metric::NumModelRequests) == 0 {
            return Ok(estimate(batch.answered(), of_each));
        }
        Ok(sum.spent)
    }

    /// The beginning of an output; `None` if it was deleted.
    async fn output(&self, object: &Object, id: &str) -> Result<Option<Passing>> {
        let file = Object {
            kind: Kind::File,
            id: id.to_owned(),
            ..object.clone()
        };
        let question = Question::of_ours(Method::GET, &file, "/content");
        let answer = self.ask(self.keeper_of(object)?, question).await?;
        let status = answer.response.status();
        if status == http::StatusCode::NOT_FOUND || status == http::StatusCode::GONE {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Error::upstream(format!("The output of a batch: {status}.")));
        }
        let patience = answer.patience();
        let body = answer.response.into_body();
        Ok(Some(Passing::new(patience, body)))
    }
}

/// The answers that there were, to requests of that many tokens each.
fn estimate(answered: i64, of_each: i64) -> MeasuredUsage {
    let mut spent = MeasuredUsage {
        estimated: true,
        ..MeasuredUsage::default()
    };
    spent.quantities.set(Metric::NumModelRequests, answered);
    spent
        .quantities
        .set(Metric::InputTokens, answered.saturating_mul(of_each));
    spent
}

impl Sum {
    /// Adds what a line says of its answer.
    fn add(&mut self, line: &Document, mut tally: UsageAccumulator) {
        let is_success = line
            .status_code
            .is_some_and(|code| (200..300).contains(&code));
        if !is_success {
            return;
        }
        tally.is_failed = line.error().is_some() || !line.is_whole;
        (self.dialect.read_document)(&mut tally, line);
        let one = self.dialect.measure(&self.estimate, &self.model, &tally);
        self.spent.quantities.add(&one.quantities);
        self.spent.estimated |= one.estimated;
        self.spent.service_tier = one.service_tier;
        self.spent.size = one.size;
    }
}

/// Reads the lines of an output, which may have any length.
async fn read_lines(
    mut output: Passing,
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
        let mut sum = Sum {
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
