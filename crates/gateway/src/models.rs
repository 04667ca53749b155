//! `/v1/models`: the models that clients may ask for, as the operator configured them.

use std::collections::BTreeSet;
use std::sync::Arc;

use access::ModelPolicy;
use base::{Error, Result};
use bytes::Bytes;
use http::Response;
use proxy::{ApiFormat, Upstreams};
use serde::Serialize;

use crate::caller::Caller;
use crate::headers::json_response;
use crate::percent;
use crate::policy::ProjectPolicy;

/// The creation time of every model, in seconds since 1970: 2026-01-01. The configuration has none, and a time that changed
/// with each start would look like an update.
const CREATED_AT_SECONDS: i64 = 1_767_225_600;

/// The contract's `Model`.
#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct ModelPage<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

impl<'a> Model<'a> {
    fn new(id: &'a str) -> Self {
        Self {
            id,
            object: "model",
            created: CREATED_AT_SECONDS,
            owned_by: "orgplane",
        }
    }
}

/// The models that clients may ask for.
pub(crate) struct ModelCatalog {
    upstreams: Arc<Upstreams>,
    names: BTreeSet<String>,
    /// Serialized list of all models.
    all: Bytes,
}

impl ModelCatalog {
    /// Returns the models that the upstreams with OpenAI's format list.
    pub(crate) fn new(upstreams: Arc<Upstreams>) -> Self {
        let names: BTreeSet<String> = upstreams
            .model_names(ApiFormat::OpenAi)
            .map(str::to_owned)
            .collect();
        let all = page(&names, |_| true);
        Self {
            upstreams,
            names,
            all,
        }
    }

    /// Responds with the models that the policy allows.
    pub(crate) fn list(&self, policy: Option<&ModelPolicy>) -> Response<Bytes> {
        json_response(match policy {
            None => self.all.clone(),
            Some(policy) => page(&self.names, |name| policy.allows(name)),
        })
    }

    /// Responds with the model that a path segment names, percent-encoded or not.
    ///
    /// # Errors
    /// 404: no upstream serves the model. 403: the caller's project may not use the model.
    pub(crate) fn retrieve(&self, segment: &str, caller: &Caller) -> Result<Response<Bytes>> {
        let name = percent::decode(segment).ok_or_else(|| Error::model_not_found(segment))?;
        if !self.upstreams.serves(ApiFormat::OpenAi, &name) {
            return Err(Error::model_not_found(&name));
        }
        ProjectPolicy::of(caller).check_model(&name)?;
        Ok(json_response(json(&Model::new(&name))))
    }
}

fn page(names: &BTreeSet<String>, is_allowed: impl Fn(&str) -> bool) -> Bytes {
    let names = names.iter().map(String::as_str);
    json(&ModelPage {
        object: "list",
        data: names
            .filter(|name| is_allowed(name))
            .map(Model::new)
            .collect(),
    })
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
