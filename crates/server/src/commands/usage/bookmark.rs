//! How far an import has come, in a file beside the one that is imported, until it is done. What it says is only believed
//! when the ledger agrees: the rows before the place are those of an earlier run if the ones at it are known already.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use base::ids::OrganizationId;
use base::time::Stopwatch;
use serde::{Deserialize, Serialize};

/// How often it is written at the most.
const EVERY: Duration = Duration::from_secs(1);

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// How many rows are before it.
    pub(super) rows: u64,
    /// How many of those were refused.
    pub(super) refused: usize,
}

/// What was imported into what: a bookmark of anything else is none.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Import {
    database: String,
    organization: String,
    bytes: u64,
    /// When the file was changed last, in milliseconds since 1970.
    modified: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    import: Import,
    #[serde(flatten)]
    place: Place,
}

/// The bookmark of a file.
pub(super) struct Bookmark {
    file: PathBuf,
    content: Content,
    written: Stopwatch,
}

impl Bookmark {
    /// That of a file which is imported into an organization of a database; none for what is no file.
    pub(super) fn of(file: &Path, database: String, organization: &OrganizationId) -> Option<Self> {
        let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let import = Import {
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
                place: Place::default(),
            },
            written: Stopwatch::start(),
        })
    }

    /// Where an earlier run has put it.
    pub(super) fn read(&self) -> Option<Place> {
        let text = std::fs::read(&self.file).ok()?;
        let found: Content = serde_json::from_slice(&text).ok()?;
        (found.import == self.content.import).then_some(found.place)
    }

    /// Puts it at a place, now and then. Without it an import begins at the first row, so it may fail.
    pub(super) fn put(&mut self, place: Place) {
        if self.written.elapsed() >= EVERY {
            self.written = Stopwatch::start();
            self.content.place = place;
            if let Err(error) = self.write() {
                tracing::debug!(%error, file = %self.file.display(), "the bookmark is not written");
            }
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let new = self.file.with_extension("import-new");
        std::fs::write(&new, serde_json::to_vec(&self.content)?)?;
        std::fs::rename(new, &self.file)
    }

    /// Takes it away: the import is done.
    pub(super) fn remove(&self) {
        // There is none when it was done within a second.
        let _ = std::fs::remove_file(&self.file);
    }
}
