//! Finds plugins in their directory, and in each the program that runs; starts nothing.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::confinement::Confinement;
use super::names;
use super::ownership::Risk;

/// A plugin that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// The link's name, wherever it leads.
    pub(crate) name: String,
    /// Canonical.
    pub(crate) directory: PathBuf,
    pub(crate) program: PathBuf,
    /// What stands before the plugin's own arguments.
    pub(crate) prefix: Vec<OsString>,
    /// When the link was made, or the directory where there is no link: who came first keeps a name.
    pub(crate) linked: SystemTime,
    /// None but what [`super::confinement`] chooses.
    pub(crate) confinement: Confinement,
    /// Who else may change what it runs; none before somebody looked.
    pub(crate) risks: Vec<Risk>,
}

impl Located {
    /// Returns whether this is Python, whose parsers can be looked into.
    pub(crate) fn may_have_parser(&self) -> bool {
        !self.prefix.is_empty()
            || matches!(first_line(&self.program), Ok(Some(line)) if line.contains("python"))
    }
}

/// The interpreters that a plugin may be run with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interpreters<'a> {
    /// The configured or found `python3`.
    pub(crate) python: Option<&'a Path>,
    /// Holds virtual environments by plugin name, made for plugins whose own directory is not writable.
    pub(crate) environments: &'a Path,
}

/// Lists the names of a plugins directory, sorted; files that are no plugins are passed over.
pub(crate) fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ordinary_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !name.starts_with('.') && name != "__pycache__" && !ordinary_file {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Finds the program of the plugin at `entry`, or says why it has none. `within` is the real path of what `entry` is in,
/// where that is known.
pub(crate) fn locate(
    entry: &Path,
    name: &str,
    within: Option<&Path>,
    python: Option<&Path>,
    interpreters: Interpreters<'_>,
) -> Result<Located, String> {
    if !names::is_plain(name) {
        return Err("its name must be letters, digits, `_` and `-`".to_owned());
    }
    let found = entry.symlink_metadata();
    let directory = match (&found, within) {
        (Ok(found), Some(within)) if found.is_dir() => within.join(name),
        _ => real_directory(entry)?,
    };
    let script = directory.join("cli.py");
    let program = directory.join("cli");
    // Asked first, which tells an unreadable one from one without an entry point.
    rustix::fs::access(&directory, rustix::fs::Access::READ_OK)
        .map_err(|error| format!("cannot read `{}`: {}", directory.display(), std::io::Error::from(error)))?;
    let located = |program: PathBuf, prefix: Vec<OsString>| Located {
        name: name.to_owned(),
        directory: directory.clone(),
        program,
        prefix,
        linked: linked(found.as_ref().ok()),
        confinement: Confinement::default(),
        risks: Vec::new(),
    };
    if script.symlink_metadata().is_ok() {
        let shebang = first_line(&script)?;
        let runs_itself = shebang.is_some() && is_executable(&script);
        let is_python = shebang.as_deref().is_none_or(|line| line.contains("python"));
        let environment = || virtual_environment(&directory, interpreters.environments, name);
        let own = if is_python { python.map(Path::to_owned).or_else(environment) } else { None };
        return match (own, runs_itself, interpreters.python) {
            (Some(python), _, _) => Ok(located(python, vec![script.into()])),
            (None, true, _) => Ok(located(script, Vec::new())),
            (None, false, Some(python)) => Ok(located(python.to_owned(), vec![script.into()])),
            (None, false, None) => {
                Err("no python3 was found: install it, or set `plugins.python`".to_owned())
            }
        };
    }
    if program.symlink_metadata().is_ok() {
        if first_line(&program)?.is_none() && !is_binary(&program) {
            // The kernel would refuse it, and a C library would then hand it to a shell.
            return Err(format!("`{}` is neither a binary nor a script with `#!`", program.display()));
        }
        if !is_executable(&program) {
            return Err(format!("`{}` is not executable: try `chmod +x`", program.display()));
        }
        return Ok(located(program, Vec::new()));
    }
    Err("it has neither `cli.py` nor `cli`".to_owned())
}

/// A directory's own time of change would tell of every file that comes and goes in it.
fn linked(entry: Option<&fs::Metadata>) -> SystemTime {
    let time = entry.and_then(|found| match found.is_symlink() {
        true => found.modified().ok(),
        false => found.created().ok(),
    });
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn real_directory(entry: &Path) -> Result<PathBuf, String> {
    let directory = entry.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => "it is a link to nothing".to_owned(),
        _ => format!("cannot follow `{}`: {error}", entry.display()),
    })?;
    match directory.is_dir() {
        true => Ok(directory),
        false => Err(format!("`{}` is not a directory", directory.display())),
    }
}

