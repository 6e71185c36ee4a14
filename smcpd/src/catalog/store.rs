//! Descriptions kept on disk by digest, so that a warm start runs nothing. Whatever cannot be read is made again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::digest;
use super::model::Description;

#[derive(Serialize)]
struct Written<'a> {
    digest: &'a str,
    /// The digest of what of it a model sees, which a pin has too.
    contract: &'a str,
    description: &'a Description,
}

/// The description is read only where it is the one that is asked for.
#[derive(Deserialize)]
struct Read<'a> {
    digest: &'a str,
    contract: &'a str,
    #[serde(borrow)]
    description: &'a RawValue,
}

/// What is kept of a plugin.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Nothing,
    Same(Box<Description>, String),
    /// Its files are the same, and what reads and runs them is not.
    SameFiles,
    OtherFiles,
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

    /// Looks for what the plugin was with this digest.
    pub(crate) fn find(&self, plugin: &str, digest: &str) -> Found {
        let Ok(text) = fs::read(self.path(plugin)) else { return Found::Nothing };
        let Ok(read) = serde_json::from_slice::<Read<'_>>(&text) else { return Found::Nothing };
        if read.digest == digest {
            return serde_json::from_str(read.description.get()).map_or(Found::Nothing, |description| {
                Found::Same(Box::new(description), read.contract.to_owned())
            });
        }
        if digest::same_files(read.digest, digest) { Found::SameFiles } else { Found::OtherFiles }
    }

    /// Keeps a description; failing to is a slower start next time, and one line in the log.
    pub(crate) fn save(&self, plugin: &str, digest: &str, contract: &str, description: &Description) {
        let entry = Written { digest, contract, description };
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
        assert_eq!(store.find("p", "1"), Found::Nothing);
        store.save("p", "1", "c", &description);
        assert_eq!(store.find("p", "1"), Found::Same(Box::new(description.clone()), "c".to_owned()));
        assert_eq!(store.find("p", "2"), Found::SameFiles);
        store.save("p", "files-1", "c", &description);
        assert_eq!(store.find("p", "files-2"), Found::SameFiles);
        assert_eq!(store.find("p", "others-1"), Found::OtherFiles);
        assert_eq!(store.find("q", "files-1"), Found::Nothing);
        fs::write(store.path("p"), b"{\"digest\": \"1\"").unwrap();
        assert_eq!(store.find("p", "1"), Found::Nothing);
        fs::write(
            store.path("p"),
            b"{\"digest\": \"1\", \"contract\": \"c\", \"description\": {\"commands\": 1}}",
        )
        .unwrap();
        assert_eq!(store.find("p", "1"), Found::Nothing);
        Store::new(Path::new("/proc/nowhere")).save("p", "1", "c", &Description::default());
    }
}
