//! The command line of the Administration API. Every command is made from the registry: a resource, a verb, and a flag
//! for each field of its request.

mod arguments;
mod client;
mod command;
mod completion;
mod debug;
mod example;
mod failure;
mod file;
mod globals;
mod help;
mod hint;
mod manual;
mod nearest;
pub mod output;
mod pages;
mod parts;
mod progress;
mod refused;
mod registry;
mod request;
mod retry;
mod run;
mod schema;
mod stdin;
mod tls;
mod value;

pub use help::everything as help;
pub use progress::Progress;
pub use registry::table;
pub use run::{Program, run, takes};
