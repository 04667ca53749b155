//! The request for a model: which one, what it asks for, and how its body is changed for an upstream without touching the
//! bytes around the change.

use std::mem::take;
use std::ops::Range;

use access::{HostedTool, HostedTools};
use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use super::demand::{Input, asks_for_stream};
use super::fields::boolean;
use super::mentions::Mentions;
use super::store::unstore;
use super::texts::Texts;
use super::tools::Asked;
use super::{Demand, Dialect, Fields, Form, content_type};
use crate::aside::aside;

/// A body that is longer is read aside, in bytes.
const MIN_ASIDE_BYTES: usize = 256 * 1024;

/// A request for a model.
pub(crate) struct Call {
    body: Bytes,
    /// The model as the client named it, or the one that is meant when none is named.
    pub(crate) model: String,
    place: Place,
    /// So that the upstream reports usage in its stream.
    ask: Option<Edit>,
    /// So that the upstream stores nothing.
    unstore: Option<Edit>,
    may_be_stored: bool,
    /// Whether the answer has usage that the client did not ask for.
    pub(crate) hides_usage: bool,
    /// What it asks for.
    pub(crate) demand: Demand,
    /// Where its text stands in the body.
    texts: Texts,
    tools: Asked,
    /// True if it names a stored prompt.
    pub(crate) has_prompt: bool,
    /// The files and vector stores that it names.
    pub(crate) mentions: Mentions,
    /// The models that its tools have.
    pub(crate) models: Vec<String>,
    /// The member that names something at a model server that nobody can tell the owner of.
    pub(crate) reference: Option<&'static str>,
    /// The member that makes a model server keep what is said, whatever `store` says.
    pub(crate) is_kept_by: Option<&'static str>,
    /// The type of its body, for upstreams.
    pub(crate) content_type: HeaderValue,
    /// True if its body is JSON, not a form.
    pub(super) is_json: bool,
    /// The number of files in a form.
    pub(super) file_parts: i64,
}

/// What to put where in the body.
pub(super) type Edit = (Range<usize>, &'static str);

/// Where the model's name stands in the body.
enum Place {
    /// There, as JSON.
    Json(Range<usize>),
    /// There stands null.
    Null(Range<usize>),
    /// There, as it is.
    Plain(Range<usize>),
    /// Nowhere: it belongs there, at the beginning of the object; and whether there are members after it.
    Nowhere { at: usize, is_alone: bool },
}

impl Call {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400: it is not written as it must be, or a field that the gateway needs is missing, given twice or of a wrong type.
    pub(crate) fn parse(dialect: &Dialect, headers: &HeaderMap, body: Bytes) -> Result<Self> {
        let (mut fields, content_type) = match dialect.form.of(headers) {
            Form::Json | Form::Either => {
                let fields = Fields::of_request(headers, &body, dialect.fields)?;
                (fields, content_type::JSON)
            }
            Form::Multipart => {
                let fields = Fields::of_parts(headers, &body, dialect.fields)?;
                (fields, content_type::form_type(headers)?)
            }
        };
        let (model, place) = model(dialect, &fields, &body)?;
        let ask = if dialect.asks_for_usage && fields.boolean("stream")? {
            ask(&fields)?
        } else {
            None
        };
        let view = take(&mut fields.view);
        let conversation = fields.get("conversation").filter(|it| *it != b"null");
        Ok(Self {
            model,
            place,
            hides_usage: ask.is_some(),
            ask,
            unstore: unstore(dialect, &fields),
            may_be_stored: true,
            demand: Demand {
                is_streamed: asks_for_stream(&fields),
                ..(dialect.demand)(&fields)?
            },
            texts: Texts::new(body.clone(), view.texts, view.files),
            has_prompt: view.tools.has_prompt,
            tools: view.tools,
            mentions: view.mentions,
            models: view.models,
            reference: view.reference,
            is_kept_by: conversation.map(|_| "conversation"),
            content_type,
            is_json: fields.is_json(),
            file_parts: view.file_parts,
            body,
        })
    }

    /// Reads a request as [`Self::parse`] does; a long body is read aside, so that no other request waits for it.
    pub(crate) async fn read(
        dialect: &'static Dialect,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Self> {
        if body.len() < MIN_ASIDE_BYTES {
            return Self::parse(dialect, headers, body);
        }
        let headers = headers.clone();
        aside(move || Self::parse(dialect, &headers, body)).await?
    }

    /// Its input for the model `known`, of which at most so many tokens may pass.
    pub(crate) fn input(&self, known: &str, most: Option<i64>) -> Input {
        Input::new(self.texts.clone(), known, most)
    }

    /// Bytes of text, each of which may be a token, and tokens of files.
    pub(super) fn text_bytes(&self) -> i64 {
        self.texts.length()
    }

    /// How many tokens its input has for its model.
    pub(crate) fn tokens(&self) -> i64 {
        self.texts.tokens(&self.model)
    }

    /// True if a model server would store what it says, and its answer.
    pub(crate) fn is_stored(&self) -> bool {
        self.unstore.is_some() || self.is_kept_by.is_some()
    }

    /// The first hosted tool that is asked for and is not among those allowed.
    ///
    /// # Errors
    /// 400: which are asked for cannot be told.
    pub(crate) fn tool_not_in(&self, allowed: HostedTools) -> Result<Option<HostedTool>> {
        if allowed == HostedTools::default() {
            return Ok(None);
        }
        self.tools.not_in(allowed, &self.model)
    }

    /// The body as the client sent it.
    pub(crate) fn sent(&self) -> &Bytes {
        &self.body
    }

    /// From here on the body tells the upstream to store nothing.
    pub(crate) fn forbid_storing(&mut self) {
        self.may_be_stored = false;
    }

    /// True if an upstream can be asked for usage where the client has not asked.
    pub(crate) fn can_ask_for_usage(&self) -> bool {
        self.ask.is_some()
    }

    /// The body for an upstream that calls the model `known`, and is asked for usage or not.
    pub(crate) fn body(&self, known: &str, asks_for_usage: bool) -> Bytes {
        let naming = self.naming(known);
        let mut edits: Vec<(&Range<usize>, &str)> = Vec::new();
        edits.extend(naming.iter().map(|(place, name)| (place, name.as_str())));
        let unstore = self.unstore.iter().filter(|_| !self.may_be_stored);
        let ask = self.ask.iter().filter(|_| asks_for_usage);
        let others = ask.chain(unstore);
        edits.extend(others.map(|(place, text)| (place, *text)));
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(place, _)| place.start);
        let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
        let mut body = BytesMut::with_capacity(self.body.len() + added);
        let mut from = 0;
        for (place, text) in edits {
            body.extend_from_slice(&self.body[from..place.start]);
            body.extend_from_slice(text.as_bytes());
            from = place.end;
        }
        body.extend_from_slice(&self.body[from..]);
        body.freeze()
    }

    /// What to put where, so that the body names the model `known`.
    fn naming(&self, known: &str) -> Option<(Range<usize>, String)> {
        let quoted = || serde_json::Value::from(known).to_string();
        match &self.place {
            Place::Nowhere { at, is_alone } => {
                let comma = if *is_alone { "" } else { "," };
                Some((*at..*at, format!("\"model\":{}{comma}", quoted())))
            }
            Place::Null(place) => Some((place.clone(), quoted())),
            _ if known == self.model => None,
            Place::Json(place) => Some((place.clone(), quoted())),
            Place::Plain(place) => Some((place.clone(), known.to_owned())),
        }
    }
}

