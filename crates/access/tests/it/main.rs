//! What the tables come to: roles, and what is set.

mod permissions;
mod settings;
