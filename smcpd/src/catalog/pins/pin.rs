//! The record of one plugin on disk: a line with digests, which is all that is read while nothing differs, and a line
//! with what they stand for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Now, Pieces, Pinned};
use crate::catalog::digest::File;

pub(super) const VERSION: u32 = 1;

/// What is compared each time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) directory: PathBuf,
    pub(super) files: String,
    pub(super) interpreter: String,
    pub(super) contract: String,
    pub(super) time: String,
    pub(super) how: String,
    pub(super) uid: Option<u32>,
    pub(super) release: String,
}

/// What says in words how something differs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) files: BTreeMap<String, File>,
    pub(super) contract: Pieces,
}

impl Head {
    pub(super) fn is_of(&self, now: &Now) -> bool {
        self.directory == now.directory && self.files == now.files && self.interpreter == now.interpreter
    }

    pub(super) fn into_pinned(self) -> Pinned {
        Pinned { time: self.time, how: self.how, uid: self.uid, release: self.release }
    }
}

fn path(directory: &Path, plugin: &str) -> PathBuf {
    directory.join(format!("{plugin}.json"))
}

/// The part of a record that is read on demand.
#[derive(Debug)]
pub(super) struct Rest {
    path: PathBuf,
    text: Vec<u8>,
    start: usize,
}

impl Rest {
    pub(super) fn read(&self) -> Result<Body, String> {
        serde_json::from_slice(self.text.get(self.start..).unwrap_or_default())
            .map_err(|error| broken(&self.path, &error.to_string()))
    }
}

fn broken(path: &Path, reason: &str) -> String {
    format!("its pin `{}` cannot be read: {reason}", path.display())
}

/// Reads the record of a plugin. `None`: it has none.
pub(super) fn read(directory: &Path, plugin: &str) -> Result<Option<(Head, Rest)>, String> {
    let path = path(directory, plugin);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(broken(&path, &error.to_string())),
    };
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let head: Head =
        serde_json::from_slice(&text[..end]).map_err(|error| broken(&path, &error.to_string()))?;
    if head.version != VERSION {
        return Err(broken(&path, &format!("it is of version {}", head.version)));
    }
    Ok(Some((head, Rest { path, text, start: end + 1 })))
}

/// Writes it whole or not at all, for this user alone.
pub(super) fn write(directory: &Path, plugin: &str, head: &Head, body: &Body) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let new = directory.join(format!(".{plugin}.new"));
    let mut text = serde_json::to_vec(head)?;
    text.push(b'\n');
    serde_json::to_writer(&mut text, body)?;
    text.push(b'\n');
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    fs::rename(new, path(directory, plugin))
}

/// One that is not there need not be removed.
pub(super) fn remove(directory: &Path, plugin: &str) {
    let _gone = fs::remove_file(path(directory, plugin));
}
