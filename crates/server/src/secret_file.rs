//! The file that keeps the pepper: outside the database, readable by its owner only.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use base::Entropy;
use base::secret::Pepper;

/// Reads the pepper; creates the file with a new one when it is absent and `may_create`.
///
/// # Errors
/// The file cannot be read or created, holds something else, or is absent although keys were hashed with it.
pub(crate) fn read_or_create(
    path: &Path,
    entropy: &Entropy,
    may_create: bool,
) -> anyhow::Result<Pepper> {
    match std::fs::read_to_string(path) {
        Ok(text) => Pepper::parse(&text).with_context(|| {
            format!(
                "the secret file {} must hold 64 hexadecimal digits",
                path.display()
            )
        }),
        Err(error) if error.kind() == ErrorKind::NotFound && may_create => create(path, entropy),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "the secret file {} is missing, and the keys in the database were hashed with it: restore it, or no key works",
            path.display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("the secret file {} cannot be read", path.display()))
        }
    }
}

fn create(path: &Path, entropy: &Entropy) -> anyhow::Result<Pepper> {
    let pepper = Pepper::generate(entropy);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("the secret file {} cannot be created", path.display()))?;
    file.write_all(pepper.reveal().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(pepper)
}
