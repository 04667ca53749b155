//! JSON of a page of a report. The text of a group's dimensions is serialized once for all its buckets; only the numbers are
//! written for each.

use std::io::Write;

use ::usage::{Part, Report};
use base::Result;

use super::row_writer::RowWriter;
use super::window::next_page;
use crate::operation::Chunks;

/// Size at which a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// Additional capacity for a result that begins just before a chunk is full.
const SPARE_BYTES: usize = 4 * 1024;

/// Writes the report. `first` is its first part.
pub(super) async fn write(
    mut report: Report,
    first: Option<Part>,
    rows: &impl RowWriter,
    chunks: &Chunks,
) -> Result<()> {
    let mut json = Vec::with_capacity(CHUNK_BYTES + SPARE_BYTES);
    json.extend_from_slice(b"{\"object\":\"page\",\"data\":[");
    let mut next = first;
    let mut is_first = true;
    while let Some(part) = next {
        let groups = Groups::of(&part, rows);
        for (index, (start, end)) in part.buckets().enumerate() {
            let comma = if is_first { "" } else { "," };
            is_first = false;
            // Writing to memory cannot fail.
            let _ = write!(
                json,
                "{comma}{{\"object\":\"bucket\",\"start_time\":{},\"end_time\":{},\"results\":[",
                start.0, end.0
            );
            for (count, (place, numbers)) in part.results(index).enumerate() {
                if count > 0 {
                    json.push(b',');
                }
                rows.begin(numbers, &mut json);
                json.extend_from_slice(groups.text(place));
                if json.len() >= CHUNK_BYTES {
                    let full =
                        std::mem::replace(&mut json, Vec::with_capacity(CHUNK_BYTES + SPARE_BYTES));
                    chunks.send(full).await;
                }
            }
            json.extend_from_slice(b"]}");
        }
        // Frees this part before the next one is read.
        drop(groups);
        drop(part);
        next = report.next().await?;
    }
    let page = report.next_page().map(next_page);
    let _ = match page {
        Some(page) => write!(json, "],\"has_more\":true,\"next_page\":\"{page}\"}}"),
        None => write!(json, "],\"has_more\":false,\"next_page\":null}}"),
    };
    chunks.send(json).await;
    Ok(())
}

/// Serialized dimensions of the groups of a part.
struct Groups {
    text: Vec<u8>,
    /// End of each group in `text`.
    ends: Vec<usize>,
}

impl Groups {
    fn of(part: &Part, rows: &impl RowWriter) -> Self {
        let mut text = Vec::new();
        let mut ends = Vec::with_capacity(part.groups());
        for place in 0..part.groups() {
            rows.end(part.group(place), &mut text);
            ends.push(text.len());
        }
        Self { text, ends }
    }

    fn text(&self, place: usize) -> &[u8] {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }
}

/// Writes an integer.
pub(super) fn integer(json: &mut Vec<u8>, number: i64) {
    json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a string, or `null`.
pub(super) fn text(json: &mut Vec<u8>, text: Option<&str>) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(json, &text);
}

/// Writes a floating-point number.
pub(super) fn number(json: &mut Vec<u8>, number: f64) {
    let _ = serde_json::to_writer(json, &number);
}
