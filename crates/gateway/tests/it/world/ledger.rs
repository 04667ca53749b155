//! The ledger of a world, as tests read it.

use usage::{Dimension, LedgerEntry, LedgerReader, Metric};

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

impl From<LedgerEntry> for Row {
    fn from(LedgerEntry { event, .. }: LedgerEntry) -> Self {
        let text = |dimension| event.dimension(dimension).unwrap_or_default().to_owned();
        Self {
            model: text(Dimension::Model),
            outcome: event.outcome.as_str().to_owned(),
            estimated: event.estimated,
            input: event.quantities.get(Metric::InputTokens),
            output: event.quantities.get(Metric::OutputTokens),
            requests: event.quantities.get(Metric::NumModelRequests),
            who: [Dimension::ProjectId, Dimension::UserId, Dimension::ApiKeyId].map(text),
            id: event.id,
        }
    }
}

impl Row {
    /// Returns outcome, estimated, input tokens, output tokens and requests.
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
    /// Returns the ledger once it has `count` rows.
    pub async fn rows(&self, count: usize) -> Vec<Row> {
        poll::value(&format!("{count} rows"), async || {
            let rows = self.ledger().await;
            assert!(rows.len() <= count, "too many: {rows:?}");
            Some(rows).filter(|rows| rows.len() == count)
        })
        .await
    }

    /// Returns the only row of the ledger.
    pub async fn row(&self) -> Row {
        let mut rows = self.ledger().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    pub async fn ledger(&self) -> Vec<Row> {
        self.entries().await.into_iter().map(Row::from).collect()
    }

    /// Returns the ledger in the order of its ids.
    pub async fn entries(&self) -> Vec<LedgerEntry> {
        self.recorder.flush().await;
        let mut all = LedgerReader::all(self.store.usage())
            .await
            .expect("the ledger");
        all.sort_by(|a, b| a.event.id.cmp(&b.event.id));
        all
    }

    /// Returns each row of the ledger as text: kind, model, outcome, `estimated` if it is, its metrics, and the dimensions of
    /// images.
    pub async fn consumed(&self) -> Vec<String> {
        let words = |LedgerEntry { event, .. }: LedgerEntry| {
            let model = event.model.as_deref().unwrap_or_default();
            let mut words = [event.kind.as_str(), model, event.outcome.as_str()]
                .map(str::to_owned)
                .to_vec();
            words.extend(event.estimated.then(|| "estimated".to_owned()));
            for metric in Metric::ALL {
                let amount = event.quantities.get(*metric);
                words.extend(amount.map(|amount| format!("{}={amount}", metric.as_str())));
            }
            for dimension in [Dimension::Size, Dimension::Source, Dimension::ServiceTier] {
                let value = event.dimension(dimension);
                words.extend(value.map(|value| format!("{}={value}", dimension.as_str())));
            }
            words.join(" ")
        };
        self.entries().await.into_iter().map(words).collect()
    }

    /// Returns the same as [`Self::consumed`], once there is one row.
    pub async fn consumed_once(&self) -> String {
        self.rows(1).await;
        self.consumed().await.remove(0)
    }
}
