//! The parser of Content-Types: the one for upstreams is read as it was written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::content_type(data));
