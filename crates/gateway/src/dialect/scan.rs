//! The amounts that a request's JSON bounds: every member of the body is looked at, since a model reads what is in it
//! wherever it stands.

use std::fmt;

use base::{Error, Result};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a body, as they stand there.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a str)>);

/// The content that is shown to a model, and the tools that are asked for, within a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The bytes of the body that are images or sound, which no model reads as text.
    pub(super) media_bytes: i64,
    /// The number of images that are there, or are named.
    pub(super) images: i64,
    /// The most tokens that the sound has.
    pub(super) sound_tokens: i64,
    /// True if something is named whose length is not known: a file, or an item that the model server keeps.
    pub(super) names_unseen: bool,
    /// The hosted tools that are asked for.
    pub(super) tools: Tools,
}

/// Kinds of hosted tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tools {
    pub(super) web_search: bool,
    pub(super) file_search: bool,
    pub(super) code_interpreter: bool,
    pub(super) images: bool,
    /// True for those above, and for every other tool that a model server runs itself.
    pub(super) any: bool,
}

/// The least that a piece of sound counts, as where nobody reports, and how many bytes of base64 have a token at the most:
/// a tenth of a second of 8 kbit/s has 133.
const SOUND_TOKENS: i64 = 1_000;
const SOUND_BYTES_PER_TOKEN: i64 = 64;

/// Types of tools that the client runs: the answer ends when one is called.
const OF_CLIENT: [&str; 7] = [
    "apply_patch",
    "computer",
    "computer_use_preview",
    "custom",
    "function",
    "local_shell",
    "namespace",
];

/// Types of items that a model server may complete by what it has kept.
const KEPT: [&str; 7] = [
    "code_interpreter_call",
    "compaction",
    "file_search_call",
    "image_generation_call",
    "item_reference",
    "mcp_list_tools",
    "web_search_call",
];

impl<'a> Members<'a> {
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

impl Shown {
    /// Adds what is in the messages or items of a member.
    pub(super) fn add_items(&mut self, json: &str) -> Result<()> {
        self.walk(Place::Items, json)
    }

    /// Adds the images that another one is made from.
    pub(super) fn add_images(&mut self, json: &str) -> Result<()> {
        self.walk(Place::Images, json)
    }

    /// Adds the tools of a list.
    pub(super) fn add_tools(&mut self, json: &str) -> Result<()> {
        self.walk(Place::Tools, json)
    }

    fn walk(&mut self, place: Place, json: &str) -> Result<()> {
        let walk = Walk { shown: self, place };
        let mut json = serde_json::Deserializer::from_str(json);
        walk.deserialize(&mut json)
            .map_err(|error| unreadable(&error))
    }

    fn add_file(&mut self, place: Place, text: &str) {
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        self.media_bytes = self.media_bytes.saturating_add(length);
        if place == Place::Image {
            self.images += 1;
        } else {
            let tokens = (length / SOUND_BYTES_PER_TOKEN).max(SOUND_TOKENS);
            self.sound_tokens = self.sound_tokens.saturating_add(tokens);
        }
    }

    fn add_type(&mut self, place: Place, kind: &str) {
        if place == Place::Tools {
            self.tools.add(kind);
        } else {
            self.names_unseen |= KEPT.contains(&kind);
        }
    }
}

impl Tools {
    /// All tools.
    pub(super) const ALL: Self = Self {
        web_search: true,
        file_search: true,
        code_interpreter: true,
        images: true,
        any: true,
    };

    fn add(&mut self, kind: &str) {
        self.web_search |= kind.starts_with("web_search");
        self.file_search |= kind.starts_with("file_search");
        self.code_interpreter |= kind.starts_with("code_interpreter");
        self.images |= kind.starts_with("image_generation");
        self.any |= !OF_CLIENT.contains(&kind);
    }
}

/// True for text that is an image by its address.
fn is_address(text: &str) -> bool {
    let begin = text.get(..5).unwrap_or_default();
    begin.eq_ignore_ascii_case("data:") || begin.to_ascii_lowercase().starts_with("http")
}

fn unreadable(error: &serde_json::Error) -> Error {
    let message = format!("The request body could not be read as JSON: {error}.");
    Error::refused("invalid_json", message)
}

/// The place of a value in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Messages, items, or the parts of one.
    Items,
    Tools,
    /// Images that another one is made from.
    Images,
    /// The id of such an image.
    ImageId,
    /// The image, or the sound, of a part.
    Image,
    Sound,
    /// The type of an item or of a tool.
    Type {
        of_tool: bool,
    },
    /// The sound of an earlier answer, which is only named.
    Named,
    /// A thing that is named and not there.
    Unseen,
    /// Text, or what does not matter.
    Other,
}

impl Place {
    /// Returns the place of the member `name` of an object that stands here.
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Items, "content" | "output" | "item" | "items") => Self::Items,
            (Self::Items, "tools") | (Self::Tools, "tools") => Self::Tools,
            (Self::Items | Self::Images, "image_url") | (Self::Image, "url") => Self::Image,
            (Self::Images, "file_id") => Self::ImageId,
            (Self::Items, "input_audio") | (Self::Sound, "data") => Self::Sound,
            (Self::Items, "audio") => Self::Named,
            (Self::Items, "file" | "file_id" | "file_data" | "file_url") | (Self::Named, "id") => {
                Self::Unseen
            }
            (Self::Items, "type") => Self::Type { of_tool: false },
            (Self::Tools, "type") => Self::Type { of_tool: true },
            _ => Self::Other,
        }
    }
}

/// Looks at a value and at all that is in it.
struct Walk<'s> {
    shown: &'s mut Shown,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        match self.place {
            Place::Other => value.deserialize_any(IgnoredAny).map(drop),
            _ => value.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.shown.names_unseen |= self.place == Place::Unseen;
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(Walk {
                place: self.place.member(&name),
                shown: &mut *self.shown,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let next = Walk {
                shown: &mut *self.shown,
                place: self.place,
            };
            if seq.next_element_seed(next)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.place {
            Place::Image | Place::Sound => self.shown.add_file(self.place, text),
            Place::Type { of_tool: true } => self.shown.add_type(Place::Tools, text),
            Place::Type { of_tool: false } => self.shown.add_type(Place::Items, text),
            Place::Unseen => self.shown.names_unseen = true,
            Place::ImageId => self.shown.images += 1,
            Place::Images if is_address(text) => self.shown.add_file(Place::Image, text),
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
