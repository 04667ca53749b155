//! What the roles in the tables come to.

mod permissions;
