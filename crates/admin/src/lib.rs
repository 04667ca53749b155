//! The Administration API.
