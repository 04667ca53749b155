//! Responses to reports, streamed while the report is read: as JSON or as a table.

use ::usage::{ReportPart, ReportStream};
use axum::body::Body;
use base::{Error, Result, UnixTime};
use files::column::{Column, ColumnType};
use files::write::{TableWriter, Value};
use files::{FileError, Format as FileFormat};
use http::{HeaderValue, Response, header};
use schemars::JsonSchema;
use serde::Deserialize;

use super::json;
use super::row_writer::RowWriter;
use super::window::next_page;
use crate::operation::{Chunks, Streamed};

/// Media types of responses other than JSON.
pub(super) const OTHER_TYPES: &[&str] = &[CSV, PARQUET];
/// Media type of comma-separated values.
pub(super) const CSV: &str = "text/csv; charset=utf-8";
/// Media type of Parquet.
pub(super) const PARQUET: &str = "application/vnd.apache.parquet";

/// Format of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Format {
    /// JSON as in the contract.
    #[default]
    Json,
    /// A table of comma-separated values.
    Csv,
    /// A table in Apache Parquet.
    Parquet,
}

/// Responds with a page of a report. Errors before the first byte become an error response.
pub(super) async fn answer(
    mut report: ReportStream,
    (start, end): (UnixTime, UnixTime),
    rows: impl RowWriter,
    format: Format,
) -> Result<Response<Body>> {
    let first = report.next().await?;
    let next = report.next_page();
    let (file, extension, kind) = match format {
        Format::Json => {
            let body =
                Streamed::new(async move |chunks| json::write(report, first, &rows, &chunks).await);
            return Ok(response(body, HeaderValue::from_static("application/json")));
        }
        Format::Csv => (FileFormat::Csv, "csv", CSV),
        Format::Parquet => (FileFormat::Parquet, "parquet", PARQUET),
    };
    let end = next.unwrap_or(end);
    let (first_day, last_day) = (start.date_digits(), end.plus(-1).date_digits());
    let name = rows.name();
    let disposition = format!("attachment; filename=\"{name}-{first_day}-{last_day}.{extension}\"");
    let columns = times().into_iter().chain(rows.columns()).collect();
    let table = TableWriter::new(file, columns).map_err(|error| unwritten(&error))?;
    let body = Streamed::new(async move |chunks| write(report, first, rows, table, &chunks).await);
    let mut response = response(body, HeaderValue::from_static(kind));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition)?);
    if let Some(next) = next {
        headers.insert("x-next-page", value(&next_page(next))?);
    }
    Ok(response)
}

fn response(body: Streamed, kind: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| Error::internal())
}

fn unwritten(error: &FileError) -> Error {
    tracing::error!(%error, "failed to write table");
    Error::internal()
}

fn times() -> [Column; 2] {
    ["start_time", "end_time"].map(|name| Column::required(name, ColumnType::Moment))
}

/// Writes a report as a table with a row for each bucket and result.
async fn write(
    mut report: ReportStream,
    first: Option<ReportPart>,
    rows: impl RowWriter,
    mut table: TableWriter,
    chunks: &Chunks,
) -> Result<()> {
    let mut next = first;
    while let Some(part) = next {
        for (index, (start, end)) in part.buckets().enumerate() {
            let times = [Value::Moment(start), Value::Moment(end)];
            for (place, numbers) in part.results(index) {
                let row = rows.row(part.group(place), numbers);
                table.push(times.into_iter().chain(row));
                if table.is_full() {
                    table = send(table, chunks).await?;
                }
            }
        }
        // Frees this part before the next one is read.
        drop(part);
        next = report.next().await?;
    }
    let rest = on_blocking_thread(move || table.finish()).await?;
    chunks.send(rest).await;
    Ok(())
}

/// Sends the buffered rows. Runs on a blocking thread, because encoding a row group takes long.
async fn send(mut table: TableWriter, chunks: &Chunks) -> Result<TableWriter> {
    let (table, bytes) =
        on_blocking_thread(move || table.take().map(|bytes| (table, bytes))).await?;
    chunks.send(bytes).await;
    Ok(table)
}

/// Runs `work` on a blocking thread.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::internal())?
        .map_err(|error| unwritten(&error))
}
