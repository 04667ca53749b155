//! Kinds of models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a model: the endpoints that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Generates text.
    Chat,
    /// Converts text to vectors.
    Embedding,
    /// Generates images.
    Image,
    /// Transcribes or generates speech.
    Audio,
    /// Classifies harmful content.
    Moderation,
}

crate::names! { ModelKind {
    Chat = "chat",
    Embedding = "embedding",
    Image = "image",
    Audio = "audio",
    Moderation = "moderation",
}}
