//! The members of a request in Anthropic's format that bound its consumption.

use std::borrow::Cow;

use base::Result;

use super::fields::json_number;
use super::max_usage::MaxUsage;
use super::requested_tools::is_client_tool_of_messages;
use super::strict_json::JsonReader;

/// The most tokens that a server adds around the messages, and for each tool that it defines itself.
const MAX_FRAME_TOKENS: i64 = 1_000;
/// The most samplings of a request for which the tools are searched.
const MAX_TOOL_SEARCHES: i64 = 10;

/// The top-level members that no model reads as text.
const SETTINGS: [&str; 12] = [
    "cache_control",
    "inference_geo",
    "max_tokens",
    "metadata",
    "model",
    "service_tier",
    "speed",
    "stream",
    "temperature",
    "thinking",
    "top_k",
    "top_p",
];

/// The types of blocks whose length a model server knows alone: it decrypts them, or reads pages of a document.
const UNSEEN_BLOCKS: [&str; 7] = [
    "compaction",
    "container_upload",
    "encrypted_code_execution_result",
    "redacted_thinking",
    "advisor_redacted_result",
    "web_fetch_tool_result",
    "web_search_tool_result",
];

/// The bounds that the members of a body set.
#[derive(Default)]
pub(super) struct MessageBounds {
    /// The bytes that a model may read.
    bytes: i64,
    /// The bytes among them that are images.
    media_bytes: i64,
    images: i64,
    max_tokens: Option<i64>,
    /// The tools that a model server defines.
    server_tools: i64,
    web_searches: i64,
    /// The calls of hosted tools, after each of which the model reads everything again.
    calls: i64,
    /// True if a tool that a model server runs has no maximum number of uses.
    has_unbounded_tools: bool,
    /// True if the conversation is compacted before the model answers.
    compacts: bool,
    /// The first member whose length is unknown.
    unseen: Option<&'static str>,
}

/// An object of a body, as far as it matters.
#[derive(Default)]
struct BlockState<'a> {
    block_type: Cow<'a, str>,
    source: Source,
}

/// The content of an image or a document.
#[derive(Default)]
struct Source {
    /// The bytes of base64, or of text.
    length: i64,
    /// True if the source is text or blocks, which count for themselves.
    is_text: bool,
}

impl MessageBounds {
    /// Reads the bounds of a body.
    ///
    /// # Errors
    /// 400: a member that bounds the consumption is no number.
    pub(super) fn of(body: &[u8]) -> Result<Self> {
        let mut bounds = Self::default();
        let mut json = JsonReader::of_object(body)?;
        json.open()?;
        while json.next(b'}')? {
            let (name, value) = (json.name()?.decoded(), json.value()?);
            if value != b"null" {
                bounds.add(&name, value)?;
            }
        }
        Ok(bounds)
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let mut json = JsonReader::of_value(value);
        match name {
            "max_tokens" if value == b"0" => self.max_tokens = Some(0),
            "max_tokens" => self.max_tokens = json_number("max_tokens", value)?,
            "messages" | "system" => self.value(&mut json)?,
            "tools" if value.starts_with(b"[") => {
                json.open()?;
                while json.next(b']')? {
                    self.tool(&mut json)?;
                }
            }
            "mcp_servers" => self.has_unbounded_tools |= value != b"[]",
            "compaction" => self.compacts = true,
            "context_management" => {
                self.compacts |= memchr::memmem::find(value, b"compact").is_some()
                    || memchr::memchr(b'\\', value).is_some();
            }
            _ => {}
        }
        if !SETTINGS.contains(&name) {
            self.bytes = self.bytes.saturating_add(length(value));
        }
        Ok(())
    }

    /// Reads a value of messages.
    fn value(&mut self, json: &mut JsonReader<'_>) -> Result<()> {
        match json.peek() {
            Some(b'{') => self.block(json),
            Some(b'[') => {
                json.open()?;
                while json.next(b']')? {
                    self.value(json)?;
                }
                Ok(())
            }
            _ => json.skip(),
        }
    }

