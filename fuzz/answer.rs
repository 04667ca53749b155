//! The reader of answers: the usage and the forwarded bytes of an answer of any type and coding do not depend on the chunks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::answer(data));
