//! The binary `orgplane`.
fn main() {}
