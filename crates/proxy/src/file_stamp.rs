//! Detection of changed files.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Inode, modification time and size of a file, symbolic links followed. Equal stamps mean an unchanged file; two missing
/// files are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp(Option<(u64, i64, i64, u64)>);

impl FileStamp {
    /// Reads the stamp of a file. Must be called before the file is read, so that a later change is noticed. Blocks.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self(metadata.map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.size())))
    }
}
