//! The gateway against a model server that does as it is told, over real connections.

mod answers;
mod balance;
mod certificates;
mod connections;
mod endpoints;
mod failures;
mod hang_ups;
mod health;
mod keys;
mod limits;
mod metrics;
mod permissions;
mod properties;
mod readings;
mod refusals;
mod retention;
mod retries;
mod spend;
mod stored;
mod strict;
mod timeouts;
mod tls;
mod upstream;
mod world;
