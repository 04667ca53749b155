//! The kinds of objects that upstreams keep for clients.

use base::ids::MAX_ID_LENGTH;
use base::names;

/// A kind of object that an upstream keeps for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A file.
    File,
    /// A batch of requests.
    Batch,
    /// A vector store.
    VectorStore,
    /// A response of a model.
    Response,
    /// An item of the input or output of a response, or of a conversation.
    ResponseItem,
    /// A conversation, whose items are the input of responses.
    Conversation,
    /// A chat completion.
    ChatCompletion,
    /// A file that comes in parts.
    Upload,
    /// A part of an upload.
    UploadPart,
    /// A container that programs run in.
    Container,
}

names! { ObjectKind {
    File = "file",
    Batch = "batch",
    VectorStore = "vector_store",
    Response = "response",
    ResponseItem = "response_item",
    Conversation = "conversation",
    ChatCompletion = "chat_completion",
    Upload = "upload",
    UploadPart = "upload_part",
    Container = "container",
}}

impl ObjectKind {
    /// Returns the noun for one object of the kind, as messages use it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Batch => "batch",
            Self::VectorStore => "vector store",
            Self::Upload => "upload",
            Self::UploadPart => "part",
            Self::Container => "container",
            Self::Response => "response",
            Self::ResponseItem => "item",
            Self::Conversation => "conversation",
            Self::ChatCompletion => "chat completion",
        }
    }

    /// Returns the path of the kind's collection below `/v1`. A part of an upload and an item have none of their own.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::File => "/files",
            Self::Batch => "/batches",
            Self::VectorStore => "/vector_stores",
            Self::Upload | Self::UploadPart => "/uploads",
            Self::Container => "/containers",
            Self::Response | Self::ResponseItem => "/responses",
            Self::Conversation => "/conversations",
            Self::ChatCompletion => "/chat/completions",
        }
    }

    /// Returns the path below `/v1` that names the kind's endpoints in metrics and traces. Those at which models answer have
    /// names of their own.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::Response => "/responses/{response_id}",
            Self::ChatCompletion => "/chat/completions/{completion_id}",
            kind => kind.path(),
        }
    }

    /// True for what requests to models leave at an upstream.
    pub(crate) fn is_state(self) -> bool {
        match self {
            Self::File
            | Self::Batch
            | Self::VectorStore
            | Self::Upload
            | Self::UploadPart
            | Self::Container => false,
            Self::Response | Self::ResponseItem | Self::Conversation | Self::ChatCompletion => true,
        }
    }
}

/// True if a path segment can be an id, or a word between ids. No server could take it for a part of another path.
pub(crate) fn is_plausible(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_ID_LENGTH).contains(&segment.len()) && segment.bytes().all(is_plain)
}
