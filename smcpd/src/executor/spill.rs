//! The whole of an output that is longer than what is kept, in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Captured;

/// What a file may hold: it is read whole for a client.
pub(crate) const MOST: u64 = 16 << 20;

/// A file with an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spilled {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// Where an output goes once it is longer than what is kept.
#[derive(Debug)]
pub(super) struct Spill {
    path: Option<PathBuf>,
    file: Option<File>,
    bytes: u64,
}

impl Spill {
    /// `None` keeps no more than what is kept anyway.
    pub(super) fn to(path: Option<PathBuf>) -> Self {
        Self { path, file: None, bytes: 0 }
    }

    /// Takes `bytes`, which come after what was `captured` so far.
    pub(super) fn push(&mut self, captured: &Captured, bytes: &[u8]) {
        let Some(path) = &self.path else { return };
        if self.file.is_none() {
            if captured.has_room_for(bytes.len()) {
                return;
            }
            let file = create(path);
            match file {
                Ok(file) => self.file = Some(file),
                // The output is cut then, and says so.
                Err(error) => return self.give_up(&error),
            }
            captured.parts().into_iter().for_each(|part| self.write(part));
        }
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        let room = usize::try_from(MOST - self.bytes).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        let Some(file) = &mut self.file else { return };
        match file.write_all(bytes) {
            Ok(()) => self.bytes += bytes.len() as u64,
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &std::io::Error) {
        tracing::warn!(%error, "cannot keep a long output");
        if let Some(path) = self.path.take().filter(|_| self.file.take().is_some()) {
            let _gone = std::fs::remove_file(path);
        }
    }

    /// Returns the file, where there is one.
    pub(super) fn finish(self) -> Option<Spilled> {
        let (path, bytes) = (self.path, self.bytes);
        self.file.and(path).map(|path| Spilled { path, bytes })
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        crate::paths::create_private(directory).map_err(std::io::Error::other)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spilled(chunks: &[&str], path: &Path) -> Option<Spilled> {
        let (mut captured, mut spill) = (Captured::new(6), Spill::to(Some(path.to_owned())));
        for chunk in chunks {
            spill.push(&captured, chunk.as_bytes());
            captured.push(chunk.as_bytes());
        }
        spill.finish()
    }

    #[test]
    fn an_output_that_fits_makes_no_file_and_a_longer_one_is_there_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs/one");
        assert_eq!(spilled(&["abc", "def"], &path), None);
        assert!(!path.exists());
        let found = spilled(&["abc", "de", "fgh", "", "ijk"], &path).unwrap();
        assert_eq!((found.bytes, std::fs::read(&path).unwrap()), (11, b"abcdefghijk".to_vec()));
        // A name that is taken is nobody's to write to.
        assert_eq!(spilled(&["abcdefghijk"], &path), None);
        assert_eq!(spilled(&["abcdefghijk"], Path::new("/proc/nowhere/one")), None);
    }
}
