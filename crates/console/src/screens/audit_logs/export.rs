//! Files of the audit log: a line for each entry, newest first.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use serde_json::Value as Json;

use super::{AuditActor, AuditFilter, LOGS, Sentence, borrowed};
use crate::client::Refusal;
use crate::context::{Context, Outcome};

/// Maximum number of entries of a file.
const MAX_FILE_ENTRIES: usize = 10_000;
/// Number of entries that are read at a time.
const PAGE_ENTRIES: &str = "100";

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuditFormat {
    /// An entry of the API on each line, as JSON.
    Ndjson,
    /// Comma-separated values.
    Csv,
}

impl AuditFormat {
    /// Returns the format with this name.
    pub(super) fn named(word: Option<&str>) -> Option<Self> {
        match word {
            Some("ndjson") => Some(Self::Ndjson),
            Some("csv") => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Returns the file of the entries that pass a filter. The header `x-next-cursor` has the id after which the log goes on.
///
/// # Errors
/// The refusal of the operation.
pub(super) async fn file(
    context: &Context<'_>,
    filter: &AuditFilter,
    format: AuditFormat,
) -> Outcome {
    let mut entries: Vec<Json> = Vec::new();
    let mut next: Option<String> = None;
    let parameters = filter.parameters();
    loop {
        let mut query = borrowed(&parameters);
        query.push(("limit", PAGE_ENTRIES));
        query.extend(next.as_deref().map(|id| ("after", id)));
        let mut page = context.get(LOGS, &query).await?;
        let has_more = page["has_more"] == true;
        let last = page["last_id"].as_str().map(str::to_owned);
        if let Json::Array(data) = page["data"].take() {
            entries.extend(data);
        }
        next = last.filter(|_| has_more);
        if next.is_none() || entries.len() >= MAX_FILE_ENTRIES {
            break;
        }
    }
    let (bytes, extension, media_type) = match format {
        AuditFormat::Ndjson => (ndjson(&entries), "ndjson", "application/x-ndjson"),
        AuditFormat::Csv => (csv(&entries)?, "csv", "text/csv; charset=utf-8"),
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let name = format!("attachment; filename=\"audit-log.{extension}\"");
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    if let Some(Ok(next)) = next.map(HeaderValue::try_from) {
        headers.insert("x-next-cursor", next);
    }
    Ok(response)
}

fn ndjson(entries: &[Json]) -> Vec<u8> {
    let lines: Vec<String> = entries.iter().map(|entry| format!("{entry}\n")).collect();
    lines.concat().into_bytes()
}

fn csv(entries: &[Json]) -> Result<Vec<u8>, Refusal> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = [
        "id",
        "effective_at",
        "type",
        "actor",
        "actor_way",
        "ip_address",
        "project_id",
        "project",
        "sentence",
        "details",
    ];
    let mut write = |row: [String; 10]| table.write_record(&row);
    let mut written = write(header.map(str::to_owned));
    for entry in entries {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&entry["type"]);
        let actor = AuditActor::of(entry);
        let Sentence {
            deed,
            target,
            joint,
            other,
            ..
        } = Sentence::of(entry);
        let parts = [deed, target, joint, other];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let sentence = parts.collect::<Vec<_>>().join(" ");
        let row = [
            text(&entry["id"]),
            entry["effective_at"].to_string(),
            kind.clone(),
            actor.name,
            actor.way,
            actor.address,
            text(&entry["project"]["id"]),
            text(&entry["project"]["name"]),
            sentence,
            entry[kind.as_str()].to_string(),
        ];
        written = written.and_then(|()| write(row.map(guarded)));
    }
    written.map_err(|_| Refusal::broken())?;
    table.into_inner().map_err(|_| Refusal::broken())
}

/// Returns a text that spreadsheets do not take for a formula.
fn guarded(text: String) -> String {
    let first = text.trim_start().chars().next();
    match first {
        Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}') => {
            format!("'{text}")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_a_line_for_each_entry_and_no_formula() {
        let entry = json!({"id": "audit_log-1", "type": "project.created", "effective_at": 5,
            "project.created": {"id": "proj_1", "data": {"title": "=cmd"}}, "project": {"id": "proj_1", "name": "=1+1"}});
        let entries = [entry.clone(), entry];
        let text = String::from_utf8(ndjson(&entries)).expect("text");
        assert_eq!(text.lines().count(), 2);
        let text = String::from_utf8(csv(&entries).expect("a file")).expect("text");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains(",'=1+1,") && text.contains("created a project =cmd"),
            "{text}"
        );
    }
}
