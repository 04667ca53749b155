//! The binary `orgplane`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orgplane::commands::run(std::env::args_os())
}
