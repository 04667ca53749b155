//! Identity providers of others that the tests sign in at, pinned in `tests/oidc/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::clients::{install_packages, python_with, quoted, read, write_program};
use crate::environment::{is_stamped, workshop};

/// Identity providers: each program prints its issuer.
pub struct IdentityProviders {
    /// Runs `tests/oidc/provider.mjs` with the packages of `tests/oidc/package.json`.
    pub certified: PathBuf,
    /// Runs `tests/oidc/django_provider.py` with the packages of `tests/oidc/requirements.txt`.
    pub django: PathBuf,
}

/// Makes them ready.
pub fn prepare(root: &Path) -> Result<IdentityProviders> {
    Ok(IdentityProviders {
        certified: certified(root)?,
        django: django(root)?,
    })
}

fn certified(root: &Path) -> Result<PathBuf> {
    let folder = workshop(root).join("oidc");
    let program = folder.join("provider");
    let lock = read(&root.join("tests/oidc/package-lock.json"))?;
    let pins = format!("itself for {}\n{lock}", root.display());
    let stamp = folder.join("pins");
    if is_stamped(&stamp, &pins) {
        return Ok(program);
    }
    let node = install_packages(root, "tests/oidc", &folder)?;
    // Node looks for packages beside the script as it was told its place, which is here, not in the repository.
    let link = folder.join("scripts");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    symlink(root.join("tests/oidc"), &link)?;
    let [node, script] = [&node, &link.join("provider.mjs")].map(|path| quoted(path));
    let flags = "--preserve-symlinks --preserve-symlinks-main";
    write_program(&program, &format!("exec {node} {flags} {script} \"$@\""))?;
    fs::write(&stamp, pins)?;
    Ok(program)
}

fn django(root: &Path) -> Result<PathBuf> {
    let python = python_with("tests/oidc/requirements.txt", "oidc-venv", root)?;
    let program = workshop(root).join("oidc-django");
    let script = root.join("tests/oidc/django_provider.py");
    let [python, script] = [&python, &script].map(|path| quoted(path));
    let program_text = format!("export PYTHONDONTWRITEBYTECODE=1\nexec {python} {script} \"$@\"");
    write_program(&program, &program_text)?;
    Ok(program)
}
