//! What tells one state of a file from another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes with a file, whoever changes it and however. A link is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Nothing where there is no such file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        // A directory tells of the names in it by its time; its size says nothing.
        let size = if found.is_dir() { 0 } else { found.size() };
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size,
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// The file system that it is on.
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// When anything of it changed last: seconds since 1970, and nanoseconds.
    pub(crate) fn changed(&self) -> (i64, i64) {
        self.changed
    }
}