    /// Reads a message, a block of one, or any other object in it.
    fn block(&mut self, json: &mut JsonReader<'_>) -> Result<()> {
        let mut block = BlockState::default();
        json.open()?;
        while json.next(b'}')? {
            let name = json.name()?.decoded();
            match (&*name, json.peek()) {
                ("type", Some(b'"')) => block.block_type = json.string()?.decoded(),
                ("source", Some(b'{')) => block.source = self.source(json)?,
                ("definition", Some(b'{')) => self.tool(json)?,
                ("input", _) => json.skip()?,
                _ => self.value(json)?,
            }
        }
        match &*block.block_type {
            "image" => {
                self.images = self.images.saturating_add(1);
                self.media_bytes = self.media_bytes.saturating_add(block.source.length);
            }
            "document" if !block.source.is_text => self.unseen = Some("messages"),
            kind if UNSEEN_BLOCKS.contains(&kind) => self.unseen = Some("messages"),
            _ => {}
        }
        Ok(())
    }

    /// Reads the source of an image or a document.
    fn source(&mut self, json: &mut JsonReader<'_>) -> Result<Source> {
        let mut source = Source::default();
        let mut source_type = Cow::Borrowed("");
        json.open()?;
        while json.next(b'}')? {
            let name = json.name()?.decoded();
            match (&*name, json.peek()) {
                ("type", Some(b'"')) => source_type = json.string()?.decoded(),
                ("data", Some(b'"')) => source.length = length(json.string()?.raw()),
                _ => self.value(json)?,
            }
        }
        source.is_text = matches!(&*source_type, "text" | "content");
        if source_type != "base64" {
            source.length = 0;
        }
        Ok(source)
    }

    /// Reads a tool.
    fn tool(&mut self, json: &mut JsonReader<'_>) -> Result<()> {
        if json.peek() != Some(b'{') {
            return json.skip();
        }
        let (mut tool_type, mut max_uses) = (Cow::Borrowed(""), None);
        json.open()?;
        while json.next(b'}')? {
            let name = json.name()?.decoded();
            match (&*name, json.peek()) {
                ("type", Some(b'"')) => tool_type = json.string()?.decoded(),
                ("max_uses", _) => max_uses = json_number("max_uses", json.value()?)?,
                _ => json.skip()?,
            }
        }
        if matches!(&*tool_type, "" | "custom" | "function") {
            return Ok(());
        }
        self.server_tools = self.server_tools.saturating_add(1);
        if tool_type.starts_with("tool_search_tool") {
            self.calls = self.calls.saturating_add(MAX_TOOL_SEARCHES);
            return Ok(());
        }
        if is_client_tool_of_messages(&tool_type) {
            return Ok(());
        }
        let Some(max_uses) = max_uses else {
            self.has_unbounded_tools = true;
            return Ok(());
        };
        self.calls = self.calls.saturating_add(max_uses);
        if tool_type.to_ascii_lowercase().starts_with("web_search") {
            self.web_searches = self.web_searches.saturating_add(max_uses);
        }
        Ok(())
    }

    /// Returns the most that the request may consume.
    pub(super) fn max_usage(&self) -> MaxUsage {
        let turns = self.calls.saturating_add(1 + i64::from(self.compacts));
        let frame = MAX_FRAME_TOKENS.saturating_mul(self.server_tools.saturating_add(1));
        let text = self.bytes.saturating_sub(self.media_bytes).max(1);
        let mut most = MaxUsage {
            web_searches: self.web_searches,
            has_unbounded_tools: self.has_unbounded_tools,
            ..MaxUsage::default()
        };
        if self.unseen.is_some() || turns > 1 || self.has_unbounded_tools {
            most.unseen_windows = turns;
            most.unseen = Some(Cow::Borrowed(self.unseen.unwrap_or("tools")));
        } else {
            most.input = text.saturating_add(frame);
            most.input_images = self.images;
            most.context_windows = 1;
        }
        match self.max_tokens {
            Some(max_tokens) => most.output = max_tokens.saturating_mul(turns),
            None => most.unbounded_answers = turns,
        }
        if self.compacts {
            // A summary has no maximum of its own.
            most.unbounded_answers = most.unbounded_answers.max(1);
        }
        most
    }
}

fn length(json: &[u8]) -> i64 {
    i64::try_from(json.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
