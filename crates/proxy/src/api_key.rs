//! API keys of upstreams, and their sources: the configuration, a file or a command.

mod command;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::file_stamp::FileStamp;
use crate::format::KeyHeader;

/// Maximum length of a file with a key or certificates, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Minimum time between two reads of a key file that the upstream's rejections cause.
const MIN_FILE_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum time between two runs of a key command, which starts a program, that the upstream's rejections cause.
const MIN_COMMAND_INTERVAL: Duration = Duration::from_secs(10);

/// API key that the gateway sends to an upstream. Has no `Debug`, and is zeroed on drop.
#[derive(Clone)]
pub struct UpstreamKey {
    text: Zeroizing<String>,
    pub(crate) source: KeySource,
    /// Time for which the key is valid, from when it was read; `None` if it does not expire.
    pub(crate) lifetime: Option<Duration>,
}

/// Source of an API key.
#[derive(Clone)]
pub(crate) enum KeySource {
    /// The configuration; the key never changes.
    Fixed,
    /// A file, and its stamp from before it was read.
    File(PathBuf, FileStamp),
    /// A program and its arguments.
    Command(Arc<[String]>),
}

impl UpstreamKey {
    /// Returns a key with this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self {
            text: Zeroizing::new(text),
            source: KeySource::Fixed,
            lifetime: None,
        }
    }

    /// Reads a key from a file, without surrounding white space. The gateway reads the file again when it changes, and when
    /// the upstream rejects the key. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key. The text says so.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        // Taken before the file is read, so that a later change is noticed.
        let stamp = FileStamp::of(path);
        let shown = path.display();
        let text = read_file(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let text = Zeroizing::new(text);
        let text = std::str::from_utf8(&text).map_err(|_| format!("{shown} is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let text = validate(text).map_err(|reason| format!("{shown} {reason}"))?;
        Ok(Self {
            text,
            source: KeySource::File(path.to_owned(), stamp),
            lifetime: None,
        })
    }

    /// Runs a command that prints a key. The gateway runs the command again before the key expires, and when the upstream
    /// rejects the key.
    ///
    /// # Errors
    /// The command cannot be run, fails, takes too long, or prints no key. The text says so, without the output.
    pub async fn of_command(words: &[String]) -> Result<Self, String> {
        let (text, lifetime) = command::run(words).await?;
        Ok(Self {
            text,
            source: KeySource::Command(words.into()),
            lifetime,
        })
    }

    /// Checks the text of a key.
    ///
    /// # Errors
    /// The text is empty, or cannot be a header value. The message has no subject: "is empty, and must hold the key".
    pub fn check(text: &str) -> Result<(), String> {
        validate(text).map(drop)
    }

    /// Returns the value of the header that carries the key; `None` if the key cannot be part of a header.
    pub(crate) fn header_value(&self, header: KeyHeader) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("{}{}", header.prefix(), *self.text));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl KeySource {
    /// Reads the key again.
    pub(crate) async fn read(&self) -> Result<UpstreamKey, String> {
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

    /// Returns the minimum time between two reads that rejections cause; `None` if the key cannot change.
    pub(crate) fn min_interval(&self) -> Option<Duration> {
        match self {
            Self::Fixed => None,
            Self::File(..) => Some(MIN_FILE_INTERVAL),
            Self::Command(_) => Some(MIN_COMMAND_INTERVAL),
        }
    }
}

/// Reads a whole file of at most [`MAX_FILE_BYTES`]. Blocks.
pub(crate) fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(MAX_FILE_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("it is longer than {MAX_FILE_BYTES} bytes");
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}

fn validate(text: &str) -> Result<Zeroizing<String>, String> {
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
    fn upstream_key_rotation_reads_a_key_file_without_surrounding_white_space() {
        for text in ["sk-1", "sk-1\n", " \r\nsk-1\r\n\n", "\u{feff}sk-1\n"] {
            let key = read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            for (header, expected) in [
                (KeyHeader::Authorization, "Bearer sk-1"),
                (KeyHeader::XApiKey, "sk-1"),
            ] {
                let value = key.header_value(header).expect("a header");
                assert_eq!(value, expected);
                assert!(value.is_sensitive());
            }
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
        let missing = UpstreamKey::of_file(Path::new("/no/such/key")).err();
        assert!(missing.is_some_and(|error| error.starts_with("/no/such/key cannot be read")));
    }
}
