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
mod demo;
mod dice;
mod differential;
mod endpoints;
mod every_operation;
mod front;
mod fuzz;
mod hostile_tenant;
mod installation;
mod invites;
mod kill;
mod mail_server;
mod model_server;
mod model_stub;
mod mutations;
mod process;
mod promises;
mod reports;
mod secrets;
mod stop;
mod stored;
mod telemetry;
mod tls;
mod typed_client;
mod usage_verify;
mod whole_path;
mod wire;
