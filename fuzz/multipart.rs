//! The scanner of multipart forms: every field is a slice of the form.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::multipart(data));
