//! `sqlite://` URLs.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The durability of commits, by the names of SQLite's `synchronous` setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// Commits do not wait for the disk: they survive the end of the process at any moment, but not that of the machine.
    #[default]
    Normal,
    /// Each commit waits for the disk.
    Full,
}

impl Synchronous {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

/// The files and options that a `sqlite://` URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DatabaseFiles {
    /// The file in the URL.
    pub(crate) administration: PathBuf,
    /// The file of the usage data in the same folder: `orgplane-usage.db` for `orgplane.db`.
    pub(crate) usage: PathBuf,
    /// The query parameter: `?synchronous=normal` or `full`.
    pub(crate) synchronous: Synchronous,
}

impl DatabaseFiles {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let text = url.strip_prefix("sqlite://").unwrap_or_default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let synchronous = match query {
            "" | "synchronous=normal" => Synchronous::Normal,
            "synchronous=full" => Synchronous::Full,
            _ => {
                return Err(Error::Url(format!(
                    "{url:?} has a parameter that is not known; write ?synchronous=full, or =normal, or none"
                )));
            }
        };
        let file = Path::new(path);
        let Some(stem) = file.file_stem().filter(|_| !path.contains('\0')) else {
            return Err(Error::Url(format!(
                "{url:?} names no file; write sqlite://orgplane.db or sqlite:///var/lib/x.db"
            )));
        };
        let mut name = stem.to_owned();
        name.push("-usage");
        if let Some(extension) = file.extension() {
            name.push(".");
            name.push(extension);
        }
        Ok(Self {
            administration: file.to_owned(),
            usage: file.with_file_name(name),
            synchronous,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connection::in_memory;
    use crate::sqlite::for_each_row;
    use crate::{Row, sql};

    #[test]
    fn usage_file_is_in_the_same_folder() {
        let files = DatabaseFiles::parse("sqlite:///var/lib/orgplane.db").expect("files");
        assert_eq!(files.administration, Path::new("/var/lib/orgplane.db"));
        assert_eq!(files.usage, Path::new("/var/lib/orgplane-usage.db"));
        assert!(
            DatabaseFiles::parse("sqlite://").is_err()
                && DatabaseFiles::parse("sqlite://?").is_err()
        );
    }

    #[test]
    fn url_sets_the_durability_of_commits() {
        let synchronous = |url| DatabaseFiles::parse(url).map(|files| files.synchronous);
        for (url, pragma) in [
            ("sqlite://a.db", 1),
            ("sqlite://a.db?synchronous=normal", 1),
            ("sqlite://a.db?synchronous=full", 2),
        ] {
            let synchronous = synchronous(url).expect(url);
            let connection = in_memory(synchronous);
            let mut found = 0;
            let keep = |row: &Row<'_>| {
                found = row.get("synchronous")?;
                Ok(())
            };
            for_each_row(&connection, &sql!("PRAGMA synchronous"), keep).expect("a row");
            assert_eq!(found, pragma, "{url}");
        }
        for url in ["sqlite://a.db?mode=ro", "sqlite://a.db?synchronous=off"] {
            assert!(synchronous(url).is_err(), "{url}");
        }
    }
}
