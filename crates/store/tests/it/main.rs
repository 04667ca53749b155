//! The store's public API on real databases.

mod nul;
mod stale_plans;
mod tls;
