//! Outputs that were too long for a result, kept for a while as resources: `smcp://outputs/ID`.
//!
//! Each is its caller's alone, and known only to who got the link.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::auth::Grant;
use crate::executor::Spilled;
use crate::hexadecimal;

const SCHEME: &str = "smcp://outputs/";
/// So many are kept, and so many bytes; the oldest make room.
const MOST: usize = 100;
const MOST_BYTES: u64 = 256 << 20;

/// The outputs of one daemon, which go with it.
#[derive(Debug)]
pub(super) struct Outputs {
    directory: PathBuf,
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    uri: String,
    grant: Arc<Grant>,
    file: Spilled,
}

impl Outputs {
    /// Begins with none: what another daemon left there is nobody's any more.
    pub(super) fn new(cache: &Path) -> Self {
        let directory = cache.join("outputs");
        let _none_left = std::fs::remove_dir_all(&directory);
        Self { directory, kept: Mutex::default() }
    }

    /// Where the output of a call may go.
    pub(super) fn place(&self, call: &str) -> PathBuf {
        self.directory.join(call)
    }

    /// Keeps an output, and returns the link to it.
    pub(super) fn keep(&self, grant: &Arc<Grant>, tool: &str, file: Spilled) -> Value {
        let id = hexadecimal::random_id();
        let uri = format!("{SCHEME}{id}");
        let link = json!({
            "type": "resource_link",
            "uri": uri,
            "name": format!("output of {tool}"),
            "description": "the whole output: resources/read gives it for as long as there is room",
            "mimeType": "text/plain",
            "size": file.bytes,
        });
        let mut kept = self.lock();
        kept.push_back(Kept { uri, grant: Arc::clone(grant), file });
        while kept.len() > MOST || kept.iter().map(|one| one.file.bytes).sum::<u64>() > MOST_BYTES {
            kept.pop_front().inspect(|oldest| remove(&oldest.file));
        }
        link
    }

    /// Returns the file behind a URI, where it is this caller's, within the same reach.
    pub(super) fn find(&self, uri: &str, grant: &Grant) -> Option<PathBuf> {
        let kept = self.lock();
        let found = kept.iter().find(|one| one.uri == uri && one.grant.shares_with(grant));
        found.map(|one| one.file.path.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An output that nobody was told of is not kept.
pub(super) fn remove(file: &Spilled) {
    let _gone = std::fs::remove_file(&file.path);
}

impl Drop for Outputs {
    fn drop(&mut self) {
        let _none_left = std::fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Caller;

    fn spill(outputs: &Outputs, call: &str, bytes: u64) -> Spilled {
        std::fs::create_dir_all(&outputs.directory).unwrap();
        let path = outputs.place(call);
        std::fs::write(&path, call).unwrap();
        Spilled { path, bytes }
    }

    #[test]
    fn an_output_is_its_callers_and_the_oldest_make_room() {
        let cache = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(cache.path());
        let keep = |call: &str, bytes| {
            let link = outputs.keep(&Grant::whole(Caller::Anonymous), "a.b", spill(&outputs, call, bytes));
            link["uri"].as_str().unwrap().to_owned()
        };
        let first = keep("1", 10);
        assert!(outputs.find(&first, &Grant::whole(Caller::Key("k".into()))).is_none());
        assert_eq!(outputs.find(&first, &Grant::whole(Caller::Anonymous)), Some(outputs.place("1")));
        assert!(outputs.find("smcp://outputs/", &Grant::whole(Caller::Anonymous)).is_none());
        let second = keep("2", MOST_BYTES);
        assert!(
            outputs.find(&first, &Grant::whole(Caller::Anonymous)).is_none() && !outputs.place("1").exists()
        );
        (3..200).for_each(|number| drop(keep(&number.to_string(), 1)));
        assert!(outputs.find(&second, &Grant::whole(Caller::Anonymous)).is_none());
        assert_eq!(std::fs::read_dir(&outputs.directory).unwrap().count(), MOST);
        drop(outputs);
        assert!(!cache.path().join("outputs").exists());
    }
}
