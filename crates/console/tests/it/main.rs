//! Pages of the console, as a browser gets them from a server with a database of its own.

mod forms;
mod hostile_names;
mod lists;
mod own_things;
mod page_bytes;
mod refusals;
mod registry;
mod rights;
mod roles;
mod security;
mod visitor;
