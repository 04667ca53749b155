//! The edits of a request's body for an upstream: the model's name, `stream_options` and `store`.

use std::ops::Range;

use base::{Error, Result};

use super::fields::boolean;
use super::{Dialect, Fields};

/// A replacement of a range of the body.
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: &'static str,
}

/// The position of the model's name in the body.
pub(super) enum ModelName {
    /// A JSON string.
    Json(Range<usize>),
    /// `null`, in JSON.
    Null(Range<usize>),
    /// Plain text, in a form.
    Plain(Range<usize>),
    /// None: the member is to be inserted at this position, the beginning of the object.
    Absent { at: usize, is_only_member: bool },
}

impl ModelName {
    /// Returns the model of a request, and the position of its name.
    ///
    /// # Errors
    /// 400: no model is named and the endpoint has no default, or the name is no string.
    pub(super) fn find(
        dialect: &Dialect,
        fields: &Fields<'_>,
        body: &[u8],
    ) -> Result<(String, Self)> {
        let missing = || Error::invalid("model", "model is missing: say which model is to answer.");
        let field = fields.get("model");
        if let (Some(name), Some(field)) = (fields.text("model")?, field) {
            let range = fields.range(field);
            let position = if fields.is_json {
                Self::Json(range)
            } else {
                Self::Plain(range)
            };
            return Ok((name, position));
        }
        let name = dialect.default_model.ok_or_else(missing)?.to_owned();
        if let Some(null) = field {
            return Ok((name, Self::Null(fields.range(null))));
        }
        let at = memchr::memchr(b'{', body).ok_or_else(missing)? + 1;
        let is_only_member = body[at..].trim_ascii_start().starts_with(b"}");
        Ok((name, Self::Absent { at, is_only_member }))
    }

    /// Returns the edit that replaces the model `current` by `known`; `None` if the body names it already.
    pub(super) fn edit(&self, current: &str, known: &str) -> Option<(Range<usize>, String)> {
        let quoted = || serde_json::Value::from(known).to_string();
        match self {
            Self::Absent { at, is_only_member } => {
                let comma = if *is_only_member { "" } else { "," };
                Some((*at..*at, format!("\"model\":{}{comma}", quoted())))
            }
            Self::Null(range) => Some((range.clone(), quoted())),
            _ if known == current => None,
            Self::Json(range) => Some((range.clone(), quoted())),
            Self::Plain(range) => Some((range.clone(), known.to_owned())),
        }
    }
}

/// Returns the edit that makes a stream report its usage; `None` if the client asks for usage already.
///
/// # Errors
/// 400: `stream_options` is malformed.
pub(super) fn stream_usage_edit(fields: &Fields<'_>) -> Result<Option<Edit>> {
    let edit = |range, text| Ok(Some(Edit { range, text }));
    let Some(options) = fields.get("stream_options") else {
        let stream = fields.get("stream").unwrap_or_default();
        let end = fields.range(stream).end;
        return edit(end..end, r#","stream_options":{"include_usage":true}"#);
    };
    if options == b"null" {
        return edit(fields.range(options), r#"{"include_usage":true}"#);
    }
    let wrong = || Error::invalid("stream_options", "stream_options must be an object.");
    let inside = options.strip_prefix(b"{").ok_or_else(wrong)?;
    let param = "stream_options.include_usage";
    let members = Fields::of_json(options, &["include_usage"]);
    let members = members.map_err(|error| error.about(param))?;
    let include_usage = members.get("include_usage");
    if boolean(param, include_usage)? {
        return Ok(None);
    }
    if let Some(include_usage) = include_usage {
        return edit(fields.range(include_usage), "true");
    }
    let start = fields.range(options).start + 1;
    let is_empty = inside.trim_ascii_start() == b"}";
    let member = if is_empty {
        r#""include_usage":true"#
    } else {
        r#""include_usage":true,"#
    };
    edit(start..start, member)
}

/// Returns the edit that sets `store` to false; `None` if it is false, or if servers do not store by default and it is absent.
/// Any other value is replaced too, since a server could take it for true.
pub(super) fn disable_store(dialect: &Dialect, fields: &Fields<'_>) -> Option<Edit> {
    let stores_by_default = dialect.stores_by_default?;
    let (range, text) = match fields.get("store") {
        Some(b"false") => return None,
        Some(b"null") | None if !stores_by_default => return None,
        Some(store) => (fields.range(store), "false"),
        None => {
            let end = fields.range(fields.get("model")?).end;
            (end..end, r#","store":false"#)
        }
    };
    Some(Edit { range, text })
}

#[cfg(test)]
mod tests;
