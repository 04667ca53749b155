//! The members of a request that bound its consumption.

use std::borrow::Cow;

use base::Result;
use proxy::ApiFormat;
use serde::Deserialize;
use usage::UsageKind;

use super::fields::json_number;
use super::images::EDIT;
use super::input_content::{ContentPath, InputContent, ToolKinds};
use super::max_usage::MaxUsage;
use super::message_bounds::MessageBounds;
use super::requested_tools::searches_web;
use super::strict_json::JsonReader;
use super::{Call, Dialect};

/// The tokens of the largest image that a model generates.
const MAX_TOKENS_PER_IMAGE: i64 = 6_240;
/// The tokens of a partial image.
const MAX_TOKENS_PER_PARTIAL_IMAGE: i64 = 100;
/// The most images, masks included, that the hosted service makes one from; other servers may take more.
const MAX_EDITED_IMAGES: i64 = 17;
/// The most tokens of a second of transcribed speech.
const MAX_TOKENS_PER_SECOND: i64 = 20;

/// The most tokens that a server generates for the answer to a question.
const MAX_TOKENS_PER_DECISION: i64 = 64;

/// The most tokens that a server adds around an input that is a single text, or around a question.
const MAX_FRAME_TOKENS: i64 = 16;

/// The top-level members that no model reads as text: numbers, words and switches.
const SETTINGS: [&str; 41] = [
    "background",
    "best_of",
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "include",
    "input_fidelity",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tool_calls",
    "metadata",
    "modalities",
    "model",
    "n",
    "n_predict",
    "output_compression",
    "output_format",
    "parallel_tool_calls",
    "partial_images",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "quality",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "size",
    "speed",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];

impl Call {
    /// Returns the most that the request may consume.
    ///
    /// # Errors
    /// 400: a field that bounds it is not a number.
    pub(crate) fn max_usage(&self, dialect: &Dialect) -> Result<MaxUsage> {
        if dialect.api == ApiFormat::Anthropic {
            return Ok(MessageBounds::of(self.sent())?.max_usage());
        }
        let bounds = if self.is_json {
            RequestBounds::of(dialect, self.sent())?
        } else {
            RequestBounds::of_text(self.max_input_tokens())
        };
        let units = self.estimate.units;
        let variants = &self.estimate.tool_variants;
        let mut most = MaxUsage {
            context_level: variants.context_level().map(str::to_owned),
            container_memory: variants.container_memory().map(str::to_owned),
            ..bounds.max_usage(dialect, searches_web(&self.model))
        };
        match dialect.kind {
            UsageKind::Images => {
                let is_generation = dialect.source == Some("image.generation");
                let edited = if is_generation {
                    1
                } else {
                    let images = std::mem::take(&mut most.input_images);
                    MAX_EDITED_IMAGES.max(images).max(self.file_parts)
                };
                let input = edited.saturating_mul(MAX_TOKENS_PER_IMAGE);
                most.input = most.input.saturating_add(input);
                let partial = bounds
                    .partial_images
                    .saturating_mul(MAX_TOKENS_PER_PARTIAL_IMAGE);
                let image = MAX_TOKENS_PER_IMAGE.saturating_add(partial);
                most.output = units.saturating_mul(image);
                most.images = units;
            }
            UsageKind::AudioSpeeches => {
                most.output = self.estimate.speech.max_tokens;
                most.characters = units;
            }
            UsageKind::AudioTranscriptions => {
                let seconds = self.estimate.max_seconds.max(units);
                most.output = seconds.saturating_mul(MAX_TOKENS_PER_SECOND);
                most.input = most.input.saturating_add(most.output);
                most.seconds = seconds;
            }
            UsageKind::Decisions => {
                let frames = units.saturating_mul(MAX_FRAME_TOKENS);
                most.input = most.input.saturating_add(frames);
                most.output = units.saturating_mul(MAX_TOKENS_PER_DECISION);
            }
            _ => {}
        }
        Ok(most)
    }
}

/// The bounds that the members of a body set.
#[derive(Default)]
pub(super) struct RequestBounds {
    content: InputContent,
    /// The bytes that a model may read.
    bytes: i64,
    /// The choices for each prompt.
    choices: i64,
    prompts: i64,
    /// The most tokens of a choice.
    max_tokens: Option<i64>,
    /// The bytes of the predicted output, which is charged where the model rejects it.
    predicted: i64,
    pub(super) partial_images: i64,
    max_tool_calls: Option<i64>,
    /// True if agents may start others.
    has_agents: bool,
    /// The first member that names content whose length is unknown.
    unseen: Option<&'static str>,
    /// The service tier that the request asks for, if it is a text.
    service_tier: Option<String>,
}

impl RequestBounds {
    /// Returns the bounds of a text of this many bytes.
    pub(super) fn of_text(bytes: i64) -> Self {
        Self {
            bytes,
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            choices: 1,
            prompts: 1,
            ..Self::default()
        }
    }

    /// Reads the bounds of a JSON body. Every member is looked at, since a model may read any of them.
    pub(super) fn of(dialect: &Dialect, body: &[u8]) -> Result<Self> {
        let mut bounds = Self::empty();
        let mut json = JsonReader::of_object(body)?;
        json.open()?;
        while json.next(b'}')? {
            let (name, value) = (json.name()?.decoded(), json.value()?);
            if value != b"null" {
                bounds.add(dialect, &name, value)?;
            }
        }
        Ok(bounds)
    }

