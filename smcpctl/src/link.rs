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

/// Where plugins are linked, and what may be linked there.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) plugins: &'a Path,
    /// Plugins must be below one of these; empty: anywhere.
    pub(crate) roots: Vec<PathBuf>,
    /// Whom files may belong to besides root: the daemon, whoever links, and whom the configuration names.
    pub(crate) owners: Vec<u32>,
    /// Where plugins are that a bare name may mean.
    pub(crate) shipped: Option<PathBuf>,
}

impl Rules<'_> {
    /// A path, or the bare name of a plugin that came with us.
    fn target(&self, path: &Path) -> Result<PathBuf, Failure> {
        let shown = path.display();
        let is_bare = path.components().count() == 1 && path.to_str().is_some_and(is_plain);
        let shipped = self.shipped.as_ref().filter(|_| is_bare && !path.exists());
        let named = shipped.map(|directory| directory.join(path)).filter(|target| target.exists());
        named.as_deref().unwrap_or(path).canonicalize().map_err(|error| {
            let failure = Failure::new(Exit::NotFound, format!("`{shown}` leads nowhere: {error}"));
            match shipped {
                Some(directory) => {
                    failure.hint(format!("plugins that came with smcp are in `{}`", directory.display()))
                }
                None => failure,
            }
        })
    }

    fn is_below_a_root(&self, target: &Path) -> bool {
        self.roots.is_empty()
            || self
                .roots
                .iter()
                .any(|root| target.starts_with(root.canonicalize().as_deref().unwrap_or(root)))
    }
}

/// Decides whether `path` may be linked.
pub(crate) fn plan(rules: &Rules<'_>, path: &Path, name: Option<&str>) -> Result<Plan, Failure> {
    let refuse = |exit, message: String| Err(Failure::new(exit, message));
    let shown = path.display();
    let target = rules.target(path)?;
    if !rules.is_below_a_root(&target) {
        let roots: Vec<String> = rules.roots.iter().map(|root| format!("`{}`", root.display())).collect();
        let message = format!("`{}` is outside of `plugins.roots`: {}", target.display(), roots.join(", "));
        return Err(Failure::new(Exit::Refused, message).hint("move it there, or extend `plugins.roots`"));
    }
    if !["cli.py", "cli"].into_iter().any(|entry| target.join(entry).is_file()) {
        return refuse(Exit::Invalid, format!("`{shown}` is no plugin: it has neither `cli.py` nor `cli`"));
    }
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
    let warnings = judge(rules, &target)?;
    let link = rules.plugins.join(&name);
    match fs::symlink_metadata(&link) {
        Err(_) => Ok(Plan::Link { target, link, name, warnings }),
        Ok(_) if link.canonicalize().is_ok_and(|linked| linked == target) => Ok(Plan::Nothing { name }),
        Ok(found) if found.is_symlink() && !link.exists() => {
            let message = format!("`{}` is a link to nothing", link.display());
            Err(Failure::new(Exit::Invalid, message).hint(format!("`smcpctl plugin unlink {name}` first")))
        }
        Ok(_) => {
            let failure = Failure::new(Exit::Invalid, format!("a plugin is called `{name}` already"));
            Err(failure
                .hint(format!("choose another name with --name, or `smcpctl plugin unlink {name}` first")))
        }
    }
}

/// Refuses files that others could change, since they run with the daemon's rights; of the group's it warns.
fn judge(rules: &Rules<'_>, target: &Path) -> Result<Vec<String>, Failure> {
    let mut of_the_group = Vec::new();
    let above = target.ancestors().skip(1).map(|path| (path.to_owned(), true));
    for (file, is_above) in files(target).into_iter().map(|file| (file, false)).chain(above) {
        let Ok(found) = fs::metadata(&file) else { continue };
        let shown = file.display();
        // In a sticky directory only owners rename what is theirs.
        let is_sticky = is_above && found.mode() & 0o1000 != 0;
        if found.mode() & 0o002 != 0 && !is_sticky {
            let message = format!("`{shown}` can be written by everyone");
            return Err(Failure::new(Exit::Invalid, message).hint(format!("chmod o-w {shown}")));
        }
        if found.uid() != 0 && !rules.owners.contains(&found.uid()) {
            let message = format!(
                "`{shown}` belongs to uid {}, who could change what runs: neither root, nor the daemon, nor you",
                found.uid()
            );
            let hint = match is_above {
                true => format!("chown root {shown}"),
                false => format!("chown -R root {}", target.display()),
            };
            return Err(Failure::new(Exit::Refused, message).hint(hint));
        }
        if found.mode() & 0o020 != 0 && !is_sticky {
            of_the_group.push(file);
        }
    }
    let more = of_the_group.len().saturating_sub(1);
    let first = of_the_group.first().map(|file| match more {
        0 => format!("`{}` can be written by its group", file.display()),
        _ => format!("`{}` and {more} more can be written by their group", file.display()),
    });
    Ok(first.into_iter().collect())
}

/// The directory and what is in it: without what packages brought, and without end only so far.
fn files(target: &Path) -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 5] = [".git", ".venv", "venv", "node_modules", "__pycache__"];
    const MOST: usize = 5_000;
    let mut found = vec![target.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        // A link's target is not the plugin's.
        if path.is_symlink() && path != target || found.len() > MOST {
            continue;
        }
        let Ok(entries) = fs::read_dir(&path) else { continue };
        let entries = entries.flatten().filter(|entry| {
            !entry.path().is_symlink() && !LEFT_OUT.iter().any(|name| entry.file_name() == *name)
        });
        found.extend(entries.map(|entry| entry.path()));
    }
    found.sort();
    found
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

pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
