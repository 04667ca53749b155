//! Permissions and identity of the files of a SQLite database.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The mode of new files: readable by their owner only.
const OWNER_MODE_BITS: u32 = 0o600;
/// The bits of a mode that give rights to other users than the owner.
const OTHERS_MODE_BITS: u32 = 0o077;

/// Device and inode of a file.
type FileId = (u64, u64);

/// The files of one open database.
pub(super) struct OpenFiles {
    path: PathBuf,
    log: PathBuf,
    file_id: Option<FileId>,
    /// The id of the write-ahead log, once it exists. It stays the same as long as a connection is open.
    log_id: OnceLock<FileId>,
}

/// Creates the file with access for its owner only, and removes the access of other users from existing files. SQLite
/// gives the log and the shared memory the mode of the file. Errors are left to SQLite, which reports them better.
pub(super) fn make_private(path: &Path) {
    let mut options = OpenOptions::new();
    drop(
        options
            .write(true)
            .create_new(true)
            .mode(OWNER_MODE_BITS)
            .open(path),
    );
    for path in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        let Ok(mode) = fs::metadata(&path).map(|file| file.permissions().mode()) else {
            continue;
        };
        if mode & OTHERS_MODE_BITS == 0 {
            continue;
        }
        let (file, before) = (path.display(), format!("{:04o}", mode & 0o7777));
        match fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS_MODE_BITS)) {
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
    /// Returns the files of the database at `path`, which has just been opened.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            file_id: file_id(path),
            log: beside(path, "-wal"),
            log_id: OnceLock::new(),
            path: path.to_owned(),
        }
    }

    /// Returns the file that was deleted or replaced since it was opened, if one was: later writes to it are lost.
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
        let writer = file.begin(Timeouts::JOB).await.expect("the write lock");
        let create = sql!("CREATE TABLE IF NOT EXISTS t (n BIGINT)");
        execute(writer.connection(), &create).expect("a table");
        writer.commit(|| ()).await.expect("a commit");
        file
    }

    fn mode(path: &Path) -> u32 {
        let metadata = fs::metadata(path).expect("a file");
        metadata.permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn s21_new_and_existing_files_become_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let files = [path.clone(), beside(&path, "-wal"), beside(&path, "-shm")];
        let first = open(&path).await;
        for path in &files {
            assert_eq!(mode(path), OWNER_MODE_BITS, "{}", path.display());
            fs::set_permissions(path, Permissions::from_mode(0o644)).expect("changed");
        }
        let second = open(&path).await;
        for path in &files {
            assert_eq!(mode(path), OWNER_MODE_BITS, "{}", path.display());
        }
        drop((first, second));
    }

    #[tokio::test]
    async fn low_deleted_or_replaced_file_is_reported() {
        for (name, is_replaced) in [("", false), ("", true), ("-wal", false), ("-wal", true)] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.db");
            let file = open(&path).await;
            assert_eq!(file.lost_file(), None);
            let lost = beside(&path, name);
            // The old file is kept, so that the new one has another inode.
            fs::rename(&lost, folder.path().join("old")).expect("renamed");
            if is_replaced {
                fs::copy(folder.path().join("old"), &lost).expect("copied");
            }
            assert_eq!(file.lost_file(), Some(lost.as_path()));
            fs::rename(folder.path().join("old"), &lost).expect("renamed");
            assert_eq!(file.lost_file(), None, "the same file is back");
        }
    }
}
