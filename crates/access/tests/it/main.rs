//! What the tables come to: roles, and what is set.

mod age;
mod newer;
mod permissions;
mod settings;
