//! The marks by which a change of a file is noticed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The marks of a file: those of what a link leads to. Two files without any, which are not there, are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp(Option<(u64, i64, i64, u64)>);

impl FileStamp {
    /// Looks at a file. To be called before the file is read, so that no change after that goes unnoticed.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let about = std::fs::metadata(path).ok();
        Self(about.map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.size())))
    }
}
