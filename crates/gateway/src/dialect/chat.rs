//! `/v1/chat/completions`: the few fields of a request that the gateway looks at, and how they are changed without
//! touching the bytes around them.

use std::ops::Range;

use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use tally::Tally;

mod tally;

/// A request for a chat completion.
pub(crate) struct Call {
    body: Bytes,
    /// The model as the client named it.
    pub(crate) model: String,
    /// Where the model stands in the body.
    model_at: Range<usize>,
    /// What to put where, so that the upstream reports usage in its stream.
    ask: Option<(Range<usize>, &'static str)>,
    /// Whether the answer has usage that the client did not ask for.
    pub(crate) hides_usage: bool,
    /// How many bytes its messages have.
    pub(crate) text: usize,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    messages: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// `null` is a value too: it has a place in the body.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(field: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

impl Call {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400: it is not JSON, or a field that the gateway needs is missing, given twice or of a wrong type.
    pub(crate) fn parse(body: Bytes) -> Result<Self> {
        let text = std::str::from_utf8(&body).map_err(|error| {
            let place = error.valid_up_to();
            invalid_json(&format!("it is not UTF-8 at byte {place}"))
        })?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(invalid_json("it must be an object, and begin with '{'"));
        }
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| misread(&error))?;
        let (model, model_at) = model(text, fields.model)?;
        let stream = boolean("stream", fields.stream)?;
        let ask = match fields.stream {
            Some(field) if stream => ask(text, field, fields.stream_options)?,
            _ => None,
        };
        Ok(Self {
            model,
            model_at,
            hides_usage: ask.is_some(),
            ask,
            text: fields.messages.map_or(0, |messages| messages.get().len()),
            body,
        })
    }

