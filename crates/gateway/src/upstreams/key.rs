//! The key of an upstream, and where it is read from: the configuration, a file, or a command.

mod command;
mod stamp;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

pub use stamp::FileStamp;

/// The longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The shortest time between two readings of a file that a refusal is the reason for.
const FILE_INTERVAL: Duration = Duration::from_millis(250);
/// The same for a command, which is a program that starts.
const COMMAND_INTERVAL: Duration = Duration::from_secs(10);

/// The key that the gateway shows to an upstream. It has no `Debug`; it is wiped when dropped.
#[derive(Clone)]
pub struct UpstreamKey {
    text: Zeroizing<String>,
    pub(super) source: KeySource,
    /// The time for which the key is good, from when it was read.
    pub(super) lifetime: Option<Duration>,
}

/// The place that a key comes from.
#[derive(Clone)]
pub(super) enum KeySource {
    /// Nowhere that could be looked at again.
    Fixed,
    /// A file, and by what a change of it is noticed.
    File(PathBuf, FileStamp),
    /// A program and its arguments.
    Command(Arc<[String]>),
}

impl UpstreamKey {
    /// The key with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self {
            text: Zeroizing::new(text),
            source: KeySource::Fixed,
            lifetime: None,
        }
    }

    /// Reads the key in a file, without the white space around it. The gateway reads it again when the file changes, and when
    /// the upstream refuses the key. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key. The text says so.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        // Taken before the file is read, so that no change after that goes unnoticed.
        let stamp = FileStamp::of(path);
        let shown = path.display();
        let text = read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let text = Zeroizing::new(text);
        let text = std::str::from_utf8(&text).map_err(|_| format!("{shown} is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let text = checked(text).map_err(|reason| format!("{shown} {reason}"))?;
        Ok(Self {
            text,
            source: KeySource::File(path.to_owned(), stamp),
            lifetime: None,
        })
    }

    /// Runs a command that prints a key. The gateway runs it again before the key ends, and when the upstream refuses it.
    ///
    /// # Errors
    /// It cannot be run, fails, takes too long, or prints something else. The text says so, without what was printed.
    pub async fn of_command(words: &[String]) -> Result<Self, String> {
        let (text, lifetime) = command::run(words).await?;
        Ok(Self {
            text,
            source: KeySource::Command(words.into()),
            lifetime,
        })
    }

    /// Checks the text of a key that was given in this way.
    ///
    /// # Errors
    /// It is empty, or no header can carry it; without its subject.
    pub fn check(text: &str) -> Result<(), String> {
        checked(text).map(drop)
    }

    /// The value of the header `authorization`; `None` if no header can carry the key.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", *self.text));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl KeySource {
    /// Reads the key anew.
    pub(super) async fn read(&self) -> Result<UpstreamKey, String> {
        match self {
            Self::Fixed => Err("the key is in the configuration".to_owned()),
            Self::File(path, _) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || UpstreamKey::of_file(&path));
                let read = read.await;
                read.unwrap_or_else(|_| Err("the file was not read".to_owned()))
            }
            Self::Command(words) => UpstreamKey::of_command(words).await,
        }
    }

    /// The shortest time between two readings that refusals are the reason for; `None` if it cannot be read again.
    pub(super) fn interval(&self) -> Option<Duration> {
        match self {
            Self::Fixed => None,
            Self::File(..) => Some(FILE_INTERVAL),
            Self::Command(_) => Some(COMMAND_INTERVAL),
        }
    }
}

/// Reads a whole file of bounded length.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("it is longer than {MAX_FILE_BYTES} bytes");
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}

fn checked(text: &str) -> Result<Zeroizing<String>, String> {
    if text.is_empty() {
        return Err("is empty, and must hold the key".to_owned());
    }
    if HeaderValue::from_str(text).is_err() {
        return Err("holds a key with characters that no header can carry".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<UpstreamKey, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, text).expect("written");
        UpstreamKey::of_file(&path)
    }

    #[test]
    fn upstream_key_rotation_reads_the_key_in_a_file() {
        for text in ["sk-1", "sk-1\n", " \r\nsk-1\r\n\n", "\u{feff}sk-1\n"] {
            let key = read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            let header = key.authorization().expect("a header");
            assert_eq!(header, "Bearer sk-1");
            assert!(header.is_sensitive());
        }
        for (text, reason) in [
            (&b""[..], "is empty"),
            (b" \r\n\t", "is empty"),
            (b"sk-1\nsk-2\n", "no header can carry"),
            (b"\xff\xfe", "is not UTF-8"),
            (&[b'x'; 65_537], "longer than 65536 bytes"),
        ] {
            let error = read(text).err().expect(reason);
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("sk-"), "{error}");
        }
        let gone = UpstreamKey::of_file(Path::new("/no/such/key")).err();
        assert!(gone.is_some_and(|error| error.starts_with("/no/such/key cannot be read")));
    }
}
