//! Programs that must not compile: an operation without a permission, a write without an event, a manual commit.

#[test]
fn an_operation_cannot_forget_its_permission_nor_a_write_its_event() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_fail/complete.rs");
    cases.compile_fail("tests/compile_fail/no_permission.rs");
    cases.compile_fail("tests/compile_fail/no_event.rs");
    cases.compile_fail("tests/compile_fail/read_that_writes.rs");
    cases.compile_fail("tests/compile_fail/forged_permit.rs");
}
