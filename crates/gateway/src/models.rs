//! `/v1/models`: the models that clients may ask for, as the operator configured them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use access::ModelPolicy;
use base::{Error, Result};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use proxy::Upstreams;
use serde::Serialize;

use crate::Body;
use crate::identify::Caller;

/// When models were created, as far as clients are told: 2026-01-01. The configuration does not say, and a number
/// that changed with each start would look like news.
const CREATED: i64 = 1_767_225_600;

/// The contract's `Model`.
#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

impl<'a> Model<'a> {
    fn new(id: &'a str) -> Self {
        Self {
            id,
            object: "model",
            created: CREATED,
            owned_by: "orgplane",
        }
    }
}

/// The models that clients may ask for.
pub(crate) struct ModelList {
    names: BTreeSet<String>,
    /// The list of all of them, ready to be sent.
    all: Bytes,
}

impl ModelList {
    pub(crate) fn new(upstreams: &Upstreams) -> Self {
        let names: BTreeSet<String> = upstreams.model_names().map(str::to_owned).collect();
        let all = list(&names, |_| true);
        Self { names, all }
    }

    /// Those that the policy allows.
    pub(crate) fn list(&self, policy: Option<&ModelPolicy>) -> Response<Body> {
        answer(match policy {
            None => self.all.clone(),
            Some(policy) => list(&self.names, |name| policy.allows(name)),
        })
    }
}

fn list(names: &BTreeSet<String>, allowed: impl Fn(&str) -> bool) -> Bytes {
    let names = names.iter().map(String::as_str);
    json(&List {
        object: "list",
        data: names.filter(|name| allowed(name)).map(Model::new).collect(),
    })
}

/// The model whose name stands in the path, percent-encoded or not.
///
/// # Errors
/// 404: this deployment does not serve it. 403: it is not for the caller's project.
pub(crate) fn retrieve(
    upstreams: &Upstreams,
    segment: &str,
    caller: &Caller,
) -> Result<Response<Body>> {
    let name = decode(segment).ok_or_else(|| Error::model_not_found(segment))?;
    if !upstreams.serves(&name) {
        return Err(Error::model_not_found(&name));
    }
    caller.may_use_model(&name)?;
    Ok(answer(json(&Model::new(&name))))
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn answer(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Undoes percent-encoding; `None` when it is not right or does not give UTF-8.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_decoded() {
        for (text, name) in [
            ("gpt-5.5", Some("gpt-5.5")),
            ("meta%2FLlama%203", Some("meta/Llama 3")),
            ("%c3%bc", Some("ü")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), name, "{text}");
        }
    }
}
