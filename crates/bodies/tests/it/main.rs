//! Tests of storing and deleting bodies, on the database that `ORGPLANE_TEST_DATABASE` names.

mod fixture;
mod keeping;
mod settings;
