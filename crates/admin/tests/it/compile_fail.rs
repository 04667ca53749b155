//! Programs that must not compile, each of which breaks one promise of the types.

#[test]
fn handler_cannot_skip_its_permission_its_event_or_its_transaction() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_fail/complete.rs");
    cases.compile_fail("tests/compile_fail/no_permission.rs");
    cases.compile_fail("tests/compile_fail/no_event.rs");
    cases.compile_fail("tests/compile_fail/read_that_writes.rs");
    cases.compile_fail("tests/compile_fail/forged_permit.rs");
    cases.compile_fail("tests/compile_fail/handler_with_store.rs");
}
