//! The words of the Administration API, said to the built binary, against a server whose answers are written down.

mod bodies;
mod completion;
mod every_command;
mod examples;
mod key_files;
mod lists;
mod mutual_tls;
mod proxies;
mod recording_server;
mod refusals;
mod retries;
