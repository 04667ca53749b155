//! Tells the binary which commit it was built from.

use std::process::Command;

fn main() {
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok();
    let commit = commit
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    let commit = commit.map_or_else(
        || "unknown commit".to_owned(),
        |text| text.trim().to_owned(),
    );
    println!("cargo::rustc-env=ORGPLANE_COMMIT={commit}");
    println!("cargo::rerun-if-changed=../../.git/HEAD");
}
