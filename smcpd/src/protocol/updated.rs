//! Resources that clients subscribe to, and whether they are what they were (`notifications/resources/updated`).
//!
//! Only what can be seen without running anything is watched: texts of the contract, files, and of a command the plugin
//! that it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use super::Service;
use crate::catalog::{Catalog, Origin};

/// What listeners without a session subscribe to: how many of them to each.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    uris: Mutex<BTreeMap<String, usize>>,
}

impl Wanted {
    /// Notes what one listener wants, until the guard is dropped.
    pub(super) fn want(self: &Arc<Self>, uris: &[String]) -> Wants {
        let mut all = self.uris.lock().unwrap_or_else(PoisonError::into_inner);
        for uri in uris {
            *all.entry(uri.clone()).or_default() += 1;
        }
        Wants { wanted: Arc::clone(self), uris: uris.to_vec() }
    }

    fn all(&self) -> BTreeSet<String> {
        self.uris.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// What one listener wants.
#[derive(Debug)]
pub(super) struct Wants {
    wanted: Arc<Wanted>,
    uris: Vec<String>,
}

impl Drop for Wants {
    fn drop(&mut self) {
        let mut all = self.wanted.uris.lock().unwrap_or_else(PoisonError::into_inner);
        for uri in &self.uris {
            if let Some(count) = all.get_mut(uri) {
                *count -= 1;
                if *count == 0 {
                    all.remove(uri);
                }
            }
        }
    }
}

/// How each resource was when it was last looked at.
pub(super) type Versions = BTreeMap<String, Option<String>>;

impl Service {
    /// Looks at every resource that somebody subscribes to, and tells of those that changed since the last look.
    pub(super) async fn look_at_resources(&self, before: &mut Versions) {
        let mut uris = self.wanted.all();
        for session in self.sessions.all() {
            uris.extend(session.subscriptions());
        }
        let catalog = self.catalog.snapshot();
        let of_plugin =
            |uri: &String| catalog.offered().resource(uri).map(|found| found.plugin.name().to_owned());
        let asked = uris.iter().map(|uri| (of_plugin(uri).unwrap_or_default(), uri.clone())).collect();
        let shared = Arc::clone(&catalog);
        let found = self.silent().look(asked, move |_, uri| version(&shared, uri)).await.into_iter();
        // Of one that does not answer, nobody knows otherwise.
        let known = |uri: &String| before.get(uri).cloned().flatten();
        let now: Versions = uris
            .into_iter()
            .zip(found)
            .map(|(uri, (_, version))| {
                let version = version.unwrap_or_else(|| known(&uri));
                (uri, version)
            })
            .collect();
        for uri in changed(before, &now) {
            self.tell_updated(uri);
        }
        *before = now;
    }
}

/// One that was not looked at before has not changed.
fn changed(before: &Versions, now: &Versions) -> Vec<String> {
    let is_other =
        |(uri, version): &(&String, &Option<String>)| before.get(*uri).is_some_and(|known| known != *version);
    now.iter().filter(is_other).map(|(uri, _)| uri.clone()).collect()
}

/// What a resource is known by; `None` where it is not there.
fn version(catalog: &Catalog, uri: &str) -> Option<String> {
    let found = catalog.offered().resource(uri)?;
    Some(match found.from {
        Origin::Text(text) | Origin::Blob(text) => text.to_owned(),
        Origin::File(path) => {
            // Where it cannot be looked at, reading it will say why.
            let file = std::fs::symlink_metadata(found.plugin.directory().join(path)).ok()?;
            format!("{}.{} {} {}", file.mtime(), file.mtime_nsec(), file.len(), file.ino())
        }
        Origin::Command(..) => found.plugin.digest().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_and_is_other_has_changed() {
        let versions = |list: &[(&str, Option<&str>)]| -> Versions {
            list.iter().map(|(uri, version)| ((*uri).to_owned(), version.map(str::to_owned))).collect()
        };
        let before = versions(&[("a", Some("1")), ("b", Some("1")), ("c", None), ("d", Some("1"))]);
        let now = versions(&[
            ("a", Some("2")),
            ("b", Some("1")),
            ("c", Some("1")),
            ("d", None),
            ("new", Some("1")),
        ]);
        assert_eq!(changed(&before, &now), ["a", "c", "d"]);
    }

    #[test]
    fn a_listener_wants_as_long_as_it_listens() {
        let wanted = Arc::new(Wanted::default());
        let one = wanted.want(&["a".to_owned(), "b".to_owned()]);
        let two = wanted.want(&["b".to_owned()]);
        drop(one);
        assert_eq!(wanted.all(), BTreeSet::from(["b".to_owned()]));
        drop(two);
        assert!(wanted.all().is_empty());
    }
}
