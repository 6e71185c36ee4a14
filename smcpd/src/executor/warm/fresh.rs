//! Whether the files that a process has read are still what they were.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stamp::Stamp;

/// More files than that are not looked at before each call: the plugin does without.
const MOST: usize = 4_000;
/// The clock that stamps files ticks more slowly than the one that is asked for the time.
const TICK: Duration = Duration::from_millis(20);

/// Files and directories as they were.
#[derive(Debug, Default)]
pub(super) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

/// Why files cannot vouch for a process.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    #[error("it reads {0} files")]
    TooMany(usize),
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
}

impl Stamps {
    /// Takes the stamps of what a process has read since `began`.
    pub(super) fn take(paths: Vec<PathBuf>, began: SystemTime) -> Result<Self, Stale> {
        if paths.len() > MOST {
            return Err(Stale::TooMany(paths.len()));
        }
        let began = began.checked_sub(TICK).unwrap_or(UNIX_EPOCH);
        let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = (began.as_secs().cast_signed(), i64::from(began.subsec_nanos()));
        let mut stamps = Vec::with_capacity(paths.len());
        for path in paths {
            let stamp = Stamp::of(&path);
            if stamp.is_some_and(|stamp| stamp.changed() >= began) {
                return Err(Stale::Changed(path));
            }
            stamps.push((path, stamp));
        }
        Ok(Self(stamps))
    }

    /// Returns the first file that is not what it was.
    pub(super) fn changed(&self) -> Option<&Path> {
        self.0.iter().find(|(path, stamp)| Stamp::of(path) != *stamp).map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn any_change_shows() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        let absent = place.path().join("absent");
        fs::write(&file, "one").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let take = || Stamps::take(vec![file.clone(), absent.clone()], later).unwrap();
        type Change<'a> = &'a dyn Fn();
        let renamed = || {
            fs::write(place.path().join("new"), "two").unwrap();
            fs::rename(place.path().join("new"), &file).unwrap();
        };
        let touched = || {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
            fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        let changes: [(&str, Change<'_>, &Path); 4] = [
            ("longer", &|| fs::write(&file, "four").unwrap(), &file),
            ("another file", &renamed, &file),
            ("an old time", &touched, &file),
            ("it came", &|| fs::write(&absent, "").unwrap(), &absent),
        ];
        for (name, change, path) in changes {
            let stamps = take();
            assert_eq!(stamps.changed(), None, "{name}");
            change();
            assert_eq!(stamps.changed(), Some(path), "{name}");
        }
        let stamps = take();
        fs::remove_file(&file).unwrap();
        assert_eq!(stamps.changed(), Some(file.as_path()));
    }

    #[test]
    fn a_file_that_changed_since_the_process_began_vouches_for_nothing() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let taken = Stamps::take(vec![file.clone()], SystemTime::now());
        assert_eq!(taken.unwrap_err(), Stale::Changed(file));
        let many = vec![PathBuf::from("/"); MOST + 1];
        assert_eq!(Stamps::take(many, SystemTime::now()).unwrap_err(), Stale::TooMany(MOST + 1));
    }
}
