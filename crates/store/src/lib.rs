//! The only crate that knows there are two databases.
