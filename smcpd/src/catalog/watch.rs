//! Word of changes below the plugins directory and in the plugins themselves, however many at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// So long nothing must have happened before a change is looked at: a copy in progress is not read half.
const QUIET: Duration = Duration::from_millis(300);
/// A directory that never rests is looked at all the same.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches the plugins directory and the directories that its links lead to.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Without inotify (too many instances, say) nothing is watched, and one line says so.
    pub(super) fn start() -> Self {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| matters(&event)) {
                notify.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "plugins are not watched: rescan after a change"))
            .ok();
        Self { watcher, watched: BTreeSet::new(), changed }
    }

    /// Watches exactly these directories; one that is gone already is passed over.
    pub(super) fn follow(&mut self, directories: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&directories) {
            // A directory that was removed is no longer watched anyway.
            let _gone = watcher.unwatch(gone);
        }
        for new in directories.difference(&self.watched) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::debug!(directory = %new.display(), %error, "not watched");
            }
        }
        self.watched = directories;
    }

    /// Waits for a change, and then until there was quiet.
    pub(super) async fn settled(&self) {
        self.changed.notified().await;
        let rest = async { while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {} };
        let _restless = tokio::time::timeout(LONGEST, rest).await;
    }
}

/// Reading a plugin changes nothing, and neither does what Python caches beside it.
fn matters(event: &notify::Event) -> bool {
    let changes = match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Metadata(_)) => true,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    };
    let passed_over =
        |path: &PathBuf| path.file_name().is_some_and(|name| Path::new(name) == Path::new("__pycache__"));
    changes && (event.paths.is_empty() || !event.paths.iter().all(passed_over))
}
