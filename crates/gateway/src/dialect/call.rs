//! A request for a model: the model, what the request asks for, and its body, which is edited for an upstream without
//! touching the bytes around the edits.

use std::mem::take;
use std::ops::Range;

use access::{DefaultTier, HostedTool, HostedTools};
use base::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use proxy::{Affinity, ApiFormat, Target};

use super::affinity::AffinityFields;
use super::edits::{Edit, ModelName, disable_store, stream_usage_edit};
use super::estimate::{InputTokens, asks_for_stream};
use super::input_text::InputText;
use super::multipart::read_form;
use super::object_refs::ObjectRefs;
use super::prompt_cache::{PromptCacheField, RequestedPromptCache};
use super::requested_tools::RequestedTools;
use super::service_tier::TierField;
use super::{Dialect, Estimate, Fields, RequestFormat, RequestedTier, content_type};
use crate::document::StoredAnswer;
use crate::offload::offload;

/// The shortest body that is parsed on another thread.
pub(super) const MIN_OFFLOAD_BYTES: usize = 256 * 1024;

/// A request for a model.
pub(crate) struct Call {
    body: Bytes,
    /// The model as the client named it, or the default of the endpoint.
    pub(crate) model: String,
    model_name: ModelName,
    /// The edit that makes an upstream report usage in its stream.
    stream_usage: Option<Edit>,
    /// The edit that keeps an upstream from storing the request.
    disable_store: Option<Edit>,
    may_be_stored: bool,
    tier_field: Option<TierField>,
    /// The edit that asks for the default service tier of the project.
    default_tier: Option<Edit>,
    prompt_cache: Option<PromptCacheField>,
    /// The targets that are asked for a prompt cache in memory.
    in_memory_at: Vec<Target>,
    /// True if the response is to be made in the background.
    pub(crate) is_background: bool,
    /// True if the answer has usage that the client did not ask for.
    pub(crate) hides_usage: bool,
    pub(crate) estimate: Estimate,
    text: InputText,
    tools: RequestedTools,
    /// True if the request names a stored prompt.
    pub(crate) has_prompt: bool,
    /// The objects that the request names.
    pub(crate) object_refs: ObjectRefs,
    /// The models that the tools of the request name.
    pub(crate) models: Vec<String>,
    /// The first member that names an object at a model server whose owner cannot be known.
    pub(crate) unowned_ref: Option<&'static str>,
    /// True if a request may name no object of unknown owner, whether or not an upstream stores what clients create.
    pub(crate) must_own_all: bool,
    /// The member that makes a model server store the request, whatever `store` says.
    pub(crate) stored_by: Option<&'static str>,
    affinity: AffinityFields,
    /// The Content-Type of the body, for upstreams.
    pub(crate) content_type: HeaderValue,
    /// True if the body is JSON, false if it is a form.
    pub(super) is_json: bool,
    /// The number of files in a form.
    pub(super) file_parts: i64,
}

