//! Sessions of nodes on a database.

mod local;
mod sessions;
