//! What model servers keep for clients: files, batches and vector stores.
//!
//! Projects share the account of an upstream, so the upstream cannot tell what is whose. We can: whatever is made is
//! written down with its project before its id is told, and no id is passed on that is not the caller's project's. None of
//! this is the way of a request to a model, so it may ask the database.

mod ask;
mod batches;
mod bounds;
mod cache;
mod daily;
mod files;
mod keep;
mod lines;
mod list;
mod mentions;
mod one;
mod output;
mod passing;
mod place;
mod references;
mod reserve;
mod vector_stores;
mod watch;

use access::stored::{Kind, Owner};

pub(crate) use bounds::{ObjectBounds, ObjectShare};
pub(crate) use passing::Passing;
pub(crate) use place::Place;
pub(crate) use watch::{Watch, look_at_due};

use crate::identify::Caller;

/// What follows `/v1` in the paths of a kind.
fn path_of(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "/files",
        Kind::Batch => "/batches",
        Kind::VectorStore => "/vector_stores",
    }
}

/// For whom something is that a caller makes.
fn owner(caller: &Caller) -> Owner {
    Owner {
        organization: caller.key.organization.id.clone(),
        project: caller.project.id.clone(),
        key: Some(caller.key.id.clone()),
        user: caller.key.user().cloned(),
    }
}
