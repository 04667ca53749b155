//! The built binary, driven from outside: as a process that is started, killed and stopped, over HTTP, by the clients
//! that other people use.

mod api;
mod audit_verify;
mod authority;
mod bounds;
mod client_script;
mod command_line;
mod commands;
mod connection;
mod connections;
mod cors;
mod demo;
mod dice;
mod differential;
mod endpoints;
mod every_operation;
mod front;
mod fuzz;
mod installation;
mod invites;
mod kill;
mod mail_server;
mod model_server;
mod model_stub;
mod mutations;
mod outage;
mod private_files;
mod process;
mod promises;
mod reports;
mod secrets;
mod sign_ins;
mod signals;
mod stop;
mod stored;
mod telemetry;
mod threat_model;
mod tls;
mod typed_client;
mod usage_verify;
mod whole_path;
#[expect(dead_code, reason = "shared with `alone`, which uses more of it")]
mod wire;
