//! The files of a database: private to the user that runs the program, and still those that were opened.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Everything in them is for their owner only: addresses, hashes, the audit log.
const MODE: u32 = 0o600;
/// The bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Device and number of a file.
type FileId = (u64, u64);

/// The files of one open database.
pub(super) struct OpenFiles {
    path: PathBuf,
    log: PathBuf,
    file_id: Option<FileId>,
    /// The id of the write-ahead log, once it has been seen: it stays as long as a connection is open.
    log_id: OnceLock<FileId>,
}

/// Creates the file for its owner only, unless it is there; takes the rights of others at what is there. SQLite gives the
/// files beside it the same mode. What does not work SQLite says better, or else costs nothing but privacy.
pub(super) fn make_private(path: &Path) {
    let mut options = OpenOptions::new();
    drop(options.write(true).create_new(true).mode(MODE).open(path));
    for path in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        let Ok(mode) = fs::metadata(&path).map(|file| file.permissions().mode()) else {
            continue;
        };
        if mode & OTHERS == 0 {
            continue;
        }
        let (file, before) = (path.display(), format!("{:04o}", mode & 0o7777));
        match fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => {
                tracing::warn!(%file, before, "database file was open to others; made private");
            }
            Err(error) => tracing::warn!(%file, before, %error, "database file is open to others"),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn file_id(path: &Path) -> Option<FileId> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl OpenFiles {
    /// The files of the database at `path`, which has just been opened.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            file_id: file_id(path),
            log: beside(path, "-wal"),
            log_id: OnceLock::new(),
            path: path.to_owned(),
        }
    }

    /// The file that was deleted or replaced since it was opened, if one was: what is written then goes nowhere.
    pub(super) fn lost(&self) -> Option<&Path> {
        if file_id(&self.path) != self.file_id {
            return Some(&self.path);
        }
        let now = file_id(&self.log);
        let known = match (self.log_id.get(), now) {
            (None, Some(now)) => self.log_id.get_or_init(|| now),
            (None, None) => return None,
            (Some(known), _) => known,
        };
        (now != Some(*known)).then_some(self.log.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;
    use crate::sqlite::{Sqlite, Synchronous, execute};
    use crate::timeouts::Timeouts;

    async fn open(path: &Path) -> Sqlite {
        let file = Sqlite::open(path, Synchronous::Normal).expect("a database");
        let writer = file.begin(Timeouts::JOB).await.expect("a turn");
        let create = sql!("CREATE TABLE IF NOT EXISTS t (n BIGINT)");
        execute(writer.connection(), &create).expect("a table");
        writer.commit().expect("committed");
        file
    }

    fn mode(path: &Path) -> u32 {
        let metadata = fs::metadata(path).expect("a file");
        metadata.permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn s21_files_are_their_owners_also_those_that_were_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let files = [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")];
        let first = open(&path).await;
        for path in &files {
            assert_eq!(mode(path), MODE, "{}", path.display());
            fs::set_permissions(path, Permissions::from_mode(0o644)).expect("changed");
        }
        let second = open(&path).await;
        for path in &files {
            assert_eq!(mode(path), MODE, "{}", path.display());
        }
        drop((first, second));
    }

    #[tokio::test]
    async fn low_sqlite_file_deleted_or_replaced_is_noticed() {
        for (name, is_replaced) in [("", false), ("", true), ("-wal", false), ("-wal", true)] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.db");
            let file = open(&path).await;
            assert_eq!(file.lost_file(), None);
            let lost = beside(&path, name);
            // The old one is kept, so that the new one has another number.
            fs::rename(&lost, folder.path().join("old")).expect("renamed");
            if is_replaced {
                fs::copy(folder.path().join("old"), &lost).expect("copied");
            }
            assert_eq!(file.lost_file(), Some(lost.as_path()));
            fs::rename(folder.path().join("old"), &lost).expect("renamed");
            assert_eq!(file.lost_file(), None, "it is the same again");
        }
    }
}
