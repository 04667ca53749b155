//! The pipe that the server's log goes to, whose reader can stop reading, go away and come back.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poll::ScenarioDelay;
use rustix::fs::OFlags;

const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The bytes at the end of the log that are kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The behaviour of the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reader {
    Reads,
    /// The pipe is open, and gets full.
    Stalls,
    /// State without a reader of the pipe.
    IsGone,
}

/// A pipe with a name, and its reader, who lives as long as this.
pub struct LogPipe {
    path: PathBuf,
    reader: Arc<AtomicU8>,
    text: Arc<Mutex<Vec<u8>>>,
}

impl LogPipe {
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("log");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
        let pipe = Self {
            path: path.clone(),
            reader: Arc::default(),
            text: Arc::default(),
        };
        let (reader, text) = (Arc::downgrade(&pipe.reader), Arc::clone(&pipe.text));
        std::thread::spawn(move || {
            let mut open = None;
            while let Some(reader) = reader.upgrade() {
                match reader.load(Ordering::SeqCst) {
                    reads if reads == Reader::Reads as u8 => {
                        let file = open.get_or_insert_with(|| open_pipe(&path));
                        read(file, &text);
                    }
                    gone if gone == Reader::IsGone as u8 => open = None,
                    _ => {}
                }
                drop(reader);
                ScenarioDelay(LOOK_INTERVAL).elapse_blocking();
            }
        });
        pipe
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn set(&self, reader: Reader) {
        self.reader.store(reader as u8, Ordering::SeqCst);
    }

    /// The end of the log, as far as it was read.
    pub fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn open_pipe(path: &Path) -> File {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.expect("the pipe")
}

/// Reads what is there now.
fn read(file: &mut File, into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(length @ 1..) = file.read(&mut buffer) {
        let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(&buffer[..length]);
        let surplus = text.len().saturating_sub(MAX_BYTES);
        text.drain(..surplus);
    }
}
