//! The file with the keys that operators made: the daemon's alone, and replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::created::Created;

/// Its name, in the directory of the daemon's state.
pub(crate) const FILE: &str = "keys.json";

/// Why the keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is open to others: `chmod 600` it, and rotate its keys if they may have been read", .0.display())]
    Open(PathBuf),
    #[error("`{}` belongs to another user: it must be the daemon's or root's", .0.display())]
    Foreign(PathBuf),
    #[error("`{}` is no file of keys: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Reads the file; where there is none, no key was ever made.
pub(crate) fn read(path: &Path) -> Result<Created, StoreError> {
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Created::default()),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us && found.uid() != 0 {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if found.mode() & 0o077 != 0 {
        return Err(StoreError::Open(path.to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    serde_json::from_str(&text)
        .map_err(|error| StoreError::Malformed { path: path.to_owned(), reason: error.to_string() })
}

/// Puts a new file in the place of the old one, at once and for this user alone: whoever looks sees one of the two.
pub(crate) fn write(path: &Path, keys: &Created) -> Result<(), StoreError> {
    let replace = || {
        let new = path.with_extension("json.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let mut text = serde_json::to_vec_pretty(keys)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    replace().map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::created::{KeyChange, NewSecret};
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_may() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert_eq!(read(&path).unwrap(), Created::default());
        let mut keys = Created::default();
        let create =
            KeyChange::Create { name: "a".to_owned(), profiles: Vec::new(), agent: None, expires: None };
        keys.change(&create, 1, &NewSecret::make()).unwrap();
        // What an earlier write left behind is in nobody's way.
        fs::write(path.with_extension("json.new"), "half").unwrap();
        write(&path, &keys).unwrap();
        write(&path, &keys).unwrap();
        assert_eq!(read(&path).unwrap(), keys);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(StoreError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(matches!(read(&path), Err(StoreError::Malformed { .. })));
    }
}
