//! The parser of the headers `Client-Cert` and `Client-Cert-Chain`: every item is a certificate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::certificate_header(data));
