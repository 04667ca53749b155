//! `/v1/decisions`: answers to questions about an input, without generated text.

use base::Result;
use serde_json::value::RawValue;
use usage::{Metric, UsageKind};

use super::{DEFAULT, Dialect, Estimate, Fields, MeasuredUsage, UsageAccumulator};

pub(super) static DECISIONS: Dialect = Dialect {
    path: "/decisions",
    kind: UsageKind::Decisions,
    fields: &["model", "input", "questions"],
    has_client_data: true,
    estimate,
    measure,
    ..DEFAULT
};

fn estimate(fields: &Fields<'_>) -> Result<Estimate> {
    let questions = fields.get("questions").unwrap_or_default();
    let questions = serde_json::from_slice::<Vec<&RawValue>>(questions);
    let count = questions.map_or(1, |questions| questions.len());
    Ok(Estimate {
        units: i64::try_from(count).unwrap_or(i64::MAX),
        ..Estimate::default()
    })
}

/// Measures the tokens. An answer generates no text, so output that is not reported counts as none.
fn measure(estimate: &Estimate, model: &str, accumulator: &UsageAccumulator) -> MeasuredUsage {
    let mut usage = MeasuredUsage::reported(accumulator);
    if accumulator.is_failed {
        return usage;
    }
    if accumulator.amount(Metric::InputTokens).is_none() {
        usage.estimate(Metric::InputTokens, estimate.input.tokens(model));
    }
    if accumulator.amount(Metric::OutputTokens).is_none() {
        usage.quantities.set(Metric::OutputTokens, 0);
    }
    usage
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::dialect::Call;

    #[test]
    fn client_data_in_an_input_references_nothing() {
        let data = json!({"file_id": "file-1", "tools": [{"type": "mcp"}], "container": "c"});
        let part = json!({"type": "input_json", "data": data});
        let message = json!([{"role": "user", "content": [part]}]);
        let call = |path: &str| {
            let body = json!({"model": "m", "input": message, "questions": []}).to_string();
            let dialect = Dialect::at(path).expect(path);
            Call::parse(dialect, &HeaderMap::new(), Bytes::from(body)).expect("a call")
        };
        let decision = call("/decisions");
        assert_eq!(decision.object_refs.max_count(), 0);
        assert_eq!((decision.unowned_ref, decision.models.len()), (None, 0));
        let response = call("/responses");
        assert_eq!(response.object_refs.max_count(), 1);
        assert!(response.object_refs.containers.contains("c"));
    }

    #[test]
    fn every_question_is_counted() {
        for (questions, units) in [("[]", 0), ("[{},{}]", 2), ("7", 1), ("null", 1)] {
            let body = format!(r#"{{"model":"m","questions":{questions}}}"#);
            let fields = Fields::of_json(body.as_bytes(), DECISIONS.fields);
            let estimate = estimate(&fields.expect("fields")).expect("an estimate");
            assert_eq!(estimate.units, units, "{questions}");
        }
    }
}
