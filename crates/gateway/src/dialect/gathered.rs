//! The part of a request's members that bounds its consumption.

use std::borrow::Cow;

use base::Result;
use usage::Kind;

use super::images::EDIT;
use super::most::{IMAGE_TOKENS, MaxUsage};
use super::scan::{Members, Shown, Tools};
use super::{Dialect, numbers};

/// The tokens that a model reads around a text that stands alone.
const FRAME_TOKENS: i64 = 16;

/// Members of a body that no model reads as text, each of them a number, a word or a switch.
const NOT_READ: [&str; 41] = [
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

/// The amounts that are gathered from the members of a body.
pub(super) struct Gathered {
    shown: Shown,
    /// Bytes that a model may read.
    bytes: i64,
    answers: i64,
    prompts: i64,
    maximum: Option<i64>,
    predicted: i64,
    pub(super) sketches: i64,
    max_tool_calls: Option<i64>,
    unseen: Option<&'static str>,
}

impl Gathered {
    /// Returns the amounts of a text of so many bytes, and nothing else.
    pub(super) fn of_text(bytes: i64) -> Self {
        Self {
            bytes,
            ..Self::nothing()
        }
    }

    fn nothing() -> Self {
        Self {
            shown: Shown::default(),
            bytes: 0,
            answers: 1,
            prompts: 1,
            maximum: None,
            predicted: 0,
            sketches: 0,
            max_tool_calls: None,
            unseen: None,
        }
    }

    pub(super) fn of(dialect: &Dialect, body: &[u8]) -> Result<Self> {
        let mut gathered = Self::nothing();
        for (name, json) in Members::read(body)?.0 {
            if json != "null" {
                gathered.add(dialect, &name, json)?;
            }
        }
        Ok(gathered)
    }

    fn add(&mut self, dialect: &Dialect, name: &str, json: &str) -> Result<()> {
        if let Some(name) = dialect.answers.iter().find(|known| **known == name) {
            self.answers = self.answers.max(whole(name, json)?);
        }
        if let Some(name) = dialect.maxima.iter().find(|known| **known == name) {
            self.maximum = self.maximum.max(Some(whole(name, json)?));
        }
        match name {
            "partial_images" if json == "0" => {}
            "partial_images" => self.sketches = whole("partial_images", json)?,
            "max_tool_calls" => self.max_tool_calls = Some(whole("max_tool_calls", json)?),
            "previous_response_id" => self.unseen = Some("previous_response_id"),
            "conversation" => self.unseen = Some("conversation"),
            "web_search_options" => self.unseen = Some("web_search_options"),
            "prompt" if json.starts_with('{') => {
                self.unseen = Some("prompt");
                // Whoever wrote it may have put tools into it.
                self.shown.tools = Tools::ALL;
            }
            "prompt" if dialect.kind == Kind::Completions => self.prompts = prompts(json),
            "prediction" => self.predicted = length(json),
            "messages" | "input" => {
                self.shown.add_items(json)?;
                let is_alone = json.starts_with('"') && dialect.kind == Kind::Completions;
                let frame = if is_alone { FRAME_TOKENS } else { 0 };
                self.bytes = self.bytes.saturating_add(frame);
            }
            "images" | "image" | "mask" if dialect.source == Some(EDIT) => {
                self.shown.add_images(json)?;
            }
            "tools" => self.shown.add_tools(json)?,
            _ => {}
        }
        if !NOT_READ.contains(&name) {
            self.bytes = self.bytes.saturating_add(length(json));
        }
        Ok(())
    }

    pub(super) fn max_usage(&self, dialect: &Dialect, searches_web: bool) -> MaxUsage {
        let (shown, tools) = (&self.shown, self.shown.tools);
        let searches_web = searches_web || self.unseen == Some("web_search_options");
        let calls = self.max_tool_calls.unwrap_or(1);
        let named = shown.names_unseen.then_some("input");
        let unseen = self.unseen.or(named);
        let unseen = unseen.or((searches_web || tools.any).then_some("tools"));
        let times = |is_asked: bool| if is_asked { calls } else { 0 };
        let mut most = MaxUsage {
            web_searches: times(tools.web_search).max(i64::from(searches_web)),
            file_searches: times(tools.file_search),
            sessions: times(tools.code_interpreter),
            has_endless_tools: tools.any && self.max_tool_calls.is_none(),
            unseen: unseen.map(Cow::Borrowed),
            ..MaxUsage::default()
        };
        if unseen.is_some() {
            // With hosted tools, all is read again after each call.
            let turns = if tools.any {
                calls.saturating_add(1)
            } else {
                1
            };
            most.unseen_windows = turns;
        } else {
            let text = self.bytes.saturating_sub(shown.media_bytes).max(1);
            most.input = text.saturating_add(shown.sound_tokens);
            most.images_shown = shown.images;
            most.windows = match dialect.kind {
                Kind::Completions => self.prompts,
                _ => 0,
            };
        }
        if !dialect.maxima.is_empty() {
            let answers = self.answers.saturating_mul(self.prompts);
            let sketched = times(tools.images).saturating_mul(IMAGE_TOKENS);
            most.output = (answers.saturating_mul(self.predicted)).saturating_add(sketched);
            match self.maximum {
                Some(maximum) => {
                    let output = answers.saturating_mul(maximum);
                    most.output = most.output.saturating_add(output);
                }
                None => most.unbounded_answers = answers,
            }
        }
        most
    }
}

/// The number of a member.
fn whole(name: &'static str, json: &str) -> Result<i64> {
    Ok(numbers::of_json(name, json.as_bytes())?.unwrap_or(1))
}

fn length(json: &str) -> i64 {
    i64::try_from(json.len()).unwrap_or(i64::MAX)
}

/// Counts the texts that are continued: a list of texts, or of lists of tokens, is one each.
fn prompts(json: &str) -> i64 {
    let list = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(json);
    let several = list.ok().filter(|list| {
        let first = list.first().map(|first| first.get());
        first.is_some_and(|first| first.starts_with(['"', '[']))
    });
    let count = several.map_or(1, |list| list.len());
    i64::try_from(count).unwrap_or(i64::MAX)
}
