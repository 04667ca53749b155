//! Metrics and dimensions as columns of the database.

use store::{Result, Row, Statement, Value};

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
