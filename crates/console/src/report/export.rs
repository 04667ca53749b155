//! Files of a report: the figures of the screen as comma-separated values or Parquet, with a row for each bucket and group.

use axum::body::Body;
use base::NanoDollars;
use files::column::{Column, ColumnType};
use files::write::{TableWriter, Value};
use files::{FileError, Format};
use http::{HeaderValue, Response, header};

use super::kind::{MetricColumn, ReportKind};
use super::matrix::Matrix;
use super::period::Period;
use super::table::Unit;
use crate::client::Refusal;

/// Returns the format that a query names.
pub(crate) fn format(word: Option<&str>) -> Option<Format> {
    match word {
        Some("csv") => Some(Format::Csv),
        Some("parquet") => Some(Format::Parquet),
        _ => None,
    }
}

/// Returns the file of a report.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn file(
    kind: &ReportKind,
    period: &Period,
    matrix: &Matrix,
    format: Format,
) -> Result<Response<Body>, Refusal> {
    let bytes = encode(kind, period, matrix, format).map_err(|error| {
        tracing::error!(%error, "failed to write table");
        Refusal::broken()
    })?;
    let (extension, media_type) = match format {
        Format::Parquet => ("parquet", "application/vnd.apache.parquet"),
        _ => ("csv", "text/csv; charset=utf-8"),
    };
    let [first, last] = [period.start(), period.end().plus(-1)].map(|time| time.date_digits());
    let name = format!(
        "attachment; filename=\"{}-{first}-{last}.{extension}\"",
        kind.name
    );
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn encode(
    kind: &ReportKind,
    period: &Period,
    matrix: &Matrix,
    format: Format,
) -> Result<Vec<u8>, FileError> {
    let times = ["start_time", "end_time"];
    let times = times.map(|name| Column::required(name, ColumnType::Moment));
    let groups = matrix.dimensions().iter();
    let groups = groups.map(|group| Column::optional(group.as_str(), ColumnType::Text));
    let metrics = kind
        .metrics
        .iter()
        .map(|metric| Column::optional(metric.name, column_type(metric)));
    let columns = times.into_iter().chain(groups).chain(metrics).collect();
    let mut table = TableWriter::new(format, columns)?;
    let order = matrix.ranking(0);
    for (index, segment) in period.segments.iter().enumerate() {
        for group in &order {
            let Some(cell) = matrix.cell(index, *group) else {
                continue;
            };
            let times = [Value::Moment(segment.start), Value::Moment(segment.end)];
            let groups = matrix
                .group(*group)
                .iter()
                .map(|value| Value::text(value.as_deref()));
            let numbers = kind.metrics.iter().zip(cell);
            let numbers = numbers.map(|(metric, number)| match (Unit::of(metric), number) {
                (_, None) => Value::Absent,
                (Unit::Count, Some(number)) => Value::Integer(*number),
                (Unit::Money, Some(number)) => Value::Dollars(NanoDollars(*number)),
            });
            table.push(times.into_iter().chain(groups).chain(numbers));
        }
    }
    table.finish()
}

fn column_type(metric: &MetricColumn) -> ColumnType {
    match Unit::of(metric) {
        Unit::Count => ColumnType::Integer,
        Unit::Money => ColumnType::Dollars,
    }
}
