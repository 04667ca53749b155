//! What the tables come to: roles, and what is set.

mod age;
mod permissions;
mod settings;
