//! What differs between a plugin as it was pinned and as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::Pieces;
use crate::catalog::digest::File;

/// Everything that differs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Drift {
    /// The pin itself cannot be read.
    pub(crate) unreadable: Option<String>,
    /// From where to where the plugin's directory went.
    pub(crate) directory: Option<(PathBuf, PathBuf)>,
    pub(crate) interpreter: Option<(String, String)>,
    pub(crate) files: Vec<FileChange>,
    pub(crate) pieces: Vec<PieceChange>,
}

/// A file that is not as it was; none on one side means that it was not there, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileChange {
    pub(crate) path: String,
    pub(crate) before: Option<File>,
    pub(crate) after: Option<File>,
}

/// A tool, prompt, resource or template that is not as it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PieceChange {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Drift {
    /// Nobody knows what was approved, so that all of it is new.
    pub(super) fn unreadable(reason: String, now: &Pieces) -> Self {
        Self { unreadable: Some(reason), pieces: pieces(&Pieces::new(), now), ..Self::default() }
    }

    /// Says what differs in a line; nothing where nothing does.
    pub(crate) fn summary(&self) -> Option<String> {
        let mut said = Vec::new();
        said.extend(self.unreadable.clone());
        said.extend(self.directory.as_ref().map(|(_, now)| format!("it is now at `{}`", now.display())));
        said.extend(self.interpreter.as_ref().map(|(_, now)| format!("it is now run by `{now}`")));
        said.extend(listed("file", self.files.iter().map(|file| (file.path.as_str(), file.what()))));
        if self.unreadable.is_none() {
            for kind in ["tool", "prompt", "resource", "template", "plugin"] {
                let pieces = self.pieces.iter().filter(|piece| piece.kind == kind);
                said.extend(listed(kind, pieces.map(|piece| (piece.name.as_str(), piece.what()))));
            }
        }
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// The keys of what is new or not as it was.
    pub(super) fn changed_keys(&self) -> BTreeSet<String> {
        let there = self.pieces.iter().filter(|piece| piece.after.is_some());
        there.map(|piece| super::contract::key(&piece.kind, &piece.name)).collect()
    }
}

/// How many are named in a line.
const NAMED: usize = 3;

/// `tools changed: a, b and 3 more`
fn listed<'a>(kind: &str, changes: impl Iterator<Item = (&'a str, &'static str)>) -> Vec<String> {
    let mut by_change: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, what) in changes {
        by_change.entry(what).or_default().push(name);
    }
    let say = |(what, names): (&str, Vec<&str>)| {
        let shown = names.iter().take(NAMED).map(|name| format!("`{}`", short(name))).collect::<Vec<_>>();
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{kind} {what}: {}{more}", shown.join(", "))
    };
    by_change.into_iter().map(say).collect()
}

/// A name goes into a log line and a reason.
fn short(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

impl FileChange {
    fn what(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(before), Some(after)) if before.digest == after.digest => "of other rights",
            (Some(_), Some(_)) => "changed",
        }
    }
}

impl PieceChange {
    fn what(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(_), Some(_)) => "changed",
        }
    }
}

pub(super) fn files(before: &BTreeMap<String, File>, after: &BTreeMap<String, File>) -> Vec<FileChange> {
    let change = |path: &&String| {
        let (before, after) = (before.get(*path), after.get(*path));
        let change = FileChange { path: (*path).clone(), before: before.cloned(), after: after.cloned() };
        (before != after).then_some(change)
    };
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths.iter().filter_map(change).collect()
}

pub(super) fn pieces(before: &Pieces, after: &Pieces) -> Vec<PieceChange> {
    let change = |key: &&String| {
        let (kind, name) = key.split_once(' ').unwrap_or(("", key));
        let (before, after) = (before.get(*key), after.get(*key));
        let change = PieceChange {
            kind: kind.to_owned(),
            name: name.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        };
        (before != after).then_some(change)
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.iter().filter_map(change).collect()
}