    /// The body for an upstream that calls the model `known`.
    pub(crate) fn body(&self, known: &str) -> Bytes {
        let rename = (known != self.model).then(|| serde_json::Value::from(known).to_string());
        let mut edits: Vec<(&Range<usize>, &str)> = Vec::new();
        edits.extend(rename.iter().map(|name| (&self.model_at, name.as_str())));
        edits.extend(self.ask.iter().map(|(place, text)| (place, *text)));
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
}

fn model(text: &str, field: Option<&RawValue>) -> Result<(String, Range<usize>)> {
    let missing = || Error::invalid("model", "model is missing: say which model is to answer.");
    let field = field
        .filter(|field| field.get() != "null")
        .ok_or_else(missing)?;
    let name: String = serde_json::from_str(field.get())
        .map_err(|_| Error::invalid("model", "model must be a string."))?;
    Ok((name, place(text, field)))
}

fn boolean(name: &'static str, field: Option<&RawValue>) -> Result<bool> {
    match field.map_or("null", RawValue::get) {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(Error::invalid(
            name,
            format!("{name} must be true or false."),
        )),
    }
}

/// What to put where, so that the answer reports its usage; nothing when the client asks for that.
fn ask(
    text: &str,
    stream: &RawValue,
    options: Option<&RawValue>,
) -> Result<Option<(Range<usize>, &'static str)>> {
    let Some(field) = options else {
        let end = place(text, stream).end;
        return Ok(Some((
            end..end,
            r#","stream_options":{"include_usage":true}"#,
        )));
    };
    if field.get() == "null" {
        return Ok(Some((place(text, field), r#"{"include_usage":true}"#)));
    }
    let wrong = || Error::invalid("stream_options", "stream_options must be an object.");
    let inside = field.get().strip_prefix('{').ok_or_else(wrong)?;
    let options: StreamOptions<'_> = serde_json::from_str(field.get()).map_err(|_| {
        let message = "stream_options has include_usage more than once.";
        Error::invalid("stream_options.include_usage", message)
    })?;
    if boolean("stream_options.include_usage", options.include_usage)? {
        return Ok(None);
    }
    if let Some(include_usage) = options.include_usage {
        return Ok(Some((place(text, include_usage), "true")));
    }
    let start = place(text, field).start + 1;
    let is_empty = inside.trim_ascii_start() == "}";
    let member = if is_empty {
        r#""include_usage":true"#
    } else {
        r#""include_usage":true,"#
    };
    Ok(Some((start..start, member)))
}

/// Where `part`, which was borrowed from `whole`, stands in it.
fn place(whole: &str, part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.get().len()
}

fn misread(error: &serde_json::Error) -> Error {
    let message = error.to_string();
    let twice = ["model", "stream", "stream_options", "messages"]
        .into_iter()
        .find(|name| error.is_data() && message.contains(&format!("duplicate field `{name}`")));
    match twice {
        Some(name) => Error::invalid(name, format!("{name} is given more than once.")),
        None => invalid_json(&message),
    }
}

fn invalid_json(reason: &str) -> Error {
    let message = format!("The request body could not be read as JSON: {reason}.");
    Error::refused("invalid_json", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Result<Call> {
        Call::parse(Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_body_that_needs_no_change_is_not_copied() {
        let body = Bytes::from_static(br#" { "model" : "m" , "x":[1, 2] , "stream":false}"#);
        let call = Call::parse(body.clone()).expect("a call");
        assert_eq!(call.body("m").as_ptr(), body.as_ptr());
        assert!(!call.hides_usage);
    }

    #[test]
    fn only_the_model_and_the_stream_options_change() {
        for (before, after, hides) in [
            (r#"{"model":"a"}"#, r#"{"model":"b\"c"}"#, false),
            (
                r#"{"stream" : true, "model":"a", "n": 1}"#,
                r#"{"stream" : true,"stream_options":{"include_usage":true}, "model":"b\"c", "n": 1}"#,
                true,
            ),
            (
                r#"{"model":"\u0061","stream":true,"stream_options":null}"#,
                r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true}}"#,
                true,
            ),
            (
                r#"{"stream_options":{ },"stream":true,"model":"a"}"#,
                r#"{"stream_options":{"include_usage":true },"stream":true,"model":"b\"c"}"#,
                true,
            ),
            (
                r#"{"model":"a","stream":true,"stream_options":{"x":1}}"#,
                r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true,"x":1}}"#,
                true,
            ),
            (
                r#"{"model":"a","stream":true,"stream_options":{"x":1,"include_usage": false}}"#,
                r#"{"model":"b\"c","stream":true,"stream_options":{"x":1,"include_usage": true}}"#,
                true,
            ),
            (
                r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#,
                r#"{"model":"b\"c","stream":true,"stream_options":{"include_usage":true}}"#,
                false,
            ),
        ] {
            let call = call(before).expect(before);
            assert_eq!(call.body("b\"c"), after);
            assert_eq!(call.hides_usage, hides, "{before}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, param, words) in [
            ("", None, "begin with '{'"),
            (r#"["m"]"#, None, "begin with '{'"),
            ("{", None, "line 1 column 1"),
            (r#"{"model":"m"} x"#, None, "trailing characters"),
            ("{}", Some("model"), "missing"),
            (r#"{"model":null}"#, Some("model"), "missing"),
            (r#"{"model":5}"#, Some("model"), "must be a string"),
            (
                r#"{"model":"m","mod\u0065l":"n"}"#,
                Some("model"),
                "more than once",
            ),
            (
                r#"{"model":"m","stream":"yes"}"#,
                Some("stream"),
                "true or false",
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":[true]}"#,
                Some("stream_options"),
                "must be an object",
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":1}}"#,
                Some("stream_options.include_usage"),
                "true or false",
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"include_usage":true}}"#,
                Some("stream_options.include_usage"),
                "more than once",
            ),
        ] {
            let error = call(body).err().expect(body);
            assert_eq!(error.status, 400, "{body}");
            assert_eq!(error.param.as_deref(), param, "{body}");
            assert!(error.message.contains(words), "{body}: {}", error.message);
        }
        let error = Call::parse(Bytes::from_static(b"{\"model\":\"\xff\"}")).err();
        assert!(error.is_some_and(|error| error.message.contains("at byte 10")));
    }
}
