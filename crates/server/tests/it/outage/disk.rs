//! A small disk that is full.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use super::{World, is_unavailable};
use crate::reports;

/// A file system of a few MiB, which only root may make.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]);
        let mounted = mount.arg(folder.path()).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("room for a name");
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        drop(unmount.arg("-l").arg(self.0.path()).status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_full_disk_is_503_and_not_ready() {
    // Without the right to mount something there is no small disk to be had.
    let Some(disk) = Disk::new() else { return };
    let database = disk.0.path().join("orgplane.db");
    let world = World::start(&format!("sqlite://{}", database.display()));
    world.is_well().await;
    let (project, _) = world.admin.application("Application").await;
    disk.fill();
    // The log of the database has room that was used before.
    let mut answer = world.write().await;
    for _ in 0..5_000 {
        if answer.0 != 200 {
            break;
        }
        answer = world.write().await;
    }
    is_unavailable(&answer);
    world.not_ready("full").await;
    let lately = reports::now() - 30 * 86_400;
    let events: Vec<_> = (0..1_000)
        .map(|number| {
            json!({"id": format!("evt_{number}"), "timestamp": lately, "type": "completions",
                   "project_id": project, "model": "m", "input_tokens": 1, "output_tokens": 1})
        })
        .collect();
    let path = "/organization/usage/events";
    let answer = world.ask(Method::POST, path, Some(&json!(events))).await;
    is_unavailable(&answer);
    world.not_ready("usage waits in memory").await;
    assert!((1..10).contains(&world.lines("database unavailable")));
    assert_eq!(world.lines("a query failed"), 0);

    disk.free();
    world.is_well().await;
    let known = world.admin.post(path, &json!(events)).await;
    assert_eq!(
        known["duplicates"], 1_000,
        "what waited was written: {known}"
    );
    world.server.stop();
}
