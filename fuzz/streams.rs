//! However the bytes of an event stream are cut, the same usage is read and the same bytes are forwarded.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::cuts::check(data));