    fn add(&mut self, dialect: &Dialect, name: &str, json: &[u8]) -> Result<()> {
        let mut choice_counts = dialect.choice_count_fields.iter();
        if let Some(name) = choice_counts.find(|known| **known == name) {
            self.choices = self.choices.max(number(name, json)?);
        }
        let mut max_tokens = dialect.max_token_fields.iter();
        if let Some(name) = max_tokens.find(|known| **known == name) {
            self.max_tokens = self.max_tokens.max(Some(number(name, json)?));
        }
        match name {
            "partial_images" if json == b"0" => {}
            "partial_images" => self.partial_images = number("partial_images", json)?,
            "service_tier" => self.service_tier = serde_json::from_slice(json).ok(),
            "multi_agent" => self.has_agents = has_agents(json),
            "max_tool_calls" => self.max_tool_calls = Some(number("max_tool_calls", json)?),
            "previous_response_id" => self.unseen = Some("previous_response_id"),
            "conversation" => self.unseen = Some("conversation"),
            "web_search_options" => self.unseen = Some("web_search_options"),
            "prompt" if json.starts_with(b"{") => {
                self.unseen = Some("prompt");
                // A stored prompt may bring any tool.
                self.content.tools = ToolKinds::ALL;
            }
            "prompt" if dialect.kind == UsageKind::Completions => self.prompts = prompts(json),
            "prediction" => self.predicted = length(json),
            "messages" | "input" => {
                self.add_content(ContentPath::Items, json)?;
                let is_alone = json.starts_with(b"\"") && dialect.kind == UsageKind::Completions;
                let frame = if is_alone { MAX_FRAME_TOKENS } else { 0 };
                self.bytes = self.bytes.saturating_add(frame);
            }
            "images" | "image" | "mask" if dialect.source == Some(EDIT) => {
                self.add_content(ContentPath::Images, json)?;
            }
            "questions" if dialect.kind == UsageKind::Decisions => {
                self.add_content(ContentPath::Questions, json)?;
            }
            "tools" => self.add_content(ContentPath::Tools, json)?,
            _ => {}
        }
        if !SETTINGS.contains(&name) {
            self.bytes = self.bytes.saturating_add(length(json));
        }
        Ok(())
    }

    fn add_content(&mut self, path: ContentPath, json: &[u8]) -> Result<()> {
        self.content.read(&mut JsonReader::of_value(json), path)
    }

    /// Returns the most that the request may consume. `searches_web`: its model searches the web without being asked.
    pub(super) fn max_usage(&self, dialect: &Dialect, searches_web: bool) -> MaxUsage {
        let (content, tools) = (&self.content, self.content.tools);
        let searches_web = searches_web || self.unseen == Some("web_search_options");
        let calls = self.max_tool_calls.unwrap_or(1);
        let named = content.has_unseen.then_some("input");
        let unseen = self.unseen.or(named);
        let unseen = unseen.or((searches_web || tools.any).then_some("tools"));
        let calls_of = |is_requested: bool| if is_requested { calls } else { 0 };
        let mut most = MaxUsage {
            web_searches: calls_of(tools.web_search).max(i64::from(searches_web)),
            file_searches: calls_of(tools.file_search),
            sessions: calls_of(tools.code_interpreter),
            has_unbounded_tools: tools.any && self.max_tool_calls.is_none(),
            has_agents: self.has_agents,
            service_tier: self.service_tier.clone(),
            unseen: unseen.map(Cow::Borrowed),
            ..MaxUsage::default()
        };
        if unseen.is_some() {
            // The model reads all of it again after each call of a hosted tool.
            let turns = if tools.any {
                calls.saturating_add(1)
            } else {
                1
            };
            most.unseen_windows = turns;
        } else {
            let text = self.bytes.saturating_sub(content.media_bytes).max(1);
            most.input = text.saturating_add(content.audio_tokens);
            most.input_images = content.images;
            most.context_windows = match dialect.kind {
                UsageKind::Completions => self.prompts,
                _ => 0,
            };
        }
        if !dialect.max_token_fields.is_empty() {
            let answers = self.choices.saturating_mul(self.prompts);
            let images = calls_of(tools.images).saturating_mul(MAX_TOKENS_PER_IMAGE);
            most.output = (answers.saturating_mul(self.predicted)).saturating_add(images);
            match self.max_tokens {
                Some(max_tokens) => {
                    let output = answers.saturating_mul(max_tokens);
                    most.output = most.output.saturating_add(output);
                }
                None => most.unbounded_answers = answers,
            }
        }
        most
    }
}

/// Returns the number of a member; 1 for null.
fn number(name: &'static str, json: &[u8]) -> Result<i64> {
    Ok(json_number(name, json)?.unwrap_or(1))
}

fn length(json: &[u8]) -> i64 {
    i64::try_from(json.len()).unwrap_or(i64::MAX)
}

/// True unless the member `multi_agent` says that it is not enabled.
fn has_agents(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct MultiAgent {
        enabled: bool,
    }
    serde_json::from_slice(json).map_or(true, |agents: MultiAgent| agents.enabled)
}

/// Returns the number of prompts: each element of a list counts, unless the list is one prompt in tokens.
fn prompts(json: &[u8]) -> i64 {
    let list = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(json);
    let several = list.ok().filter(|list| {
        let first = list.first().map(|first| first.get());
        first.is_some_and(|first| first.starts_with(['"', '[']))
    });
    let count = several.map_or(1, |list| list.len());
    i64::try_from(count).unwrap_or(i64::MAX)
}
