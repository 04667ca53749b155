//! The gateway against a model server that does as it is told, over real connections.

mod answers;
mod endpoints;
mod failures;
mod hang_ups;
mod keys;
mod permissions;
mod properties;
mod refusals;
mod retention;
mod strict;
mod upstream;
mod world;
