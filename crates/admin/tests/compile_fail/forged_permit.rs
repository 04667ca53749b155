//! A permit that no check has given.

use admin::operation::{Caller, Permit};

fn forge(caller: Caller) -> Permit {
    Permit { caller }
}

fn main() {}
