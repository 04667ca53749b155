//! The store as the program uses it, on real databases.

mod changed;
mod text;
mod tls;
