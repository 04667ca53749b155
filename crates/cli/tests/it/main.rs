//! Tests of all commands together.

mod commands;
