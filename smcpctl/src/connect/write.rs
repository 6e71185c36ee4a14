//! Puts an entry into a client's file: whole or not at all, with what was there kept beside it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::clients::Offer;
use crate::cli::Connect;
use crate::exit::{Exit, Failure};

/// What became of the file.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) file: PathBuf,
    /// It did not have the entry, or had another one.
    pub(super) changed: bool,
    pub(super) backup: Option<PathBuf>,
}

/// Writes the offer into the file that was asked for, or else the client's own.
pub(super) fn into(wanted: &Connect, offer: &Offer, is_secret: bool) -> Result<Written, Failure> {
    let file = wanted.file.clone().or_else(|| offer.file.clone()).ok_or_else(|| {
        Failure::new(Exit::Failed, "the client's file cannot be found without a home")
            .hint("name it with --file")
    })?;
    // A link to a file somewhere else stays a link.
    if file.is_symlink() && !file.exists() {
        let message = format!("`{}` is a link to nothing", file.display());
        return Err(Failure::new(Exit::Invalid, message).hint("mend or remove it first"));
    }
    let file = file.canonicalize().unwrap_or(file);
    let before = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", &file, &error)),
    };
    let Some(after) = merged(before.as_deref(), offer).map_err(|reason| {
        let message = format!("`{}` is left as it is: {reason}", file.display());
        Failure::new(Exit::Invalid, message).hint("without --write, what to add by hand is printed")
    })?
    else {
        if is_secret && !wanted.dry_run {
            for_the_owner(&file).map_err(|error| failed("close", &file, &error))?;
        }
        return Ok(Written { file, changed: false, backup: None });
    };
    if wanted.dry_run {
        return Ok(Written { file, changed: true, backup: None });
    }
    let backup = before.map(|before| keep(&file, &before)).transpose()?;
    replace(&file, &after, is_secret)?;
    Ok(Written { file, changed: true, backup })
}

/// Returns the text with the entry in it; `None` where it has it already.
fn merged(before: Option<&str>, offer: &Offer) -> Result<Option<String>, String> {
    let mut document = match before.filter(|text| !text.trim().is_empty()) {
        None => Map::new(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return Err("it is no JSON object".to_owned()),
            // Comments would be lost.
            Err(error) => return Err(format!("it is no plain JSON: {error}")),
        },
    };
    let unchanged = document.clone();
    let section = document.entry(offer.section).or_insert_with(|| json!({}));
    let Value::Object(servers) = section else { return Err(format!("its `{}` is no object", offer.section)) };
    servers.insert(offer.name.clone(), offer.entry.clone().unwrap_or_default());
    if let Some(input) = &offer.inputs {
        let Value::Array(inputs) = document.entry("inputs").or_insert_with(|| json!([])) else {
            return Err("its `inputs` is no list".to_owned());
        };
        inputs.retain(|known| known["id"] != input["id"]);
        inputs.push(input.clone());
    }
    Ok((document != unchanged).then(|| format!("{:#}\n", Value::Object(document))))
}

/// Copies what was there under a name that is free; it may hold secrets of others.
fn keep(file: &Path, text: &str) -> Result<PathBuf, Failure> {
    for number in 1..10_000 {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".smcp-backup-{number}"));
        let backup = PathBuf::from(name);
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&backup);
        match opened.and_then(|mut opened| opened.write_all(text.as_bytes())) {
            Ok(()) => return Ok(backup),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("write", &backup, &error)),
        }
    }
    Err(Failure::new(Exit::Failed, format!("`{}` has too many backups", file.display())))
}

/// Takes the rights of everyone else away.
fn for_the_owner(file: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(file)?.permissions().mode();
    fs::set_permissions(file, fs::Permissions::from_mode(mode & 0o600))
}

/// Swaps in a new file; a key in it is for its owner alone.
fn replace(file: &Path, text: &str, is_secret: bool) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| failed("write", file, &error);
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(wrong)?;
    }
    let mode = fs::metadata(file).map_or(0o600, |found| found.permissions().mode());
    let mode = if is_secret { mode & 0o600 } else { mode };
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut opened| opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()))
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, file));
    written.map_err(|error| {
        let _leftover = fs::remove_file(&new);
        wrong(error)
    })
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("cannot {what} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            file: None,
            section: "servers",
            name: "smcp".to_owned(),
            entry: Some(json!({"url": "u"})),
            inputs: Some(json!({"id": "smcp-key"})),
            command: None,
        }
    }

    #[test]
    fn what_is_there_stays_in_its_order_and_a_second_time_changes_nothing() {
        let before = r#"{"z": 1, "servers": {"other": {"url": "o"}, "smcp": {"url": "old"}}, "a": 2}"#;
        let after = merged(Some(before), &offer()).unwrap().unwrap();
        let compact = serde_json::from_str::<Value>(&after).unwrap().to_string();
        assert_eq!(
            compact,
            r#"{"z":1,"servers":{"other":{"url":"o"},"smcp":{"url":"u"}},"a":2,"inputs":[{"id":"smcp-key"}]}"#
        );
        assert_eq!(merged(Some(&after), &offer()), Ok(None));
        for empty in [None, Some(""), Some(" \n"), Some("{}")] {
            assert!(merged(empty, &offer()).unwrap().is_some());
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_written_over() {
        for before in [
            "// a comment\n{}",
            "{\"a\": 1,}",
            "[]",
            "7",
            "{\"servers\": []}",
            "{\"servers\": {}, \"inputs\": {}}",
            "\u{0}",
        ] {
            assert!(merged(Some(before), &offer()).is_err(), "{before}");
        }
    }

    #[test]
    fn backups_never_replace_each_other_and_a_key_is_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("below/mcp.json");
        replace(&file, "one", false).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let (first, second) = (keep(&file, "a").unwrap(), keep(&file, "b").unwrap());
        assert_ne!(first, second);
        assert_eq!(fs::read_to_string(&first).unwrap(), "a");
        replace(&file, "two", false).unwrap();
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o644);
        replace(&file, "key", true).unwrap();
        assert_eq!((mode(), fs::read_to_string(&file).unwrap().as_str()), (0o600, "key"));
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 3);
    }
}
