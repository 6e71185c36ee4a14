//! Descriptions kept on disk by digest, so that a warm start runs nothing. Whatever cannot be read is made again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest;
use super::model::Description;

#[derive(Serialize, Deserialize)]
struct Entry {
    digest: String,
    description: Description,
}

/// The cache of one daemon: a file a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    pub(crate) fn new(cache: &Path) -> Self {
        Self { directory: cache.join("described") }
    }

    fn path(&self, plugin: &str) -> PathBuf {
        self.directory.join(format!("{plugin}.json"))
    }

    fn entry(&self, plugin: &str) -> Option<Entry> {
        serde_json::from_slice(&fs::read(self.path(plugin)).ok()?).ok()
    }

    pub(crate) fn load(&self, plugin: &str, digest: &str) -> Option<Description> {
        let entry = self.entry(plugin)?;
        (entry.digest == digest).then_some(entry.description)
    }

    /// Returns whether the plugin had other files when it was last described.
    pub(crate) fn had_other_files(&self, plugin: &str, digest: &str) -> bool {
        self.entry(plugin).is_some_and(|entry| !digest::same_files(&entry.digest, digest))
    }

    /// Keeps a description; failing to is a slower start next time, and one line in the log.
    pub(crate) fn save(&self, plugin: &str, digest: &str, description: &Description) {
        let entry = Entry { digest: digest.to_owned(), description: description.clone() };
        let written = fs::create_dir_all(&self.directory).and_then(|()| {
            let new = self.directory.join(format!(".{plugin}.new"));
            fs::write(&new, serde_json::to_vec(&entry).expect("a description has string keys"))?;
            fs::rename(new, self.path(plugin))
        });
        if let Err(error) = written {
            tracing::warn!(plugin, %error, "cannot keep the description of a plugin");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_digest_is_found_and_a_broken_file_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let description = Description { title: Some("t".to_owned()), ..Description::default() };
        assert_eq!(store.load("p", "1"), None);
        store.save("p", "1", &description);
        assert_eq!(store.load("p", "1").as_ref(), Some(&description));
        assert_eq!(store.load("p", "2"), None);
        store.save("p", "files-1", &description);
        assert!(!store.had_other_files("p", "files-2") && store.had_other_files("p", "others-1"));
        assert!(!store.had_other_files("q", "files-1"));
        fs::write(store.path("p"), b"{\"digest\": \"1\"").unwrap();
        assert_eq!(store.load("p", "1"), None);
        Store::new(Path::new("/proc/nowhere")).save("p", "1", &Description::default());
    }
}
