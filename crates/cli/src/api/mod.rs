//! The operations of the Administration API as commands, read from the OpenAPI document in the repository.
//!
//! The document is generated from the server's registry, so every operation is known here without linking its handler.

mod command;
mod document;
mod example;
mod reference;
mod schema;

pub use command::{ApiCommand, CommandFlag, Credential, FlagLocation, ROOT, ResponseShape};
pub use document::{Api, Operation};
pub use example::example;
pub use reference::table;
pub use schema::{Field, ValueKind, ValueType};
