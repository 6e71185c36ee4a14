//! Makes a virtual environment from `requirements.txt`: beside the old one, which it replaces only when it is whole.
//!
//! What the tools say is shown on stderr as they say it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{CWD, RenameFlags};

use super::held::Held;
use crate::beside::on_path;
use crate::exit::{Exit, Failure};
use crate::table::escape;

pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// Makes `target` for the plugin in `directory`; a failure leaves what was there.
pub(super) fn build(directory: &Path, target: &Path, held: &Held) -> Result<Exit, Failure> {
    if rustix::process::geteuid().is_root() {
        let failure = Failure::new(Exit::NotPermitted, "packages are never installed by root");
        return Err(failure.hint("use `smcpctl plugin deps`, which becomes another user"));
    }
    let parent = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|error| failed("create", parent, &error))?;
    clear_abandoned(parent);
    let draft = parent.join(draft_name(std::process::id()));
    // What is there can be granted.
    fs::create_dir(&draft).map_err(|error| failed("create", &draft, &error))?;
    let made = install(directory, &draft, held).and_then(|()| {
        let placed = relocate(&draft, target).and_then(|()| place(&draft, target));
        placed.map_err(|error| failed("make", target, &error))
    });
    // The draft where it failed, else the old environment.
    if draft.exists()
        && let Err(error) = fs::remove_dir_all(&draft)
    {
        note(&format!("cannot remove `{}`: {error}", draft.display()));
    }
    made.map(|()| Exit::Ok)
}

fn draft_name(pid: u32) -> String {
    format!(".venv.{pid}.new")
}

/// Removes what interrupted runs have left.
fn clear_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix(".venv.")?.strip_suffix(".new")?.parse().ok());
        let is_abandoned = pid.is_some_and(|pid: u32| !Path::new(&format!("/proc/{pid}")).exists());
        if is_abandoned && let Err(error) = fs::remove_dir_all(entry.path()) {
            note(&format!("cannot remove `{}`: {error}", entry.path().display()));
        }
    }
}

/// With uv where there is one, else with what Python brings.
fn install(directory: &Path, draft: &Path, held: &Held) -> Result<(), Failure> {
    let run = |program: &Path, words: &[&OsStr]| run(program, words, directory, draft, held);
    let requirements = directory.join(REQUIREMENTS);
    let (requirements, python) = (requirements.as_os_str(), draft.join("bin/python"));
    let word = OsStr::new;
    if let Some(uv) = on_path("uv") {
        run(&uv, &[word("venv"), draft.as_os_str()])?;
        let words =
            [word("pip"), word("install"), word("--python"), python.as_os_str(), word("-r"), requirements];
        return run(&uv, &words);
    }
    let Some(base) = on_path("python3") else {
        let failure = Failure::new(Exit::Failed, "neither `uv` nor `python3` is on the PATH");
        return Err(failure.hint("install one of them"));
    };
    run(&base, &[word("-m"), word("venv"), draft.as_os_str()])?;
    let options = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r"].map(word);
    let words: Vec<&OsStr> = options.into_iter().chain([requirements]).collect();
    run(&python, &words)
}

/// In the sandbox that the plugin's own processes have, but that it writes the `draft` alone.
fn run(program: &Path, words: &[&OsStr], directory: &Path, draft: &Path, held: &Held) -> Result<(), Failure> {
    let said: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    note(&format!("{} {}", program.display(), said.join(" ")));
    let wrong = |reason: String| {
        Failure::new(Exit::Failed, format!("`{} {}` {reason}", program.display(), escape(&said.join(" "))))
            .hint("see above for what it said; the old environment, if any, is as it was")
    };
    // stdout belongs to our result.
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| wrong(error.to_string()))?;
    let child = held
        .command(program, directory, draft)?
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(stderr)
        .spawn();
    match child.and_then(|mut child| child.wait()) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(wrong(format!("failed: {status}"))),
        Err(error) => Err(wrong(format!("cannot start: {error}"))),
    }
}

/// Makes what names the draft name the target: a virtual environment knows its place by heart.
fn relocate(draft: &Path, target: &Path) -> std::io::Result<()> {
    let (from, to) = (draft.as_os_str().as_encoded_bytes(), target.as_os_str().as_encoded_bytes());
    let scripts = fs::read_dir(draft.join("bin"))?.flatten().map(|entry| entry.path());
    for path in scripts.chain([draft.join("pyvenv.cfg")]) {
        if !fs::symlink_metadata(&path)?.is_file() {
            continue;
        }
        let bytes = fs::read(&path)?;
        if let Some(moved) = replaced(&bytes, from, to) {
            fs::write(&path, moved)?;
        }
    }
    Ok(())
}

/// Returns the bytes with every `from` as `to`; `None` where there is none, and in a binary.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    if bytes.contains(&0) {
        return None;
    }
    let mut moved = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut found = false;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        moved.extend_from_slice(&rest[..at]);
        moved.extend_from_slice(to);
        rest = &rest[at + from.len()..];
        found = true;
    }
    moved.extend_from_slice(rest);
    found.then_some(moved)
}

/// Puts the draft in the target's place; what was there is where the draft was.
fn place(draft: &Path, target: &Path) -> std::io::Result<()> {
    if fs::symlink_metadata(target).is_err() {
        return fs::rename(draft, target);
    }
    match rustix::fs::renameat_with(CWD, draft, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Not every file system can.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let old = draft.with_extension("old");
            fs::rename(target, &old)?;
            fs::rename(draft, target).inspect_err(|_| {
                let _back = fs::rename(&old, target);
            })?;
            fs::remove_dir_all(old)
        }
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::print_stderr, reason = "progress is no result")]
fn note(text: &str) {
    eprintln!("{}", escape(text));
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::PermissionDenied => Exit::NotPermitted,
        _ => Exit::Failed,
    };
    let failure =
        Failure::new(exit, format!("cannot {what} `{}`: {error}", escape(&path.display().to_string())));
    failure.hint("run it as the user that the daemon runs as")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_follows_its_environment_and_a_binary_is_left_alone() {
        let cases: [(&[u8], Option<&[u8]>); 5] = [
            (b"#!/p/.venv.7.new/bin/python\nx", Some(b"#!/p/.venv/bin/python\nx")),
            (b"a /p/.venv.7.new b /p/.venv.7.new", Some(b"a /p/.venv b /p/.venv")),
            (b"#!/usr/bin/python\n", None),
            (b"\0/p/.venv.7.new", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(replaced(bytes, b"/p/.venv.7.new", b"/p/.venv").as_deref(), expected);
        }
    }
}
