//! The images, audio and hosted tools in the JSON of a request.

use std::fmt;

use base::{Error, Result};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The top-level members of a body, with their values as JSON.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a str)>);

/// The content beside text that a model is shown, and the tools that a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct InputContent {
    /// The bytes of the body that are images or audio, which no model reads as text.
    pub(super) media_bytes: i64,
    /// The number of images, in the body or named there.
    pub(super) images: i64,
    /// The most tokens of the audio.
    pub(super) audio_tokens: i64,
    /// True if content of unknown length is named: a file, or an item that the model server has stored.
    pub(super) has_unseen: bool,
    pub(super) tools: ToolKinds,
}

/// The kinds of hosted tools that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ToolKinds {
    pub(super) web_search: bool,
    pub(super) file_search: bool,
    pub(super) code_interpreter: bool,
    pub(super) images: bool,
    /// True if there is one of the above, or any other tool that a model server runs itself.
    pub(super) any: bool,
}

/// The fewest tokens that an audio file counts for, as in estimates of usage.
const MIN_AUDIO_TOKENS: i64 = 1_000;
/// The fewest bytes of base64 for a token of audio. A token is a tenth of a second, which takes 133 bytes at 8 kbit/s.
const MIN_AUDIO_BYTES_PER_TOKEN: i64 = 64;

/// The types of tools that the client runs: the answer ends when one is called.
const CLIENT_TOOLS: [&str; 7] = [
    "apply_patch",
    "computer",
    "computer_use_preview",
    "custom",
    "function",
    "local_shell",
    "namespace",
];

/// The types of items that a model server may complete from what it has stored.
const STORED_ITEMS: [&str; 7] = [
    "code_interpreter_call",
    "compaction",
    "file_search_call",
    "image_generation_call",
    "item_reference",
    "mcp_list_tools",
    "web_search_call",
];

impl<'a> Members<'a> {
    /// Reads the members of a body.
    ///
    /// # Errors
    /// 400: the body is not a JSON object.
    pub(super) fn read(body: &'a [u8]) -> Result<Self> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    all.push((name, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(all)
            }
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let members = json.deserialize_map(All);
        members.map(Members).map_err(|error| unreadable(&error))
    }
}

impl InputContent {
    /// Adds the content of messages or items.
    pub(super) fn add_items(&mut self, json: &str) -> Result<()> {
        self.visit(ContentPath::Items, json)
    }

    /// Adds the images that an image is made from.
    pub(super) fn add_images(&mut self, json: &str) -> Result<()> {
        self.visit(ContentPath::Images, json)
    }

    /// Adds the tools of a list.
    pub(super) fn add_tools(&mut self, json: &str) -> Result<()> {
        self.visit(ContentPath::Tools, json)
    }

    fn visit(&mut self, path: ContentPath, json: &str) -> Result<()> {
        let visitor = ContentVisitor {
            content: self,
            path,
        };
        let mut json = serde_json::Deserializer::from_str(json);
        visitor
            .deserialize(&mut json)
            .map_err(|error| unreadable(&error))
    }

    fn add_file(&mut self, path: ContentPath, text: &str) {
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        self.media_bytes = self.media_bytes.saturating_add(length);
        if path == ContentPath::Image {
            self.images += 1;
        } else {
            let tokens = (length / MIN_AUDIO_BYTES_PER_TOKEN).max(MIN_AUDIO_TOKENS);
            self.audio_tokens = self.audio_tokens.saturating_add(tokens);
        }
    }
}

impl ToolKinds {
    /// Every tool.
    pub(super) const ALL: Self = Self {
        web_search: true,
        file_search: true,
        code_interpreter: true,
        images: true,
        any: true,
    };

    fn add(&mut self, tool_type: &str) {
        self.web_search |= tool_type.starts_with("web_search");
        self.file_search |= tool_type.starts_with("file_search");
        self.code_interpreter |= tool_type.starts_with("code_interpreter");
        self.images |= tool_type.starts_with("image_generation");
        self.any |= !CLIENT_TOOLS.contains(&tool_type);
    }
}

/// True for the URL of an image.
fn is_url(text: &str) -> bool {
    let begin = text.get(..5).unwrap_or_default();
    begin.eq_ignore_ascii_case("data:") || begin.to_ascii_lowercase().starts_with("http")
}

fn unreadable(error: &serde_json::Error) -> Error {
    let message = format!("The request body could not be read as JSON: {error}.");
    Error::refused("invalid_json", message)
}

/// The position of a value in a body, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentPath {
    /// Messages, items, or the parts of one.
    Items,
    Tools,
    /// The images that an image is made from.
    Images,
    /// The id of such an image.
    ImageId,
    /// The image of a part.
    Image,
    /// The audio of a part.
    Audio,
    ItemType,
    ToolType,
    /// The audio of an earlier answer, which is only named.
    EarlierAudio,
    /// Content that is only named.
    Unseen,
    /// Text, or a value that does not matter.
    Other,
}

impl ContentPath {
    /// Returns the position of the member `name` of an object at this position.
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Items, "content" | "output" | "item" | "items") => Self::Items,
            (Self::Items, "tools") | (Self::Tools, "tools") => Self::Tools,
            (Self::Items | Self::Images, "image_url") | (Self::Image, "url") => Self::Image,
            (Self::Images, "file_id") => Self::ImageId,
            (Self::Items, "input_audio") | (Self::Audio, "data") => Self::Audio,
            (Self::Items, "audio") => Self::EarlierAudio,
            (Self::Items, "file" | "file_id" | "file_data" | "file_url")
            | (Self::EarlierAudio, "id") => Self::Unseen,
            (Self::Items, "type") => Self::ItemType,
            (Self::Tools, "type") => Self::ToolType,
            _ => Self::Other,
        }
    }
}

/// A visitor of a value and of all values in it.
struct ContentVisitor<'s> {
    content: &'s mut InputContent,
    path: ContentPath,
}

impl<'de> DeserializeSeed<'de> for ContentVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        match self.path {
            ContentPath::Other => value.deserialize_any(IgnoredAny).map(drop),
            _ => value.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ContentVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.content.has_unseen |= self.path == ContentPath::Unseen;
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(ContentVisitor {
                path: self.path.member(&name),
                content: &mut *self.content,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let next = ContentVisitor {
                content: &mut *self.content,
                path: self.path,
            };
            if seq.next_element_seed(next)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.path {
            ContentPath::Image | ContentPath::Audio => self.content.add_file(self.path, text),
            ContentPath::ToolType => self.content.tools.add(text),
            ContentPath::ItemType => self.content.has_unseen |= STORED_ITEMS.contains(&text),
            ContentPath::Unseen => self.content.has_unseen = true,
            ContentPath::ImageId => self.content.images += 1,
            ContentPath::Images if is_url(text) => self.content.add_file(ContentPath::Image, text),
            _ => {}
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
