//! Secret file: holds the pepper outside the database, readable by its owner only. An optional second line holds the
//! previous pepper.

use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base::secret::Pepper;
use base::{Entropy, utf_8};
use store::Store;
use zeroize::Zeroizing;

/// Permission bits of group and others.
const GROUP_AND_OTHERS_BITS: u32 = 0o077;

/// Reads the secret file, or creates it if it is missing and `may_create`.
///
/// # Errors
/// The file is unreadable or malformed, cannot be created, or is missing although the database has keys hashed with
/// it.
pub(crate) fn read_or_create(
    path: &Path,
    entropy: &Entropy,
    may_create: bool,
) -> anyhow::Result<Pepper> {
    match std::fs::read(path) {
        Ok(bytes) => {
            make_private(path);
            let text = utf_8(bytes).ok();
            text.as_deref().and_then(Pepper::parse).with_context(|| {
                format!(
                    "the secret file {} must hold 64 hexadecimal digits, and may hold the 64 of the secret before on a second line",
                    path.display()
                )
            })
        }
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

/// Removes the permissions of group and others, and logs it.
fn make_private(path: &Path) {
    let Ok(metadata) = std::fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode();
    if mode & GROUP_AND_OTHERS_BITS == 0 {
        return;
    }
    let (file, before) = (path.display(), format!("{:04o}", mode & 0o7777));
    match std::fs::set_permissions(path, Permissions::from_mode(mode & !GROUP_AND_OTHERS_BITS)) {
        Ok(()) => tracing::warn!(%file, before, "secret file was open to others; made private"),
        Err(error) => tracing::warn!(%file, before, %error, "secret file is open to others"),
    }
}

/// Creates the file atomically. If another process has created it meanwhile, its secret is used.
fn create(path: &Path, entropy: &Entropy) -> anyhow::Result<Pepper> {
    let failed = || format!("the secret file {} cannot be created", path.display());
    let pepper = Pepper::generate(entropy);
    let temporary = beside(path, entropy);
    let line = line(&pepper);
    let written = write(&temporary, &line).and_then(|()| std::fs::hard_link(&temporary, path));
    // A leftover temporary file is harmless: no key was hashed with its secret.
    let _ = std::fs::remove_file(&temporary);
    match written {
        Ok(()) => Ok(pepper),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Pepper::parse(&std::fs::read_to_string(path)?).with_context(failed)
        }
        // The file system has no hard links.
        Err(_) => {
            write(path, &line).with_context(failed)?;
            Ok(pepper)
        }
    }
}

/// Puts a new secret before the one in the file, which becomes the previous secret.
///
/// # Errors
/// The file has a previous secret already, or cannot be replaced.
pub(crate) fn rotate(path: &Path, entropy: &Entropy) -> anyhow::Result<()> {
    let text = read_lines(path)?;
    if text.lines().count() > 1 {
        bail!(
            "the secret file {} has a previous secret already: end that rotation with `orgplane secret rotate --finish` first",
            path.display()
        );
    }
    let current = line(&Pepper::generate(entropy));
    replace(
        path,
        entropy,
        &Zeroizing::new(current.as_str().to_owned() + &text),
    )
}

/// Removes the previous secret from the file.
///
/// # Errors
/// The file has no previous secret, or cannot be replaced.
pub(crate) fn finish_rotation(path: &Path, entropy: &Entropy) -> anyhow::Result<()> {
    let text = read_lines(path)?;
    let Some((current, _)) = text.trim_end().split_once('\n') else {
        bail!(
            "the secret file {} has no previous secret: there is no rotation to finish",
            path.display()
        );
    };
    replace(path, entropy, &Zeroizing::new(format!("{current}\n")))
}

/// Reads the lines of a secret file that is known to be valid, each with its end.
fn read_lines(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(crate::text_file::read(path)?);
    let lines = text
        .trim()
        .lines()
        .map(|line| line.trim().to_owned() + "\n");
    Ok(Zeroizing::new(lines.collect()))
}

/// Replaces the file atomically.
fn replace(path: &Path, entropy: &Entropy, text: &str) -> anyhow::Result<()> {
    let temporary = beside(path, entropy);
    let replaced = write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    replaced.with_context(|| format!("the secret file {} cannot be replaced", path.display()))
}

/// Returns a unique path beside a file.
fn beside(path: &Path, entropy: &Entropy) -> PathBuf {
    let unique: String = (entropy.bytes::<8>().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{unique}"));
    temporary.into()
}

fn line(pepper: &Pepper) -> Zeroizing<String> {
    Zeroizing::new(format!("{}\n", pepper.reveal().as_str()))
}

/// Creates a file that only its owner may read, and waits for the disk.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Checks that the database was used with this pepper; a new database records it.
///
/// # Errors
/// The database was used with another pepper: no existing key would work.
pub(crate) async fn check(path: &Path, pepper: &Pepper, store: &Store) -> anyhow::Result<()> {
    let known = store.secret_check(&pepper.check_value()).await?;
    if known == pepper.check_value() {
        return Ok(());
    }
    if Some(known) == pepper.previous_check_value() {
        store.set_secret_check(&pepper.check_value()).await?;
        tracing::info!(file = %path.display(), "secret replaced; the previous secret remains valid for decryption");
        return Ok(());
    }
    bail!(
        "the secret file {} holds another secret than the one that this database was used with: restore the right file, or put the secret before on a second line",
        path.display()
    )
}
