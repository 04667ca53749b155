//! What commands print.

use std::io::Write;

/// Writes to stdout; a reader that has gone is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes to stdout what a server says at its start. It runs all the same where that cannot be written.
pub(crate) fn announce(text: &str) {
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        tracing::warn!(
            %error,
            "stdout cannot be written; 'orgplane org key --email OWNER' makes another admin key"
        );
    }
}

/// The text, with every control character but the ends of lines and tabs spelled out: what comes from elsewhere gives a
/// terminal no orders.
pub(super) fn plain(text: &str) -> String {
    let spelled = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(spelled).collect()
}
