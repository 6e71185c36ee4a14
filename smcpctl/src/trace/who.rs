//! Whom a command runs as, and where: the daemon's user, and what of the file system and the network the daemon's unit shows it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::beside;
use crate::exit::{Exit, Failure};

/// What becomes the daemon's user, in its namespaces, and then whatever follows.
#[derive(Debug, Default)]
pub(super) struct Who {
    /// Nothing where we are that user.
    pub(super) prefix: Vec<OsString>,
    /// Who shall be able to open the pipes by their names in `/proc`.
    pub(super) owner: Option<(u32, u32)>,
}

/// What `/proc/PID/status` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ids {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl Who {
    /// `pid` is the daemon's own word; it is believed where it is a process of the very `smcpd` beside us, since root would
    /// become whomever it names.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        if !rustix::process::geteuid().is_root() {
            // The daemon answers to its own user and to root alone.
            return Ok(Self::default());
        }
        let process = PathBuf::from(format!("/proc/{pid}"));
        let smcpd = beside::smcpd()?;
        if !is_same(&process.join("exe"), &smcpd) {
            let message = format!("the daemon (pid {pid}) does not run `{}`", smcpd.display());
            return Err(Failure::new(Exit::Failed, message)
                .hint("restart it after an update, and use the smcpctl that came with it"));
        }
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let Some(ids) = ids(&status) else {
            return Err(Failure::new(
                Exit::Failed,
                format!("`/proc/{pid}/status` does not say whom the daemon runs as"),
            ));
        };
        let mut prefix = Vec::new();
        let spaces: Vec<OsString> = ["mnt", "net"]
            .into_iter()
            .filter(|space| is_elsewhere(&process, space))
            .map(|space| {
                format!(
                    "--{}={}",
                    if space == "mnt" { "mount" } else { space },
                    process.join("ns").join(space).display()
                )
                .into()
            })
            .collect();
        if !spaces.is_empty() {
            prefix.push(found("nsenter")?.into());
            prefix.extend(spaces);
            prefix.push("--".into());
        }
        if ids.uid != 0 {
            prefix.push(found("setpriv")?.into());
            prefix.extend(becoming(&ids));
        }
        Ok(Self { prefix, owner: Some((ids.uid, ids.gid)) })
    }
}

/// Finds a program that this needs.
pub(super) fn found(name: &str) -> Result<PathBuf, Failure> {
    let package = if name == "strace" { name } else { "util-linux" };
    beside::on_path(name).ok_or_else(|| {
        Failure::new(Exit::Failed, format!("there is no `{name}` on the PATH, which a trace needs"))
            .hint(format!("install the package `{package}`"))
    })
}

/// The file itself, whatever it is called.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    file(one).is_some_and(|one| Some(one) == file(other))
}

fn is_elsewhere(process: &Path, space: &str) -> bool {
    let of = |process: &Path| fs::read_link(process.join("ns").join(space)).ok();
    of(process).is_some_and(|theirs| of(Path::new("/proc/self")).is_some_and(|ours| ours != theirs))
}

fn ids(status: &str) -> Option<Ids> {
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    };
    // Real, effective, saved, of the file system: a daemon has one.
    Some(Ids { uid: *numbers("Uid:")?.get(1)?, gid: *numbers("Gid:")?.get(1)?, groups: numbers("Groups:")? })
}

fn becoming(ids: &Ids) -> Vec<OsString> {
    let groups: Vec<String> = ids.groups.iter().map(u32::to_string).collect();
    let groups = if groups.is_empty() {
        "--clear-groups".to_owned()
    } else {
        format!("--groups={}", groups.join(","))
    };
    [format!("--reuid={}", ids.uid), format!("--regid={}", ids.gid), groups, "--".to_owned()]
        .map(OsString::from)
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_becomes_the_daemons_user_with_its_groups_or_nobody() {
        let status = |uid: &str, groups: &str| {
            format!("Name:\tUid:\nUid:\t0\t{uid}\t0\t0\nGid:\t9\t997\t9\t9\nGroups:\t{groups}\n")
        };
        let cases = [
            (status("998", "4 27 "), Some(vec!["--reuid=998", "--regid=997", "--groups=4,27", "--"])),
            (status("998", ""), Some(vec!["--reuid=998", "--regid=997", "--clear-groups", "--"])),
            (status("x", ""), None),
            (status("998", "a"), None),
            ("Uid:\t1\nGid:\t1\nGroups:\n".to_owned(), None),
            (String::new(), None),
        ];
        for (status, expected) in cases {
            let words = ids(&status).map(|ids| becoming(&ids));
            let expected = expected.map(|words| words.into_iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!(words, expected, "{status}");
        }
    }

    #[test]
    fn another_program_is_not_the_daemon() {
        let own = std::env::current_exe().unwrap();
        assert!(is_same(Path::new("/proc/self/exe"), &own));
        assert!(!is_same(Path::new("/proc/self/exe"), Path::new("/bin/sh")));
        assert!(!is_same(Path::new("/proc/0/exe"), Path::new("/proc/0/exe")));
    }
}