impl Call {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// 400: the body is malformed, or a field that the gateway needs is missing, given twice or of a wrong type.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the request keeps the body, which its fields borrow until then"
    )]
    pub(crate) fn parse(dialect: &Dialect, headers: &HeaderMap, body: Bytes) -> Result<Self> {
        let (fields, content_type) = match dialect.format.of(headers) {
            RequestFormat::Json | RequestFormat::Either => {
                let fields = Fields::of_call(headers, &body, dialect)?;
                (fields, content_type::JSON)
            }
            RequestFormat::Multipart => {
                let fields = read_form(headers, &body, dialect.fields)?;
                (fields, content_type::form_type(headers)?)
            }
        };
        Self::of_fields(dialect, fields, content_type, &body)
    }

    /// Returns the request that has these fields, which are those of `body`.
    pub(super) fn of_fields(
        dialect: &Dialect,
        mut fields: Fields<'_>,
        content_type: HeaderValue,
        body: &Bytes,
    ) -> Result<Self> {
        let is_message = dialect.api == ApiFormat::Anthropic;
        let (model, model_name) = ModelName::find(dialect, &fields, body)?;
        let stream_usage = if dialect.has_optional_stream_usage && fields.boolean("stream")? {
            stream_usage_edit(&fields)?
        } else {
            None
        };
        let view = take(&mut fields.view);
        view.tools.check_metered()?;
        let named = view.object_refs.all();
        let named = named.iter().find(|named| !named.ids.is_empty());
        let message_ref = named.filter(|_| is_message).map(|named| named.param);
        let estimate = Estimate {
            is_streamed: asks_for_stream(&fields),
            tool_variants: view.tools.variants(),
            ..(dialect.estimate)(&fields)?
        };
        let disable_store = disable_store(dialect, &fields);
        let is_background = fields.boolean("background")?;
        if is_background && disable_store.is_none() {
            let message = "store must not be false with background: a response that is made in the background is fetched later.";
            return Err(Error::invalid("store", message));
        }
        let conversation = fields.get("conversation").filter(|it| *it != b"null");
        Ok(Self {
            model,
            model_name,
            hides_usage: stream_usage.is_some(),
            stream_usage,
            is_background,
            disable_store,
            may_be_stored: true,
            tier_field: if is_message {
                None
            } else {
                TierField::of(&fields)?
            },
            default_tier: None,
            prompt_cache: PromptCacheField::of(dialect, &fields),
            in_memory_at: Vec::new(),
            estimate,
            text: InputText::new(body.clone(), view.text, view.files),
            has_prompt: view.tools.has_prompt,
            tools: view.tools,
            object_refs: view.object_refs,
            models: view.models,
            unowned_ref: view.unowned_ref.or(message_ref),
            must_own_all: is_message,
            stored_by: conversation.map(|_| "conversation"),
            affinity: AffinityFields::of(dialect, &fields)?,
            content_type,
            is_json: fields.is_json,
            file_parts: view.file_parts,
            body: body.clone(),
        })
    }

    /// Reads a request as [`Self::parse`] does. The request is large and passes through many stages, so it is boxed. A long body is parsed on another thread, so that it delays no other request.
    pub(crate) async fn read(
        dialect: &'static Dialect,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Box<Self>> {
        if body.len() < MIN_OFFLOAD_BYTES {
            return Self::parse(dialect, headers, body).map(Box::new);
        }
        let headers = headers.clone();
        offload(move || Self::parse(dialect, &headers, body).map(Box::new)).await?
    }

    /// Accepts the earlier responses that the request names, if `is_own` says that they are the caller's: their owner is known.
    pub(crate) fn accept_responses(&mut self, is_own: impl Fn(&str) -> bool) {
        self.object_refs.responses.retain(|id| !is_own(id));
    }

    /// Returns the input of the model `known`, for a limit of this many tokens a minute.
    pub(crate) fn input(&self, known: &str, limit: Option<i64>) -> InputTokens {
        InputTokens::new(self.text.clone(), known, limit)
    }

    /// Returns an upper bound of the tokens of the input: each byte of text may be one.
    pub(super) fn max_input_tokens(&self) -> i64 {
        self.text.max_tokens()
    }

    /// Tokenizes the input.
    pub(crate) fn tokens(&self) -> i64 {
        self.text.tokens(&self.model)
    }

    /// Returns what the request has in common with others of its project that one upstream should get; `None` if nothing.
    pub(crate) fn affinity(&self, project: &str) -> Option<Affinity> {
        self.affinity.affinity(&self.body, project)
    }

    /// True if a model server would store the request and its answer.
    pub(crate) fn is_stored(&self) -> bool {
        self.disable_store.is_some() || self.stored_by.is_some()
    }

    /// True if the model server that gets the request will store the answer: the request is not edited to prevent that.
    pub(crate) fn stores_answer(&self) -> bool {
        self.stored_by.is_some() || self.may_be_stored && self.disable_store.is_some()
    }

    /// Returns the kind of the answer, if that leaves something at a model server that stores objects. Containers are kept even
    /// if the answer is not.
    pub(crate) fn stored_answer(&self, dialect: &Dialect) -> Option<StoredAnswer> {
        let answer = dialect.stored_answer?;
        if self.stores_answer() {
            return Some(answer);
        }
        let may_run_programs = self.has_prompt || self.tools.contains(HostedTool::CodeInterpreter);
        (answer == StoredAnswer::Response && may_run_programs)
            .then_some(StoredAnswer::UnstoredResponse)
    }

    /// Returns the first hosted tool of the request that is not allowed.
    ///
    /// # Errors
    /// 400: the tools of the request are ambiguous.
    pub(crate) fn disallowed_tool(&self, allowed: HostedTools) -> Result<Option<HostedTool>> {
        if allowed == HostedTools::default() {
            return Ok(None);
        }
        self.tools.first_not_in(allowed, &self.model)
    }

    /// Returns the body as the client sent it.
    pub(crate) fn sent(&self) -> &Bytes {
        &self.body
    }

    /// Makes every body for an upstream ask it to store nothing.
    pub(crate) fn disable_store(&mut self) {
        self.may_be_stored = false;
    }

    /// Returns the service tier that the request asks for; `None` if the endpoint has no tiers.
    pub(crate) fn requested_tier(&self) -> Option<&RequestedTier> {
        self.tier_field.as_ref().map(|field| &field.requested)
    }

    /// Makes every body for an upstream ask for the project's default service tier if the request names none.
    pub(crate) fn set_default_tier(&mut self, default: DefaultTier) {
        let field = self.tier_field.as_ref();
        self.default_tier = field.and_then(|field| field.default_edit(default));
    }

    /// Returns the prompt cache that the request asks for; `None` if the endpoint has none.
    pub(crate) fn requested_prompt_cache(&self) -> Option<RequestedPromptCache> {
        self.prompt_cache.as_ref().map(|field| field.requested)
    }

    /// Makes the bodies for these targets ask for a prompt cache in memory.
    pub(crate) fn set_in_memory_at(&mut self, targets: Vec<Target>) {
        self.in_memory_at = targets;
    }

    /// True if an upstream can be asked for usage that the client has not asked for.
    pub(crate) fn can_ask_for_usage(&self) -> bool {
        self.stream_usage.is_some()
    }

    /// Returns the body for a target of the request. `asks_for_usage` lets the stream report its usage.
    pub(crate) fn body_at(&self, target: &Target, asks_for_usage: bool) -> Bytes {
        let is_in_memory = self.in_memory_at.iter().any(|other| other.is_same(target));
        self.body(&target.model, asks_for_usage, is_in_memory)
    }

    /// Returns the body for an upstream that calls the model `known`. `asks_for_usage` lets the stream report its usage,
    /// `is_in_memory` asks for a prompt cache in memory.
    pub(crate) fn body(&self, known: &str, asks_for_usage: bool, is_in_memory: bool) -> Bytes {
        let rename = self.model_name.edit(&self.model, known);
        let mut edits: Vec<(&Range<usize>, &str)> = Vec::new();
        edits.extend(rename.iter().map(|(range, text)| (range, text.as_str())));
        let store = self.disable_store.iter().filter(|_| !self.may_be_stored);
        let usage = self.stream_usage.iter().filter(|_| asks_for_usage);
        let prompt_cache = self.prompt_cache.iter().filter(|_| is_in_memory);
        let prompt_cache = prompt_cache.filter_map(|field| field.in_memory.as_ref());
        let ours = usage.chain(store).chain(&self.default_tier);
        let ours = ours.chain(prompt_cache);
        edits.extend(ours.map(|edit| (&edit.range, edit.text)));
        if edits.is_empty() {
            return self.body.clone();
        }
        edits.sort_by_key(|(range, _)| range.start);
        let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
        let mut body = BytesMut::with_capacity(self.body.len() + added);
        let mut from = 0;
        for (range, text) in edits {
            body.extend_from_slice(&self.body[from..range.start]);
            body.extend_from_slice(text.as_bytes());
            from = range.end;
        }
        body.extend_from_slice(&self.body[from..]);
        body.freeze()
    }
}

#[cfg(test)]
mod tests;
