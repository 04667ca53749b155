//! A page of a report as JSON, written without anything in between: the text of a group's dimensions is made once for all
//! its buckets, and only the numbers are written each time.

use std::io::Write;

use ::usage::{Part, Report};
use base::Result;

use super::row_writer::RowWriter;
use super::window::next_page;
use crate::operation::Chunks;

/// How much is sent at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// Room for a result that begins just before a chunk is full.
const SPARE: usize = 4 * 1024;

/// Writes the report, whose first part has been read already.
pub(super) async fn write(
    mut report: Report,
    first: Option<Part>,
    rows: &impl RowWriter,
    chunks: &Chunks,
) -> Result<()> {
    let mut json = Vec::with_capacity(CHUNK + SPARE);
    json.extend_from_slice(b"{\"object\":\"page\",\"data\":[");
    let mut next = first;
    let mut is_first = true;
    while let Some(part) = next {
        let groups = Groups::of(&part, rows);
        for (index, (start, end)) in part.buckets().enumerate() {
            let comma = if is_first { "" } else { "," };
            is_first = false;
            // Nothing here can fail: it goes into memory.
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
                if json.len() >= CHUNK {
                    let full = std::mem::replace(&mut json, Vec::with_capacity(CHUNK + SPARE));
                    chunks.send(full).await;
                }
            }
            json.extend_from_slice(b"]}");
        }
        // Two parts are not in memory at once.
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

/// What is the same in all results of a group, for each group of a part.
struct Groups {
    text: Vec<u8>,
    /// Where each one ends.
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

/// Writes a whole number.
pub(super) fn integer(json: &mut Vec<u8>, number: i64) {
    json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a text, or `null`.
pub(super) fn text(json: &mut Vec<u8>, text: Option<&str>) {
    // Nothing here can fail: it goes into memory.
    let _ = serde_json::to_writer(json, &text);
}

/// Writes a number with a fraction.
pub(super) fn number(json: &mut Vec<u8>, number: f64) {
    let _ = serde_json::to_writer(json, &number);
}
