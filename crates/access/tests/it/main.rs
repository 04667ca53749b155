//! Permissions and settings as they result from the tables.

mod age;
mod newer;
mod permissions;
mod revision;
mod settings;
