//! The failures that end a command.

use std::process::ExitCode;

/// The reason that a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Wrong arguments, with a message about them.
    Usage(String),
    /// An error while the command ran.
    Runtime(anyhow::Error),
}

impl Failure {
    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Runtime(_) => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Runtime(error.into())
    }
}
