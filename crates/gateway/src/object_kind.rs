//! The kinds of objects that upstreams keep for clients.

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
        }
    }

    /// Returns the path of the kind's collection below `/v1`; that of uploads for a part, which has no path of its own.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::File => "/files",
            Self::Batch => "/batches",
            Self::VectorStore => "/vector_stores",
            Self::Upload | Self::UploadPart => "/uploads",
            Self::Container => "/containers",
        }
    }
}
