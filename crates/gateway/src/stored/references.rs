//! Files that the body of a request names: they must be of the caller's project.

use std::collections::BTreeSet;

use access::stored::{Kind, Owner};
use base::{Error, Result};
use serde::Deserialize;

use super::place::is_plausible;
use crate::Shared;
use crate::dialect::Fields;

/// How many files one request may name.
const MOST_FILES: usize = 2_000;

/// One of the `files` of a request.
#[derive(Deserialize)]
struct File {
    file_id: String,
}

/// Counts the files that a body names.
///
/// # Errors
/// 400: it cannot be told.
pub(super) fn count(body: &[u8]) -> Result<usize> {
    Ok(named(body)?.iter().map(|(_, ids)| ids.len()).sum())
}

impl Shared {
    /// Checks every file that a body names; where they are, if it names any.
    ///
    /// # Errors
    /// 404 naming the field: it is not of the caller's project. 400: it is kept by another upstream than `at`, or than the
    /// others.
    pub(super) async fn check_references(
        &self,
        owner: &Owner,
        body: &[u8],
        at: Option<&str>,
    ) -> Result<Option<String>> {
        let mut at = at.map(str::to_owned);
        for (param, ids) in named(body)? {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            if let Some(id) = ids.iter().find(|id| !is_plausible(id)) {
                return Err(Error::not_found("file", id).about(param));
            }
            let found = self.stored.find(owner, Kind::File, &ids).await?;
            for id in ids {
                let file = found.iter().find(|file| file.id == id);
                let file = file.ok_or_else(|| Error::not_found("file", id).about(param))?;
                if at.get_or_insert_with(|| file.upstream.clone()) != &file.upstream {
                    let message = format!(
                        "The file '{id}' is kept by another model server: upload it again."
                    );
                    return Err(Error::invalid(param, message));
                }
            }
        }
        Ok(at)
    }
}

/// The files that a body names, by the field that names them.
fn named(body: &[u8]) -> Result<Vec<(&'static str, BTreeSet<String>)>> {
    let mut named = Vec::new();
    if body.is_empty() {
        return Ok(named);
    }
    let fields = Fields::of_json(body, &["file_id", "file_ids", "files"])?;
    if let Some(id) = fields.text("file_id")? {
        named.push(("file_id", BTreeSet::from([id])));
    }
    let given = |name| fields.get(name).filter(|value| *value != b"null");
    if let Some(ids) = given("file_ids") {
        let ids: Option<Vec<String>> = serde_json::from_slice(ids).ok();
        let wrong = || Error::invalid("file_ids", "file_ids must be a list of strings.");
        named.push(("file_ids", ids.ok_or_else(wrong)?.into_iter().collect()));
    }
    if let Some(files) = given("files") {
        let files: Option<Vec<File>> = serde_json::from_slice(files).ok();
        let wrong = || {
            Error::invalid(
                "files",
                "files must be a list of objects, each with one file_id.",
            )
        };
        let ids = files
            .ok_or_else(wrong)?
            .into_iter()
            .map(|file| file.file_id);
        named.push(("files", ids.collect()));
    }
    match named.iter().find(|(_, ids)| ids.len() > MOST_FILES) {
        Some((param, _)) => {
            let message = format!("{param} has more than {MOST_FILES} files.");
            Err(Error::invalid(*param, message))
        }
        None => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let ids = |body: &str| -> Result<Vec<String>> {
            let named = named(body.as_bytes())?;
            let flat = named
                .into_iter()
                .flat_map(|(param, ids)| ids.into_iter().map(move |id| format!("{param}={id}")));
            Ok(flat.collect())
        };
        for (body, found) in [
            ("", ""),
            ("{}", ""),
            (r#"{"file_ids":null,"files":null,"file_id":null}"#, ""),
            (r#"{"file_id":"a","x":{"file_id":"b"}}"#, "file_id=a"),
            (r#"{"file_ids":["a","b","a"]}"#, "file_ids=a file_ids=b"),
            (r#"{"file\u005fids":["\u0061"]}"#, "file_ids=a"),
            (r#"{"files":[{"file_id":"a","attributes":{}}]}"#, "files=a"),
        ] {
            assert_eq!(ids(body).expect(body).join(" "), found, "{body}");
        }
        let many: Vec<String> = (0..=MOST_FILES).map(|it| it.to_string()).collect();
        for (body, param) in [
            (r#"{"file_ids":"a"}"#.to_owned(), "file_ids"),
            (
                r#"{"file_ids":["a"],"file_ids":["b"]}"#.to_owned(),
                "file_ids",
            ),
            (
                r#"{"files":[{"file_id":"a","file_id":"b"}]}"#.to_owned(),
                "file_id",
            ),
            (r#"{"file_id":7}"#.to_owned(), "file_id"),
            (
                serde_json::json!({"file_ids": many}).to_string(),
                "file_ids",
            ),
        ] {
            let error = ids(&body).expect_err(&body);
            assert_eq!(
                (error.status.as_u16(), error.param.as_deref()),
                (400, Some(param))
            );
        }
    }
}
