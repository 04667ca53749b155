//! The commands as a whole: what they take, and what their help says.

mod commands;
