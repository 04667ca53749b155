//! Test support: an in-process server, organizations, clients with identities, and a database per test.

mod client;
mod database;
pub mod examples;
mod invitation;
mod organization;
mod owner_key;
mod server;

pub use client::{Answer, Client};
pub use database::TestStorage;
pub use organization::{NodeParts, Organization, ProjectKey};
pub use orgplane::Cors;
pub use orgplane::config::Bounds;
pub use server::{NOW, Server, ServerOptions};
pub use store::testing::{Cluster, execute, row_counts};
