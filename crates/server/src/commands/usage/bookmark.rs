//! Bookmark of an import: a file beside the imported one that stores its progress.
//!
//! A bookmark is trusted only if the ledger confirms it: the events at the position must be known already.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base::ids::OrganizationId;
use base::time::Stopwatch;
use serde::{Deserialize, Serialize};

/// Minimum interval between two writes of the bookmark.
const MIN_WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Position in an imported file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilePosition {
    /// Number of rows before the position.
    pub(super) rows: u64,
    /// Number of these rows that were rejected.
    pub(super) refused: usize,
}

/// Identity of an import. A bookmark of another import is ignored.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct ImportIdentity {
    database: String,
    organization: String,
    bytes: u64,
    /// Modification time of the file, in milliseconds since 1970.
    modified: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    import: ImportIdentity,
    #[serde(flatten)]
    place: FilePosition,
}

/// Bookmark of a file.
pub(super) struct Bookmark {
    file: PathBuf,
    content: Content,
    written: Stopwatch,
}

impl Bookmark {
    /// Returns the bookmark for importing `file` into an organization; `None` if `file` is not a regular file.
    pub(super) fn of(file: &Path, database: String, organization: &OrganizationId) -> Option<Self> {
        let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let import = ImportIdentity {
            database,
            organization: organization.to_string(),
            bytes: about.len(),
            modified: u64::try_from(modified.as_millis()).ok()?,
        };
        let mut name = file.file_name()?.to_owned();
        name.push(".import");
        Some(Self {
            file: file.with_file_name(name),
            content: Content {
                import,
                place: FilePosition::default(),
            },
            written: Stopwatch::start(),
        })
    }

    /// Reads the position stored by an earlier run.
    pub(super) fn read(&self) -> Option<FilePosition> {
        let text = std::fs::read(&self.file).ok()?;
        let found: Content = serde_json::from_slice(&text).ok()?;
        (found.import == self.content.import).then_some(found.place)
    }

    /// Stores the position, at most once per interval. Failures are ignored: without a bookmark an import starts at
    /// the first row.
    pub(super) fn put(&mut self, place: FilePosition) {
        if self.written.elapsed() >= MIN_WRITE_INTERVAL {
            self.written = Stopwatch::start();
            self.content.place = place;
            if let Err(error) = self.write() {
                tracing::debug!(%error, file = %self.file.display(), "failed to write bookmark");
            }
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let new = self.file.with_extension("import-new");
        std::fs::write(&new, serde_json::to_vec(&self.content)?)?;
        std::fs::rename(new, &self.file)
    }

    /// Removes the bookmark of a completed import.
    pub(super) fn remove(&self) {
        // Imports that take less than a second never write a bookmark.
        let _ = std::fs::remove_file(&self.file);
    }
}
