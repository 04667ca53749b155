//! Metrics, traces and logs of a server, and the absence of secrets in them.

mod collector;
mod metrics;
mod secrets;
mod traces;
mod upstream;
