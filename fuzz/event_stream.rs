//! The scanner of event streams: the usage and the forwarded bytes do not depend on the chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::event_stream(data));
