//! The images, audio and hosted tools in the JSON of a request.

use base::Result;

use super::strict_json::JsonReader;

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

impl InputContent {
    /// Adds the content of a JSON value at this position, and of all values in it.
    ///
    /// # Errors
    /// 400: the value is malformed.
    pub(super) fn read(&mut self, json: &mut JsonReader<'_>, path: ContentPath) -> Result<()> {
        match json.peek() {
            _ if path == ContentPath::Other => json.skip(),
            Some(b'{') => {
                self.has_unseen |= path == ContentPath::Unseen;
                json.open()?;
                while json.next(b'}')? {
                    let member = path.member(&json.name()?.decoded());
                    self.read(json, member)?;
                }
                Ok(())
            }
            Some(b'[') => {
                json.open()?;
                while json.next(b']')? {
                    self.read(json, path)?;
                }
                Ok(())
            }
            Some(b'"') => {
                self.add_text(path, &json.string()?.decoded());
                Ok(())
            }
            _ => json.skip(),
        }
    }

    fn add_text(&mut self, path: ContentPath, text: &str) {
        match path {
            ContentPath::Image | ContentPath::Audio => self.add_file(path, text),
            ContentPath::ToolType => self.tools.add(text),
            ContentPath::ItemType => self.has_unseen |= STORED_ITEMS.contains(&text),
            ContentPath::Unseen => self.has_unseen = true,
            ContentPath::ImageId => self.images += 1,
            ContentPath::Images if is_url(text) => self.add_file(ContentPath::Image, text),
            _ => {}
        }
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

/// The position of a value in a body, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentPath {
    /// Messages, items, or the parts of one.
    Items,
    Tools,
    /// Questions about an input.
    Questions,
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
            (Self::Questions, "instructions") => Self::Items,
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
