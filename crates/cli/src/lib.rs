//! The command line of the Administration API.

pub mod output;
