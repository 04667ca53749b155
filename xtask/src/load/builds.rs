//! Time of a clean build, and size of the binary.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::bench::Bench;
use super::figures::table;
use crate::environment::cargo;
use crate::step::{instant, run, say};

/// Builds everything anew into a folder of its own.
pub fn measure(bench: &Bench, dist: bool) -> Result<String> {
    run(cargo(&bench.root).args(["fetch", "--locked"]))?;
    let mut rows = Vec::new();
    let profiles = [("dev", "debug"), ("release", "release"), ("dist", "dist")];
    for (profile, folder) in profiles.into_iter().take(if dist { 3 } else { 2 }) {
        say(&format!("a clean build in the profile {profile}"));
        let target = bench.room("target")?;
        let begun = instant();
        run(cargo(&bench.root)
            .args([
                "build",
                "--locked",
                "--offline",
                "--quiet",
                "-p",
                "orgplane",
            ])
            .args(["--profile", profile])
            .env("CARGO_TARGET_DIR", &target))?;
        let seconds = begun.elapsed().as_secs();
        let size = size(&target.join(folder).join("orgplane"))?;
        fs::remove_dir_all(&target)?;
        rows.push(vec![
            profile.to_owned(),
            format!("{} min {:02} s", seconds / 60, seconds % 60),
            format!("{:.1}", size / 1e6),
        ]);
    }
    let head = ["profile", "clean build", "binary MB"];
    Ok(format!(
        "### Builds\n\nOf the program and all it depends on, without downloads, on all cores.\n\n{}",
        table(&head, &rows)
    ))
}

fn size(file: &Path) -> Result<f64> {
    let data = fs::metadata(file).with_context(|| format!("no {}", file.display()))?;
    Ok(data.len() as f64)
}
