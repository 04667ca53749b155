//! What the ledger of a world says.

use std::time::Duration;

use store::sql;
use usage::Metric;

use super::World;

/// A row of the ledger.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub id: String,
    pub model: String,
    pub outcome: String,
    pub estimated: bool,
    pub input: Option<i64>,
    pub output: Option<i64>,
    pub requests: Option<i64>,
    pub who: [String; 3],
}

impl Row {
    /// Outcome, estimated, input tokens, output tokens, requests.
    pub fn sums(&self) -> (&str, bool, Option<i64>, Option<i64>, Option<i64>) {
        let outcome = self.outcome.as_str();
        (
            outcome,
            self.estimated,
            self.input,
            self.output,
            self.requests,
        )
    }
}

impl World {
    /// The ledger, once it has `count` rows.
    pub async fn rows(&self, count: usize) -> Vec<Row> {
        for _ in 0..200 {
            let rows = self.ledger().await;
            assert!(rows.len() <= count, "too many: {rows:?}");
            if rows.len() == count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not {count} rows: {:?}", self.ledger().await);
    }

    /// The only row of the ledger, now.
    pub async fn row(&self) -> Row {
        let mut rows = self.ledger().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    pub async fn ledger(&self) -> Vec<Row> {
        self.recorder.flush().await;
        let statement = sql!(
            "SELECT e.id, e.outcome, e.estimated, e.input_tokens, e.output_tokens, e.num_model_requests,
                    s.model, s.project_id, s.user_id, s.api_key_id
             FROM usage_events e JOIN usage_series s ON s.id = e.series_id ORDER BY e.id"
        );
        let mut read = self.store.usage().read().await.expect("a connection");
        let rows = read.fetch_all(statement, |row| {
            Ok(Row {
                id: row.get("id")?,
                model: row.get("model")?,
                outcome: row.get("outcome")?,
                estimated: row.get("estimated")?,
                input: row.get("input_tokens")?,
                output: row.get("output_tokens")?,
                requests: row.get("num_model_requests")?,
                who: [
                    row.get("project_id")?,
                    row.get("user_id")?,
                    row.get("api_key_id")?,
                ],
            })
        });
        rows.await.expect("rows")
    }

    /// What the ledger says was consumed of what, row by row: kind, model, outcome, `estimated` where it is, the metrics
    /// that are there, and the dimensions of images.
    pub async fn consumed(&self) -> Vec<String> {
        self.recorder.flush().await;
        let statement = sql!(
            "SELECT e.*, s.kind, s.model, s.size, s.source, s.service_tier
             FROM usage_events e JOIN usage_series s ON s.id = e.series_id ORDER BY e.id"
        );
        let mut read = self.store.usage().read().await.expect("a connection");
        let rows = read.fetch_all(statement, |row| {
            let mut words: Vec<String> = Vec::new();
            for column in ["kind", "model", "outcome"] {
                words.push(row.get(column)?);
            }
            if row.get("estimated")? {
                words.push("estimated".into());
            }
            for metric in Metric::ALL {
                let amount: Option<i64> = row.get(metric.as_str())?;
                words.extend(amount.map(|amount| format!("{}={amount}", metric.as_str())));
            }
            for column in ["size", "source", "service_tier"] {
                let value: String = row.get(column)?;
                if !value.is_empty() {
                    words.push(format!("{column}={value}"));
                }
            }
            Ok(words.join(" "))
        });
        rows.await.expect("rows")
    }

    /// As [`Self::consumed`], once there is one row.
    pub async fn consumed_once(&self) -> String {
        self.rows(1).await;
        self.consumed().await.remove(0)
    }
}
