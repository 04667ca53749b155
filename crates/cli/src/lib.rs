//! The command line of the Administration API. Every command is made from the OpenAPI document: a resource, a verb, and a
//! flag for each field of the request.

mod api;
mod batches;
mod client;
mod command_tree;
mod completion;
mod debug;
mod failure;
mod file;
mod globals;
mod help;
mod hint;
mod manual;
pub mod output;
mod pages;
mod parsed_args;
mod program;
mod progress;
mod refused;
mod request;
mod retry;
mod run;
mod scalar;
mod stdin;
mod tls;
mod usage_error;
mod value;

pub use api::table;
pub use help::everything as help;
pub use program::Program;
pub use progress::Progress;
pub use run::{run, takes};
