//! One file per family of endpoints: what a request asks for, and what its answer used.

pub(crate) mod chat;
