//! Arbitrary bytes are the parts of a shared limit or nothing, and parts survive being encoded again.
#![no_main]

use slices::{Parts, Window};

const WINDOWS: [Window; 2] = [Window::MINUTE, Window::DAY];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(parts) = Parts::decode(data, &WINDOWS) {
        parts.expiry(&WINDOWS);
        assert_eq!(Parts::decode(&parts.encode(), &WINDOWS), Some(parts));
    }
});
