//! A digest over what a plugin's description depends on: its sources, its program and its interpreter.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ownership::Review;
use super::scan::Located;
use super::{contract_file, offers};
use crate::hexadecimal;

/// Part of every digest: a new way to describe plugins describes all of them again.
const GENERATION: u32 = 4;
/// Past these a tree is no longer read whole; the stat of what is left still counts.
const MOST_FILES: usize = 2_000;
const DEEPEST: usize = 8;
const MOST_BYTES: u64 = 16 << 20;

/// Returns the digest in hexadecimal: that of the plugin's files, and behind a hyphen that of what reads and runs
/// them. Files that cannot be read count by their name. `review` sees whose each of them is.
pub(crate) fn of(plugin: &Located, review: &mut Review) -> String {
    let mut hash = Sha256::new();
    let mut budget = MOST_BYTES;
    let tree = tree(&plugin.directory);
    for file in &tree.files {
        field(&mut hash, file.as_os_str().as_encoded_bytes());
        if let Ok(found) = fs::metadata(file) {
            review.own(file, &found);
            hash.update(found.mode().to_le_bytes());
            contents(&mut hash, file, &found, &mut budget);
        }
    }
    for directory in &tree.directories {
        if let Ok(found) = fs::metadata(directory) {
            review.own(directory, &found);
        }
    }
    for link in &tree.links {
        review.link(link);
        // What is behind a linked directory is not read: at least it is another one only when this changes.
        let real = link.canonicalize().unwrap_or_default();
        field(&mut hash, real.as_os_str().as_encoded_bytes());
    }
    let mut around = Sha256::new();
    around.update(GENERATION.to_le_bytes());
    around.update(env!("CARGO_PKG_VERSION"));
    // An interpreter is too large to read; replacing it changes what its stat says.
    field(&mut around, plugin.program.as_os_str().as_encoded_bytes());
    stat(&mut around, &plugin.program);
    format!("{}-{}", hexadecimal::write(&hash.finalize()), hexadecimal::write(&around.finalize()))
}

/// Returns whether two digests are of the same files, whatever reads and runs them.
pub(super) fn same_files(one: &str, other: &str) -> bool {
    let files = |digest: &str| digest.contains('-').then(|| files_part(digest).to_owned());
    files(one) == files(other)
}

/// One file as a pin has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) mode: u32,
    /// Of its contents; of what a link leads to, the path.
    pub(crate) digest: String,
}

/// The part of a digest that is of the plugin's files.
pub(super) fn files_part(digest: &str) -> &str {
    digest.split_once('-').map_or(digest, |(files, _)| files)
}

/// Returns a digest of each file by its path below the plugin's directory; a link has an `@` behind its name.
pub(super) fn each(directory: &Path) -> BTreeMap<String, File> {
    let tree = tree(directory);
    let mut budget = MOST_BYTES;
    let name = |path: &Path| path.strip_prefix(directory).unwrap_or(path).display().to_string();
    let mut each = BTreeMap::new();
    for path in &tree.files {
        let Ok(found) = fs::metadata(path) else { continue };
        let mut hash = Sha256::new();
        contents(&mut hash, path, &found, &mut budget);
        let digest = hexadecimal::write(&hash.finalize());
        each.insert(name(path), File { mode: found.mode() & 0o7777, digest });
    }
    for link in &tree.links {
        let real = link.canonicalize().unwrap_or_default().display().to_string();
        each.insert(name(link) + "@", File { mode: 0o777, digest: real });
    }
    each
}

/// What of a plugin's directory counts.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Sorted; some may not exist.
    pub(super) files: Vec<PathBuf>,
    /// Those that were looked through, the plugin's own among them.
    pub(super) directories: Vec<PathBuf>,
    /// Links among the files, and linked directories.
    pub(super) links: Vec<PathBuf>,
}

/// Looks for the files that count.
pub(super) fn tree(directory: &Path) -> Tree {
    let mut tree = Tree::default();
    sources(directory, 0, &mut tree);
    for path in ["cli", contract_file::NAME].map(|name| directory.join(name)) {
        if path.is_symlink() {
            tree.links.push(path.clone());
        }
        tree.files.push(path);
    }
    // It is a resource, and changes as one.
    tree.files.extend(Some(directory.join(offers::README)).filter(|readme| readme.is_file()));
    tree.files.sort();
    tree.files.dedup();
    tree
}

fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// Collects what looks like source: a plugin's data may change with every call, and says nothing of its commands.
fn sources(directory: &Path, depth: usize, tree: &mut Tree) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    tree.directories.push(directory.to_owned());
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if tree.files.len() >= MOST_FILES {
            return;
        }
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let Ok(mut kind) = entry.file_type() else { continue };
        let linked = kind.is_symlink();
        if linked {
            let Ok(found) = fs::metadata(&path) else { continue };
            kind = found.file_type();
        }
        if kind.is_dir() {
            let skipped = name.starts_with('.')
                || ["__pycache__", "venv", "node_modules", "site-packages", "tests"].contains(&name.as_ref());
            // A linked directory may lead back to where it came from.
            if !skipped && linked {
                tree.links.push(path);
            } else if !skipped && depth < DEEPEST {
                sources(&path, depth + 1, tree);
            }
        } else if kind.is_file() && is_source(&name) {
            if linked {
                tree.links.push(path.clone());
            }
            tree.files.push(path);
        }
    }
}

fn is_source(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("py" | "sh" | "js" | "rb"))
        || matches!(name, "requirements.txt" | "pyproject.toml")
}

fn contents(hash: &mut Sha256, path: &Path, found: &Metadata, budget: &mut u64) {
    // A FIFO or a device in a plugin must not be opened.
    if !found.is_file() {
        return;
    }
    let Ok(file) = fs::File::open(path) else { return };
    // As long as it was a moment ago, and one more to see its end by.
    let mut bytes = Vec::with_capacity(found.size().min(*budget) as usize + 1);
    if file.take(*budget + 1).read_to_end(&mut bytes).is_ok() && bytes.len() as u64 <= *budget {
        *budget -= bytes.len() as u64;
        field(hash, &bytes);
    } else {
        stat(hash, path);
    }
}

fn stat(hash: &mut Sha256, path: &Path) {
    if let Ok(found) = fs::metadata(path) {
        for number in
            [found.ino(), found.size(), found.mtime().cast_unsigned(), found.mtime_nsec().cast_unsigned()]
        {
            hash.update(number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn sources_program_and_modes_count_and_data_does_not() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().to_owned();
        fs::write(directory.join("cli.py"), "one").unwrap();
        fs::create_dir(directory.join("lib")).unwrap();
        fs::write(directory.join("lib/more.py"), "more").unwrap();
        let mut plugin = Located {
            name: "p".to_owned(),
            program: "/bin/sh".into(),
            prefix: Vec::new(),
            directory: directory.clone(),
            linked: std::time::SystemTime::UNIX_EPOCH,
            confinement: Default::default(),
            risks: Vec::new(),
        };
        let of = |plugin: &Located| of(plugin, &mut Review::new(Default::default()));
        let first = of(&plugin);
        fs::write(directory.join("state.sqlite"), "data").unwrap();
        fs::write(directory.join("lib/README.md"), "notes").unwrap();
        assert_eq!(of(&plugin), first);
        let mut seen = vec![first];
        let mut differs = |plugin: &Located| {
            let now = of(plugin);
            assert!(!seen.contains(&now));
            seen.push(now);
        };
        fs::write(directory.join("cli.py"), "two").unwrap();
        differs(&plugin);
        fs::write(directory.join("lib/more.py"), "less").unwrap();
        differs(&plugin);
        fs::set_permissions(directory.join("cli.py"), fs::Permissions::from_mode(0o755)).unwrap();
        differs(&plugin);
        plugin.program = "/bin/cat".into();
        differs(&plugin);
        fs::write(directory.join("contract.json"), "{}").unwrap();
        differs(&plugin);
        for text in ["read", "me"] {
            fs::write(directory.join("README.md"), text).unwrap();
            differs(&plugin);
        }
        fs::remove_file(directory.join("lib/more.py")).unwrap();
        differs(&plugin);
        for target in [&directory, Path::new("/usr")] {
            let _none_yet = fs::remove_file(directory.join("linked"));
            std::os::unix::fs::symlink(target, directory.join("linked")).unwrap();
            differs(&plugin);
        }
    }
}
