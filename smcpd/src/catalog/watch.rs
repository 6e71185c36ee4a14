//! Word of changes below the plugins directory and in the plugins themselves, however many at once.
//!
//! The kernel is asked for changes alone: who also asks for what is merely opened is woken for each file that looking at
//! the plugins reads.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::silent::Silent;

/// So long nothing must have happened before a change is looked at: a copy in progress is not read half.
const QUIET: Duration = Duration::from_millis(300);
/// A directory that never rests is looked at all the same.
const LONGEST: Duration = Duration::from_secs(5);
/// Of events read at once: dozens, and at least one with the longest name.
const ROOM: usize = 4 << 10;
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Watches the plugins directory and the directories that its links lead to.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Arc<AsyncFd<OwnedFd>>>,
    /// By the kernel's number for it; two paths to one directory have the same.
    watched: BTreeMap<PathBuf, i32>,
    /// Something happened that was not looked at yet.
    changed: bool,
}

impl Watch {
    /// Without inotify (too many instances, say) nothing is watched, and one line says so.
    pub(super) fn start() -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        let inotify = inotify
            .map_err(std::io::Error::from)
            .and_then(registered)
            .map(Arc::new)
            .inspect_err(|error| tracing::warn!(%error, "plugins are not watched: rescan after a change"))
            .ok();
        Self { inotify, watched: BTreeMap::new(), changed: false }
    }

    /// Watches exactly these directories; one that is gone already is passed over.
    pub(super) async fn follow(&mut self, silent: &Arc<Silent>, directories: &BTreeSet<PathBuf>) {
        let Some(inotify) = &self.inotify else { return };
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.watched).into_iter().partition(|(path, _)| directories.contains(path));
        self.watched = stay;
        for number in gone.into_values() {
            if !self.watched.values().any(|other| *other == number) {
                // A directory that was removed is no longer watched anyway.
                let _gone = inotify::remove_watch(inotify.get_ref(), number);
            }
        }
        let new = directories.iter().filter(|path| !self.watched.contains_key(*path));
        let new = new.map(|path| (path.display().to_string(), path.clone())).collect();
        let shared = Arc::clone(inotify);
        let add = move |_: &str, path: &PathBuf| {
            let number = inotify::add_watch(shared.get_ref(), path, CHANGES);
            let number = number
                .inspect_err(|error| tracing::debug!(directory = %path.display(), %error, "not watched"));
            Some((path.clone(), number.ok()?))
        };
        self.watched.extend(silent.look(new, add).await.into_iter().filter_map(|(_, added)| added?));
    }

    /// Waits for a change, and then until there was quiet. What was seen is not forgotten where this is given up.
    pub(super) async fn settled(&mut self) {
        while !self.changed {
            self.changed = self.more().await;
        }
        let rest = async {
            let mut until = tokio::time::Instant::now() + QUIET;
            while let Ok(changed) = tokio::time::timeout_at(until, self.more()).await {
                if changed {
                    until = tokio::time::Instant::now() + QUIET;
                }
            }
        };
        let _restless = tokio::time::timeout(LONGEST, rest).await;
        self.changed = false;
    }

    /// Waits for events and reads some; returns whether one of them matters.
    async fn more(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return std::future::pending().await };
        let Ok(mut ready) = inotify.readable().await else { return std::future::pending().await };
        let mut room = [MaybeUninit::uninit(); ROOM];
        let mut reader = Reader::new(inotify.get_ref(), &mut room);
        let mut changed = false;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {
                    // The directory is gone; what takes its place is watched anew.
                    let number = event.wd();
                    self.watched.retain(|_, other| *other != number);
                }
                // Reading a plugin changes nothing, and neither does what Python caches beside it.
                Ok(event) => changed |= event.file_name() != Some(c"__pycache__"),
                Err(Errno::INTR) => continue,
                Err(_) => {
                    ready.clear_ready();
                    return changed;
                }
            }
            // More may have come meanwhile: it is read the next time, so that others have their turn.
            if reader.is_buffer_empty() {
                return changed;
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "it is meant for descriptors that are closed early; this one is owned to the end"
)]
fn registered(inotify: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(inotify, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Whether there is word of a change at all; much longer than the kernel takes.
    async fn is_told(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(2), watch.settled()).await.is_ok()
    }

    async fn following(watch: &mut Watch, directories: &[&Path]) {
        let directories = directories.iter().map(|path| path.to_path_buf()).collect();
        watch.follow(&Arc::default(), &directories).await;
    }

    #[tokio::test]
    async fn a_change_is_told_and_reading_is_none() {
        let root = tempfile::tempdir().unwrap();
        let plugin = root.path().join("plugin");
        fs::create_dir(&plugin).unwrap();
        let mut watch = Watch::start();
        following(&mut watch, &[&plugin]).await;
        fs::write(plugin.join("cli.py"), "one").unwrap();
        assert!(is_told(&mut watch).await);
        fs::read(plugin.join("cli.py")).unwrap();
        assert_eq!(fs::read_dir(&plugin).unwrap().count(), 1);
        fs::create_dir(plugin.join("__pycache__")).unwrap();
        assert!(!is_told(&mut watch).await);
        fs::rename(plugin.join("cli.py"), plugin.join("cli")).unwrap();
        assert!(is_told(&mut watch).await);
        following(&mut watch, &[]).await;
        fs::write(plugin.join("cli.py"), "two").unwrap();
        assert!(!is_told(&mut watch).await);
    }

    #[tokio::test]
    async fn a_directory_that_takes_the_place_of_another_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let plugin = root.path().join("plugin");
        let mut watch = Watch::start();
        for _ in 0..2 {
            fs::create_dir(&plugin).unwrap();
            following(&mut watch, &[&plugin]).await;
            fs::write(plugin.join("cli.py"), "").unwrap();
            assert!(is_told(&mut watch).await);
            fs::remove_dir_all(&plugin).unwrap();
            assert!(is_told(&mut watch).await);
        }
    }

    #[tokio::test]
    async fn one_of_two_paths_to_a_directory_may_go() {
        let root = tempfile::tempdir().unwrap();
        let (plugin, link) = (root.path().join("plugin"), root.path().join("link"));
        fs::create_dir(&plugin).unwrap();
        std::os::unix::fs::symlink(&plugin, &link).unwrap();
        let mut watch = Watch::start();
        following(&mut watch, &[&plugin, &link]).await;
        following(&mut watch, &[&plugin]).await;
        fs::write(plugin.join("cli.py"), "").unwrap();
        assert!(is_told(&mut watch).await);
    }

    #[tokio::test]
    async fn what_was_seen_is_told_after_who_waited_gave_up() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = Watch::start();
        following(&mut watch, &[root.path()]).await;
        fs::write(root.path().join("cli.py"), "").unwrap();
        // Seen, and given up before there was quiet.
        assert!(tokio::time::timeout(QUIET / 3, watch.settled()).await.is_err());
        assert!(is_told(&mut watch).await);
    }
}
