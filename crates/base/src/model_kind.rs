//! What a model is for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of a model: the sort of requests that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Answers in text.
    Chat,
    /// Turns text into vectors.
    Embedding,
    /// Makes images.
    Image,
    /// Hears or speaks.
    Audio,
    /// Judges whether content is harmful.
    Moderation,
}

crate::names! { ModelKind {
    Chat = "chat",
    Embedding = "embedding",
    Image = "image",
    Audio = "audio",
    Moderation = "moderation",
}}
