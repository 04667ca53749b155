//! Bodies: what is kept of them, and what goes, on the database that `ORGPLANE_TEST_DATABASE` names.

mod fixture;
mod keeping;
mod settings;
