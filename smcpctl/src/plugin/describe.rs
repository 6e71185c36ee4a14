//! Prints what was found out of a plugin as a contract, or saves it beside the entry point.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::inspection::Inspection;
use crate::exit::{Exit, Failure};
use crate::table::{escape, plain, print, print_json};

const NAME: &str = "contract.json";

/// Describes the plugin at `path`; `write` saves the contract instead of printing it.
pub(super) async fn describe(path: &Path, write: bool, dry_run: bool, json: bool) -> Result<Exit, Failure> {
    let found = Inspection::of(path).await?;
    let contract = &found.0["contract"];
    if contract.is_null() {
        let message = format!("the plugin cannot be described: {}", escape(&found.reason()));
        let hint = format!("see `smcpctl plugin check {}`", path.display());
        return Err(Failure::new(Exit::Invalid, message).hint(hint));
    }
    if !write {
        match json {
            true => print_json("contract", contract)?,
            false => print(&(plain(&format!("{contract:#}")) + "\n"))?,
        }
        return Ok(Exit::Ok);
    }
    let directory = found.0["plugin"]["directory"].as_str().map(PathBuf::from).unwrap_or_default();
    let said = match save(&directory, &format!("{contract:#}\n"), dry_run)? {
        Saved::Unchanged => "says so already",
        Saved::New if dry_run => "would be written",
        Saved::New => "is written",
        Saved::Replaced if dry_run => "would be replaced, and the old one kept as `contract.json.bak`",
        Saved::Replaced => "is replaced; the old one is `contract.json.bak`",
    };
    let file = directory.join(NAME).display().to_string();
    match json {
        true => {
            print_json("written", &serde_json::json!({"file": file, "dry_run": dry_run, "outcome": said}))?;
        }
        false => print(&format!("`{}` {said}\n", escape(&file)))?,
    }
    Ok(Exit::Ok)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saved {
    Unchanged,
    New,
    Replaced,
}

/// Writes the contract whole or not at all; what was there stays beside it.
fn save(directory: &Path, text: &str, dry_run: bool) -> Result<Saved, Failure> {
    let path = directory.join(NAME);
    let before = match fs::read(&path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", &path, &error)),
    };
    // What a person laid out by hand is the same contract.
    let same = before.as_deref().is_some_and(|before| {
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        value(before) == value(text.as_bytes())
    });
    match before {
        Some(_) if same => Ok(Saved::Unchanged),
        Some(_) if dry_run => Ok(Saved::Replaced),
        None if dry_run => Ok(Saved::New),
        Some(before) => {
            replace(&directory.join("contract.json.bak"), &before)?;
            replace(&path, text.as_bytes())?;
            Ok(Saved::Replaced)
        }
        None => {
            replace(&path, text.as_bytes())?;
            Ok(Saved::New)
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _left = fs::remove_file(&new);
        failed("write", path, &error)
    })
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let shown = escape(&path.display().to_string());
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Failure::new(Exit::NotPermitted, format!("cannot {what} `{shown}`: {error}"))
                .hint("run it as the owner of the plugin")
        }
        _ => Failure::new(Exit::Failed, format!("cannot {what} `{shown}`: {error}")),
    }
}
