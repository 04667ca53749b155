//! The store as the program uses it, on real databases.

mod tls;
