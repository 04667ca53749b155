//! Output of commands.

use std::io::Write;

/// Writes to stdout; a closed stdout is ignored.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a startup message to stdout; the server runs even if stdout is closed.
pub(crate) fn announce(text: &str) {
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        tracing::warn!(
            %error,
            "failed to write to stdout; 'orgplane org key --email OWNER' makes another admin key"
        );
    }
}

/// Escapes control characters except newlines and tabs, so that foreign text cannot control the terminal.
pub(crate) fn escape_control(text: &str) -> String {
    let spelled = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(spelled).collect()
}
