//! What model servers keep for clients: files, batches and vector stores.
//!
//! Projects share the account of an upstream, so the upstream cannot tell what is whose. We can: whatever is made is
//! written down with its project before its id is told, and no id is passed on that is not the caller's project's. None of
//! this is the way of a request to a model, so it may ask the database.

mod ask;
mod batches;
mod daily;
mod files;
mod keep;
mod lines;
mod list;
mod one;
mod output;
mod passing;
mod place;
mod references;
mod rows;
mod vector_stores;
mod watch;

use base::names;

pub(crate) use passing::Passing;
pub(crate) use place::Place;
pub(crate) use rows::Rows;
pub(crate) use watch::{look_at_due, watch};

/// What upstreams keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Batch,
    VectorStore,
}

names! { Kind {
    File = "file",
    Batch = "batch",
    VectorStore = "vector_store",
}}

impl Kind {
    /// What follows `/v1`.
    fn path(self) -> &'static str {
        match self {
            Self::File => "/files",
            Self::Batch => "/batches",
            Self::VectorStore => "/vector_stores",
        }
    }

    /// What messages call one.
    fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Batch => "batch",
            Self::VectorStore => "vector store",
        }
    }
}
