//! Programs that must not compile, each of which breaks one promise of the types.

mod complete;

/// A program that must compile is built with these tests: trybuild would build every dependency once more for it.
#[test]
fn handler_with_its_permission_its_event_and_its_transaction_compiles() {
    let _ = complete::operation();
}

#[test]
fn handler_cannot_skip_its_permission_its_event_or_its_transaction() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/no_permission.rs");
    cases.compile_fail("tests/compile_fail/no_event.rs");
    cases.compile_fail("tests/compile_fail/read_that_writes.rs");
    cases.compile_fail("tests/compile_fail/forged_permit.rs");
    cases.compile_fail("tests/compile_fail/handler_with_store.rs");
}