fn model(dialect: &Dialect, fields: &Fields<'_>, body: &[u8]) -> Result<(String, Place)> {
    let missing = || Error::invalid("model", "model is missing: say which model is to answer.");
    let field = fields.get("model");
    if let (Some(name), Some(field)) = (fields.text("model")?, field) {
        let place = fields.place(field);
        let place = if fields.is_json() {
            Place::Json(place)
        } else {
            Place::Plain(place)
        };
        return Ok((name, place));
    }
    let name = dialect.default_model.ok_or_else(missing)?.to_owned();
    if let Some(null) = field {
        return Ok((name, Place::Null(fields.place(null))));
    }
    let at = memchr::memchr(b'{', body).ok_or_else(missing)? + 1;
    let is_alone = body[at..].trim_ascii_start().starts_with(b"}");
    Ok((name, Place::Nowhere { at, is_alone }))
}

/// What to put where, so that the answer reports its usage; nothing when the client asks for that.
fn ask(fields: &Fields<'_>) -> Result<Option<Edit>> {
    let Some(field) = fields.get("stream_options") else {
        let stream = fields.get("stream").unwrap_or_default();
        let end = fields.place(stream).end;
        return Ok(Some((
            end..end,
            r#","stream_options":{"include_usage":true}"#,
        )));
    };
    if field == b"null" {
        return Ok(Some((fields.place(field), r#"{"include_usage":true}"#)));
    }
    let wrong = || Error::invalid("stream_options", "stream_options must be an object.");
    let inside = field.strip_prefix(b"{").ok_or_else(wrong)?;
    let param = "stream_options.include_usage";
    let options = Fields::of_json(field, &["include_usage"]).map_err(|error| error.about(param))?;
    let include_usage = options.get("include_usage");
    if boolean(param, include_usage)? {
        return Ok(None);
    }
    if let Some(include_usage) = include_usage {
        return Ok(Some((fields.place(include_usage), "true")));
    }
    let start = fields.place(field).start + 1;
    let is_empty = inside.trim_ascii_start() == b"}";
    let member = if is_empty {
        r#""include_usage":true"#
    } else {
        r#""include_usage":true,"#
    };
    Ok(Some((start..start, member)))
}

#[cfg(test)]
mod tests;
