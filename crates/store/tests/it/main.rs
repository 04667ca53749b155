//! The store as the program uses it, on real databases.

mod text;
mod tls;
