//! Reads `contract.json`, which stands beside a plugin's entry point and counts before `--describe`: better
//! descriptions without a change to the program.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::Value;

use super::contract;
use super::model::{Description, Source};

pub(crate) const NAME: &str = "contract.json";
/// As much as a program may say to `--describe`.
const LONGEST: u64 = 4 << 20;

/// Returns what the file says, or `None` where there is none; the error is the reason to show.
pub(crate) fn read(directory: &Path) -> Result<Option<Description>, String> {
    let path = directory.join(NAME);
    let wrong = |reason: &str| Err(format!("`{}`: {reason}", path.display()));
    // Opening a FIFO would wait for its writer, and a link may lead out of what the digest covers.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if path.is_symlink() => return wrong(&format!("is a symbolic link: copy it ({error})")),
        Err(error) => return wrong(&format!("cannot be read: {error}")),
    };
    let mut text = Vec::new();
    match file.metadata() {
        Ok(found) if !found.is_file() => return wrong("is not a regular file"),
        Ok(_) => {}
        Err(error) => return wrong(&format!("cannot be read: {error}")),
    }
    if let Err(error) = file.take(LONGEST + 1).read_to_end(&mut text) {
        return wrong(&format!("cannot be read: {error}"));
    }
    if text.len() as u64 > LONGEST {
        return wrong(&format!("is longer than {} MiB", LONGEST >> 20));
    }
    let value: Value = match serde_json::from_slice(&text) {
        Ok(value) => value,
        Err(error) => return wrong(&format!("is broken JSON: {error}")),
    };
    match contract::parse(&value) {
        None => wrong("contract: commands: is missing"),
        Some(Err(error)) => wrong(&error.to_string()),
        Some(Ok(description)) => Ok(Some(Description { source: Source::ContractFile, ..description })),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_read_whole_and_a_bad_one_is_named_with_its_field() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(NAME);
        let said = || match read(root.path()) {
            Ok(found) => format!("{:?}", found.map(|found| (found.source, found.commands.len()))),
            Err(reason) => reason.replace(&root.path().display().to_string(), "R"),
        };
        assert_eq!(said(), "None");
        let cases = [
            (r#"{"commands": [{"name": "a"}]}"#, "Some((ContractFile, 1))"),
            ("", "`R/contract.json`: is broken JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "`R/contract.json`: contract: commands: is missing"),
            (r#"{"plugin": {}}"#, "`R/contract.json`: contract: commands: is missing"),
            (
                r#"{"commands": [{"name": "a", "parameters": [{"name": "b", "type": "text"}]}]}"#,
                "`R/contract.json`: contract: commands[0].parameters[0].type: `text` is none of string, number, \
                 integer, boolean, array, object",
            ),
        ];
        for (text, expected) in cases {
            fs::write(&path, text).unwrap();
            assert_eq!(said(), expected, "{text}");
        }
        fs::write(&path, vec![b' '; (4 << 20) + 1]).unwrap();
        assert_eq!(said(), "`R/contract.json`: is longer than 4 MiB");
        fs::rename(&path, root.path().join("other")).unwrap();
        symlink(root.path().join("other"), &path).unwrap();
        assert!(said().starts_with("`R/contract.json`: is a symbolic link: copy it"), "{}", said());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(said(), "`R/contract.json`: is not a regular file");
        fs::remove_dir(&path).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(said(), "`R/contract.json`: is not a regular file");
    }
}
