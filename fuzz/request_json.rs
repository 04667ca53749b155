//! The view of JSON requests: an accepted request is JSON, and so is the body for an upstream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::request_json(data));
