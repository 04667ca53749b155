//! `/v1/models`: the models that a key may ask for, with what is known of them.

mod codex;

use std::collections::BTreeSet;
use std::sync::Arc;

use access::ModelPolicy;
use base::{Clock, Error, Result, UnixTime};
use bytes::Bytes;
use http::Response;
use proxy::{ApiFormat, Upstreams};
use serde::Serialize;
use usage::{ListPrices, Modality, ModelFact, ModelFacts, PriceBook};

use crate::caller::Caller;
use crate::headers::json_response;
use crate::percent;
use crate::policy::ProjectPolicy;

/// The creation time of every model, in seconds since 1970: 2026-01-01. The configuration has none, and a time that changed
/// with each start would look like an update.
const CREATED_AT_SECONDS: i64 = 1_767_225_600;
/// The parameter by which Codex asks for a list in its own format.
const CLIENT_VERSION: &str = "client_version";

/// The contract's `Model`, and members with what is known of the model.
#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_modalities: Option<&'a [Modality]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_modalities: Option<&'a [Modality]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<ListPrices>,
}

#[derive(Serialize)]
struct ModelPage<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

/// The format of a list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelListFormat {
    /// The contract's list.
    OpenAi,
    /// The catalog of `@openai/codex`.
    Codex,
}

impl ModelListFormat {
    /// Returns the format that a query asks for: that of Codex if it has the parameter `client_version`.
    pub(crate) fn of(query: Option<&str>) -> Self {
        let mut pairs = query.unwrap_or_default().split('&');
        let is_version = |pair: &str| pair.split('=').next() == Some(CLIENT_VERSION);
        if pairs.any(is_version) {
            Self::Codex
        } else {
            Self::OpenAi
        }
    }
}

/// The models that clients may ask for.
pub(crate) struct ModelCatalog {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) prices: PriceBook,
    pub(crate) facts: Arc<ModelFacts>,
    pub(crate) clock: Clock,
}

impl ModelCatalog {
    /// Responds with the models that the upstreams with OpenAI's format list and the policy allows.
    pub(crate) fn list(
        &self,
        policy: Option<&ModelPolicy>,
        format: ModelListFormat,
    ) -> Response<Bytes> {
        let names = self.upstreams.model_names(ApiFormat::OpenAi);
        let allowed = names.filter(|name| policy.is_none_or(|policy| policy.allows(name)));
        let allowed: BTreeSet<&str> = allowed.collect();
        json_response(match format {
            ModelListFormat::Codex => json(&codex::Catalog::new(self, &allowed)),
            ModelListFormat::OpenAi => {
                let now = self.clock.now();
                json(&ModelPage {
                    object: "list",
                    data: allowed
                        .into_iter()
                        .map(|name| self.model(name, now))
                        .collect(),
                })
            }
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
        Ok(json_response(json(&self.model(&name, self.clock.now()))))
    }

    fn model<'a>(&'a self, name: &'a str, now: UnixTime) -> Model<'a> {
        Model {
            id: name,
            object: "model",
            created: CREATED_AT_SECONDS,
            owned_by: "orgplane",
            context_window: self.fact(name, |fact| fact.context_window),
            max_output_tokens: self.fact(name, |fact| fact.max_output_tokens),
            input_modalities: self.fact(name, |fact| known(&fact.input_modalities)),
            output_modalities: self.fact(name, |fact| known(&fact.output_modalities)),
            prices: self.agreed(name, |model| self.prices.list_prices(model, now)),
        }
    }

    /// Returns a fact about a model, if all of its upstreams' models have the same one.
    fn fact<'a, T: PartialEq>(
        &'a self,
        name: &'a str,
        fact: impl Fn(&'a ModelFact) -> Option<T>,
    ) -> Option<T> {
        self.agreed(name, |model| self.facts.of(model).and_then(&fact))
    }

    /// Returns the value that all models behind a name have; `None` if one of them has another one or none.
    fn agreed<'a, T: PartialEq>(
        &'a self,
        name: &'a str,
        value: impl Fn(&'a str) -> Option<T>,
    ) -> Option<T> {
        let mut targets = self
            .upstreams
            .targets_of(ApiFormat::OpenAi, name)
            .peekable();
        if targets.peek().is_none() {
            // Only `*` covers the name, which is the upstreams' name too.
            return value(name);
        }
        let mut values = targets.map(value);
        let first = values.next().flatten()?;
        values
            .all(|other| other.as_ref() == Some(&first))
            .then_some(first)
    }
}

/// Returns a list unless it is empty, which means that it is not known.
fn known<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codex_is_known_by_its_version_in_the_query() {
        for (query, expected) in [
            (None, ModelListFormat::OpenAi),
            (Some(""), ModelListFormat::OpenAi),
            (Some("limit=5&_=client_version"), ModelListFormat::OpenAi),
            (Some("my_client_version=1"), ModelListFormat::OpenAi),
            (Some("client_version=0.171.0"), ModelListFormat::Codex),
            (Some("a=b&client_version"), ModelListFormat::Codex),
        ] {
            assert_eq!(ModelListFormat::of(query), expected, "{query:?}");
        }
    }
}
