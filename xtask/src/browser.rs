//! The browser that the tests drive the console with, and `cargo xtask screenshots`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::clients::{install_packages, quoted, read, write_program};
use crate::environment::{cargo, install, is_stamped, program, root, workshop};
use crate::step::{run as run_command, say};

/// Names that the browser has on different systems.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];
/// Path of the sign-in link that the demo prints.
const LINK_PATH: &str = "/sign-in/link#";

/// Finds or installs Chromium and the packages of `tests/browser`, and writes what runs a scenario: its name and JSON in,
/// lines of JSON out.
pub fn prepare(root: &Path) -> Result<PathBuf> {
    let chromium = chromium()?;
    let folder = workshop(root).join("browser");
    let runner = folder.join("run-scenario");
    let lock = read(&root.join("tests/browser/package-lock.json"))?;
    let pins = format!("{} for {}\n{lock}", chromium.display(), root.display());
    let stamp = folder.join("pins");
    if is_stamped(&stamp, &pins) {
        return Ok(runner);
    }
    let node = install_packages(root, "tests/browser", &folder).context(
        "missing: the Node packages of tests/browser, which npm installs from its registry or its cache",
    )?;
    // Node looks for packages beside the scripts as it was told their place, which is here, not in the repository.
    let link = folder.join("scripts");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    symlink(root.join("tests/browser"), &link)?;
    let [node, link, chromium] = [&node, &link, &chromium].map(|path| quoted(path));
    let flags = "--preserve-symlinks --preserve-symlinks-main";
    write_program(
        &runner,
        &format!("export ORGPLANE_CHROMIUM={chromium}\nexec {node} {flags} {link}/run.mjs \"$@\""),
    )?;
    fs::write(stamp, pins)?;
    Ok(runner)
}

/// Returns the browser, which is installed if there is none.
fn chromium() -> Result<PathBuf> {
    let find = || BROWSERS.iter().find_map(|name| program(name));
    if let Some(found) = find() {
        return Ok(found);
    }
    install(
        &["chromium"],
        "Chromium, which the tests of the console drive",
    )?;
    find().context("the system's packages do not bring Chromium")
}

/// Options of the command.
#[derive(Args)]
pub struct ScreenshotOptions {
    /// Folder for the pictures and their `index.html`.
    #[arg(long, default_value = "target/screenshots")]
    out: PathBuf,
    /// Only screens whose address contains this text.
    #[arg(long, default_value = "")]
    only: String,
}

/// Starts a demo, and takes pictures of all its screens in both themes, in a narrow and in a wide window.
pub fn screenshots(options: &ScreenshotOptions) -> Result<()> {
    let root = root()?;
    let runner = prepare(&root)?;
    run_command(cargo(&root).args(["build", "--locked", "--quiet", "-p", "orgplane"]))?;
    let out = root.join(&options.out);
    fs::create_dir_all(&out)?;
    let demo = Demo::start(&root.join("target/debug/orgplane"))?;
    let input = json!({"link": demo.link, "out": out, "only": options.only});
    let mut scenario = Command::new(runner)
        .arg("screenshots")
        .stdin(Stdio::piped())
        .spawn()?;
    let mut stdin = scenario.stdin.take().context("its input is piped")?;
    stdin.write_all(input.to_string().as_bytes())?;
    drop(stdin);
    if !scenario.wait()?.success() {
        bail!("not every screen could be photographed");
    }
    say(&format!("look at {}", out.join("index.html").display()));
    Ok(())
}

/// A running demo. Dropping it stops the demo.
struct Demo {
    process: Child,
    /// The other end of the demo's output: held, so that the demo can write.
    output: BufReader<ChildStdout>,
    link: String,
}

impl Demo {
    fn start(binary: &Path) -> Result<Self> {
        let mut process = Command::new(binary)
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the demo")?;
        let output = process.stdout.take().context("its output is piped")?;
        let mut demo = Self {
            process,
            output: BufReader::new(output),
            link: String::new(),
        };
        let mut line = String::new();
        while demo.output.read_line(&mut line)? > 0 {
            let mut words = line.split_whitespace();
            if let Some(link) = words.find(|word| word.contains(LINK_PATH)) {
                link.clone_into(&mut demo.link);
                return Ok(demo);
            }
            line.clear();
        }
        bail!("the demo ended without a sign-in link");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A demo that has ended already cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
