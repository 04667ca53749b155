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
}

names! { ObjectKind {
    File = "file",
    Batch = "batch",
    VectorStore = "vector_store",
}}

impl ObjectKind {
    /// Returns the noun for one object of the kind, as messages use it.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Batch => "batch",
            Self::VectorStore => "vector store",
        }
    }

    /// Returns the path of the kind's collection below `/v1`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::File => "/files",
            Self::Batch => "/batches",
            Self::VectorStore => "/vector_stores",
        }
    }
}
