//! Metrics and dimensions as columns of the database.

use base::UnixTime;
use store::{Result, Row, Statement, Sum, Value};

use crate::{Dimension, Metric, Quantities};

/// Adds `, input_tokens, …`.
pub(crate) fn push_metrics(statement: &mut Statement, metrics: &[Metric]) {
    for metric in metrics {
        statement.push(", ").push(metric.as_str());
    }
}

/// Adds `, project_id, …`: all of them.
pub(crate) fn push_dimensions(statement: &mut Statement) {
    for dimension in Dimension::ALL {
        statement.push(", ").push(dimension.as_str());
    }
}

/// The values of all metrics, in their order.
pub(crate) fn metric_values(quantities: &Quantities) -> impl Iterator<Item = Value> {
    Metric::ALL
        .iter()
        .map(|metric| quantities.get(*metric).into())
}

/// Reads the columns of `metrics`.
pub(crate) fn read_metrics(row: &Row<'_>, metrics: &[Metric]) -> Result<Quantities> {
    let mut quantities = Quantities::default();
    for metric in metrics {
        if let Some(amount) = row.get(metric.as_str())? {
            quantities.set(*metric, amount);
        }
    }
    Ok(quantities)
}

/// Reads the column of a dimension; `batch` gives `true` or `false`, a dimension that does not apply nothing.
pub(crate) fn read_dimension(row: &Row<'_>, dimension: Dimension) -> Result<Option<String>> {
    if dimension == Dimension::Batch {
        return Ok(Some(row.get::<bool>("batch")?.to_string()));
    }
    let text: String = row.get(dimension.as_str())?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A bucket, and the values of the dimensions grouped by.
pub(crate) type Key = (UnixTime, Vec<Option<String>>);

/// The SQL for a dimension as a key of [`store::Sums`]: its column, as text.
pub(crate) fn key_column(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Batch => "CASE WHEN batch THEN 'true' ELSE 'false' END",
        dimension => dimension.as_str(),
    }
}

/// The key of a group: of sums whose first key is `bucket`, unless all of them lie in this one.
pub(crate) fn key_of(sum: &mut Sum, bucket: Option<UnixTime>) -> Key {
    let mut keys = std::mem::take(&mut sum.keys).into_iter();
    let bucket = bucket.unwrap_or_else(|| match keys.next() {
        Some(Value::Integer(start)) => UnixTime(start),
        _ => UnixTime(0),
    });
    let values = keys.map(|key| match key {
        Value::Text(text) => Some(text).filter(|text| !text.is_empty()),
        _ => None,
    });
    (bucket, values.collect())
}
