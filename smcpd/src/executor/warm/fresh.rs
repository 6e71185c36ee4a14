//! Whether the files that a process has read are still what they were.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::statfs;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::sandbox::Sandbox;
use crate::stamp::Stamp;

/// More files than that are not looked at before each call: the plugin does without.
const MOST: usize = 4_000;
/// The clock that stamps files ticks more slowly than the one that is asked for the time.
const TICK: Duration = Duration::from_millis(20);

/// How long a file system may take to tell; one on this machine always does.
const PATIENCE: Duration = Duration::from_secs(1);
/// File systems of this machine, by their numbers in `statfs(2)`: ext, XFS, Btrfs, bcachefs, ZFS, F2FS, JFS, overlay, tmpfs,
/// ramfs, EROFS, SquashFS, FAT, procfs and sysfs. On any other one, whoever looks may wait for a server that is gone.
const LOCAL: [u64; 16] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xCA45_1A4E,
    0x2FC1_2FC1,
    0xF2F5_2010,
    0x3153_464A,
    0x794C_7630,
    0x0102_1994,
    0x8584_58F6,
    0xE0F5_E1E2,
    0x7371_7368,
    0x4D44,
    0x2011_BAB0,
    0x9FA0,
    0x6265_6572,
];

/// Files and directories as they were.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    files: Arc<Vec<(PathBuf, Option<Stamp>)>>,
    /// All of them lie where nobody waits.
    are_local: bool,
}

/// Why files cannot vouch for a process.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    #[error("it reads {0} files")]
    TooMany(usize),
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
    #[error("its files do not answer")]
    Silent,
}

impl Stamps {
    /// Takes the stamps of what a process has read since `began`, and of what its sandbox is bound to.
    pub(super) async fn take(
        mut paths: Vec<PathBuf>,
        sandbox: Option<Arc<Sandbox>>,
        began: SystemTime,
    ) -> Result<Self, Stale> {
        let stamps = in_time(move || {
            paths.extend(sandbox.iter().flat_map(|sandbox| sandbox.files.bound_to()));
            Self::of(paths, began)
        });
        stamps.await.unwrap_or(Err(Stale::Silent))
    }

    fn of(paths: Vec<PathBuf>, began: SystemTime) -> Result<Self, Stale> {
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
        let mut known = BTreeSet::new();
        let mut is_local = |(path, stamp): &(PathBuf, Option<Stamp>)| {
            // Those of one device are of one kind; where a file is not, its directory tells.
            stamp.is_some_and(|stamp| !known.insert(stamp.device())) || is_local(path)
        };
        let are_local = stamps.iter().all(&mut is_local);
        Ok(Self { files: Arc::new(stamps), are_local })
    }

    /// Returns the first file that is not what it was, or does not answer.
    pub(super) async fn changed(&self) -> Option<PathBuf> {
        let files = Arc::clone(&self.files);
        let first = move || {
            files.iter().find(|(path, stamp)| Stamp::of(path) != *stamp).map(|(path, _)| path.clone())
        };
        match self.are_local {
            true => first(),
            false => in_time(first).await.unwrap_or_else(|| self.files.first().map(|(path, _)| path.clone())),
        }
    }
}

/// Has it done by a thread that may be stuck; nothing comes of one that is.
async fn in_time<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(PATIENCE, spawn_blocking(look)).await.ok()?.ok()
}

fn is_local(path: &Path) -> bool {
    let kind = path.ancestors().find_map(|path| statfs(path).ok()).map(|found| found.f_type as u64);
    kind.is_some_and(|kind| LOCAL.contains(&(kind & 0xFFFF_FFFF)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn any_change_shows() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        let absent = place.path().join("absent");
        fs::write(&file, "one").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let take = || Stamps::of(vec![file.clone(), absent.clone()], later).unwrap();
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
            let elsewhere = Stamps { files: Arc::clone(&stamps.files), are_local: false };
            assert_eq!(stamps.changed().await, None, "{name}");
            assert_eq!(elsewhere.changed().await, None, "{name}");
            change();
            assert_eq!(stamps.changed().await.as_deref(), Some(path), "{name}");
            assert_eq!(elsewhere.changed().await.as_deref(), Some(path), "{name}");
        }
        let stamps = take();
        fs::remove_file(&file).unwrap();
        assert_eq!(stamps.changed().await, Some(file));
    }

    #[test]
    fn a_file_that_changed_since_the_process_began_vouches_for_nothing() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let taken = Stamps::of(vec![file.clone()], SystemTime::now());
        assert_eq!(taken.unwrap_err(), Stale::Changed(file));
        let many = vec![PathBuf::from("/"); MOST + 1];
        assert_eq!(Stamps::of(many, SystemTime::now()).unwrap_err(), Stale::TooMany(MOST + 1));
    }
}
