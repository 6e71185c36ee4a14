//! Links plugins into the plugins directory and takes them out again: symbolic links, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure};

/// What linking would do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Link {
        target: PathBuf,
        link: PathBuf,
        name: String,
        warnings: Vec<String>,
    },
    /// It is linked already, to the same place.
    Nothing {
        name: String,
    },
}

/// Decides whether `path` may be linked into `plugins`.
pub(crate) fn plan(plugins: &Path, path: &Path, name: Option<&str>) -> Result<Plan, Failure> {
    let refuse = |exit, message: String| Err(Failure::new(exit, message));
    let shown = path.display();
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) => return refuse(Exit::NotFound, format!("`{shown}` leads nowhere: {error}")),
    };
    let entry = ["cli.py", "cli"].into_iter().map(|entry| target.join(entry)).find(|entry| entry.is_file());
    let Some(entry) = entry else {
        return refuse(Exit::Invalid, format!("`{shown}` is no plugin: it has neither `cli.py` nor `cli`"));
    };
    let name = match name.or_else(|| target.file_name().and_then(|name| name.to_str())) {
        Some(name) if is_plain(name) => name.to_owned(),
        Some(name) => {
            let failure = Failure::new(
                Exit::Usage,
                format!("`{name}` is no name: letters, digits, `_` and `-` make one"),
            );
            return Err(failure.hint("choose one with --name"));
        }
        None => return refuse(Exit::Usage, format!("`{shown}` has no name: choose one with --name")),
    };
    let mut warnings = Vec::new();
    for file in [&target, &entry] {
        let found = fs::metadata(file).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        if found.mode() & 0o002 != 0 {
            let message = format!("`{}` can be written by everyone", file.display());
            return Err(Failure::new(Exit::Invalid, message).hint(format!("chmod o-w {}", file.display())));
        }
        if found.mode() & 0o020 != 0 {
            warnings.push(format!("`{}` can be written by its group", file.display()));
        }
    }
    let link = plugins.join(&name);
    match fs::symlink_metadata(&link) {
        Err(_) => Ok(Plan::Link { target, link, name, warnings }),
        Ok(_) if link.canonicalize().is_ok_and(|linked| linked == target) => Ok(Plan::Nothing { name }),
        Ok(_) => {
            let failure = Failure::new(Exit::Invalid, format!("a plugin is called `{name}` already"));
            Err(failure
                .hint(format!("choose another name with --name, or `smcpctl plugin unlink {name}` first")))
        }
    }
}

/// Makes the link: it is there whole or not at all.
pub(crate) fn link(target: &Path, link: &Path) -> Result<(), Failure> {
    symlink(target, link).map_err(|error| failed("link", link, &error))
}

/// Removes a link. `Ok(false)`: there is none.
pub(crate) fn unlink(plugins: &Path, name: &str, dry_run: bool) -> Result<bool, Failure> {
    if !is_plain(name) {
        return Err(Failure::new(Exit::Usage, format!("`{name}` is no name of a plugin")));
    }
    let link = plugins.join(name);
    match fs::symlink_metadata(&link) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", &link, &error)),
        Ok(found) if !found.is_symlink() => {
            let message = format!("`{}` is no link: it is left as it is", link.display());
            Err(Failure::new(Exit::Invalid, message).hint("move the directory away yourself"))
        }
        Ok(_) if dry_run => Ok(true),
        Ok(_) => fs::remove_file(&link).map(|()| true).map_err(|error| failed("remove", &link, &error)),
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("cannot {what} `{}`: {error}", path.display()))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
