//! For tests only: a server in the same process, identities as clients, a database of its own for each test.

mod client;
mod database;
mod owner_key;
mod server;

pub use client::{Answer, Client};
pub use database::TestDatabase;
pub use orgplane::Cors;
pub use orgplane::config::Bounds;
pub use server::{NOW, Server, ServerOptions};
pub use store::testing::{Cluster, execute, row_counts};
