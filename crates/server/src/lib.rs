//! The composition root and the binary orgplane.
