//! `/v1/models` in Anthropic's format: the models that clients may ask for at `/v1/messages`.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::{Error, Result};
use bytes::Bytes;
use http::Response;
use proxy::{ApiFormat, Upstreams};
use serde::Serialize;

use crate::caller::Caller;
use crate::headers::json_response;
use crate::percent;
use crate::policy::ProjectPolicy;

/// Release time of every model: the format's value for one that is unknown.
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// Model in Anthropic's format.
#[derive(Serialize)]
struct MessageModel<'a> {
    #[serde(rename = "type")]
    object: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
    /// Stage of the model, of which only one is ever known here.
    lifecycle: &'static str,
}

/// Page that holds all models.
#[derive(Serialize)]
struct MessageModelPage<'a> {
    data: Vec<MessageModel<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

impl<'a> MessageModel<'a> {
    fn new(id: &'a str) -> Self {
        Self {
            object: "model",
            id,
            display_name: id,
            created_at: CREATED_AT,
            lifecycle: "active",
        }
    }
}

/// The models that clients may ask for at `/v1/messages`.
pub(crate) struct MessageModels {
    upstreams: Arc<Upstreams>,
    names: BTreeSet<String>,
}

impl MessageModels {
    /// Returns the models that the upstreams with Anthropic's format list.
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        let names = upstreams.model_names(ApiFormat::Anthropic);
        Self {
            names: names.map(str::to_owned).collect(),
            upstreams,
        }
    }

    /// Responds with the models that the caller's project may use, on one page.
    pub(crate) fn list(&self, caller: &Caller) -> Response<Bytes> {
        let policy = caller.level.models.as_ref();
        let names = self.names.iter().map(String::as_str);
        let names: Vec<&str> = names
            .filter(|name| policy.is_none_or(|policy| policy.allows(name)))
            .collect();
        json(&MessageModelPage {
            has_more: false,
            first_id: names.first().copied(),
            last_id: names.last().copied(),
            data: names.into_iter().map(MessageModel::new).collect(),
        })
    }

    /// Responds with the model that a path segment names, percent-encoded or not.
    ///
    /// # Errors
    /// 404: no upstream with Anthropic's format serves the model. 403: the caller's project may not use the model.
    pub(crate) fn retrieve(&self, segment: &str, caller: &Caller) -> Result<Response<Bytes>> {
        let name = percent::decode(segment).ok_or_else(|| Error::model_not_found(segment))?;
        if !self.upstreams.serves(ApiFormat::Anthropic, &name) {
            return Err(Error::model_not_found(&name));
        }
        ProjectPolicy::of(caller).check_model(&name)?;
        Ok(json(&MessageModel::new(&name)))
    }
}

fn json(value: &impl Serialize) -> Response<Bytes> {
    json_response(serde_json::to_vec(value).unwrap_or_default().into())
}
