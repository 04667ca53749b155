//! What operators see of a server: metrics, traces, the log; and that no secret is in any of it.

mod collector;
mod metrics;
mod secrets;
mod traces;
mod upstream;