/// Opens an entry point and returns its first line where that is a shebang.
pub(super) fn first_line(path: &Path) -> Result<Option<String>, String> {
    let unreadable = |error| format!("cannot read `{}`: {error}", path.display());
    // Opening a FIFO would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("`{}` is not a regular file", path.display()));
    }
    let mut start = Vec::new();
    fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut start)).map_err(unreadable)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(line.starts_with(b"#!").then(|| String::from_utf8_lossy(line).into_owned()))
}

/// Returns whether the kernel itself runs this file.
pub(super) fn is_binary(path: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok()) && magic == *b"\x7fELF"
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
        && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn virtual_environment(directory: &Path, environments: &Path, name: &str) -> Option<PathBuf> {
    [directory.join(".venv"), directory.join("venv"), environments.join(name)]
        .into_iter()
        .map(|environment| environment.join("bin/python"))
        .find(|python| is_executable(python))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_entry_has_a_program_or_a_reason() {
        let root = tempfile::tempdir().unwrap();
        let plugins = root.path().join("plugins");
        let state = root.path().join("state");
        write(&plugins.join("plain/cli.py"), "print(1)", 0o644);
        write(&plugins.join("script/cli.py"), "#!/usr/bin/env python3\n", 0o755);
        write(&plugins.join("venv/cli.py"), "#!/usr/bin/env python3\n", 0o755);
        write(&plugins.join("venv/.venv/bin/python"), "", 0o755);
        write(&plugins.join("kept/cli.py"), "", 0o644);
        write(&state.join("kept/bin/python"), "", 0o755);
        write(&plugins.join("binary/cli"), "\x7fELF", 0o755);
        write(&plugins.join("closed/cli"), "#!/bin/sh", 0o644);
        write(&plugins.join("noise/cli"), "\u{1}\u{2}", 0o755);
        write(&root.path().join("elsewhere/cli.py"), "", 0o644);
        symlink(root.path().join("elsewhere"), plugins.join("linked")).unwrap();
        symlink("nowhere", plugins.join("broken")).unwrap();
        symlink("loop", plugins.join("loop")).unwrap();
        fs::create_dir(plugins.join("empty")).unwrap();
        fs::create_dir_all(plugins.join("folder/cli.py")).unwrap();
        fs::create_dir(plugins.join("fifo")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, plugins.join("fifo/cli.py"), 0o644.into()).unwrap();
        write(&plugins.join("two words/cli.py"), "", 0o644);
        write(&plugins.join(".hidden/cli.py"), "", 0o644);
        write(&plugins.join("__pycache__/x"), "", 0o644);
        write(&plugins.join("README.md"), "", 0o644);

        let python = Path::new("/usr/bin/python3");
        let real = plugins.canonicalize().unwrap();
        let interpreters = Interpreters { python: Some(python), environments: &state };
        let shown: Vec<String> = names(&plugins)
            .unwrap()
            .iter()
            .map(|name| match locate(&plugins.join(name), name, Some(&real), None, interpreters) {
                Ok(found) => {
                    assert_eq!(found.name, *name);
                    let alone = locate(&plugins.join(name), name, None, None, interpreters);
                    assert_eq!(alone, Ok(found.clone()));
                    format!("{name}: {} {:?}", found.program.display(), found.prefix)
                }
                Err(reason) => format!("{name}: {reason}"),
            })
            .map(|line| line.replace(&root.path().canonicalize().unwrap().display().to_string(), "R"))
            .map(|line| line.replace(&root.path().display().to_string(), "R"))
            .collect();
        assert_eq!(
            shown,
            [
                "binary: R/plugins/binary/cli []",
                "broken: it is a link to nothing",
                "closed: `R/plugins/closed/cli` is not executable: try `chmod +x`",
                "empty: it has neither `cli.py` nor `cli`",
                "fifo: `R/plugins/fifo/cli.py` is not a regular file",
                "folder: `R/plugins/folder/cli.py` is not a regular file",
                "kept: R/state/kept/bin/python [\"R/plugins/kept/cli.py\"]",
                "linked: /usr/bin/python3 [\"R/elsewhere/cli.py\"]",
                "loop: cannot follow `R/plugins/loop`: Too many levels of symbolic links (os error 40)",
                "noise: `R/plugins/noise/cli` is neither a binary nor a script with `#!`",
                "plain: /usr/bin/python3 [\"R/plugins/plain/cli.py\"]",
                "script: R/plugins/script/cli.py []",
                "two words: its name must be letters, digits, `_` and `-`",
                "venv: R/plugins/venv/.venv/bin/python [\"R/plugins/venv/cli.py\"]",
            ]
        );
        let without = Interpreters { python: None, environments: &state };
        assert!(
            locate(&plugins.join("plain"), "plain", None, None, without)
                .unwrap_err()
                .starts_with("no python3 was found")
        );
        let chosen =
            locate(&plugins.join("script"), "script", None, Some(Path::new("/opt/python")), interpreters)
                .unwrap();
        assert_eq!(chosen.program, Path::new("/opt/python"));
    }
}
