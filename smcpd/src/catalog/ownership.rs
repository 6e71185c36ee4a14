//! Who may change what a plugin runs: its files, its directories, those above it, and an interpreter of its own.
//!
//! What anyone may write, or what belongs to a stranger, is refused: whoever changes it has the daemon's rights. What a
//! group may write is told of. A sticky directory above the plugin (`/tmp`) lets only owners rename what is in it, and
//! owners are judged; in the plugin's own directories it excuses nothing, since a new file there may be imported.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whose files are run: root's, the daemon's own, those of whoever made the link, and of whom the operator names.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    pub(super) daemon: u32,
    pub(super) linker: Option<u32>,
    pub(super) others: Vec<u32>,
}

impl Owners {
    fn has(&self, owner: u32) -> bool {
        owner == 0 || owner == self.daemon || self.linker == Some(owner) || self.others.contains(&owner)
    }
}

/// What is wrong with who may change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Everyone,
    Stranger(u32),
    Group,
}

/// A file or directory that somebody else may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Risk {
    pub(crate) path: PathBuf,
    pub(crate) fault: Fault,
}

impl Risk {
    /// What is wrong with a file or directory whose owner should be root or `us`.
    pub(crate) fn all_of(path: &Path, found: &Metadata, us: u32) -> impl Iterator<Item = Self> {
        let owners = Owners { daemon: us, ..Owners::default() };
        let rights = Rights { mode: found.mode(), owner: found.uid(), is_above: false };
        judge(rights, &owners).map(|fault| Self { path: path.to_owned(), fault })
    }

    /// The command that mends it.
    pub(crate) fn fix(&self) -> String {
        let path = self.path.display();
        match self.fault {
            Fault::Everyone => format!("chmod o-w {path}"),
            Fault::Stranger(_) => format!("chown root {path}"),
            Fault::Group => format!("chmod g-w {path}"),
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.fault {
            Fault::Everyone => write!(out, "`{path}` can be written by everyone"),
            Fault::Stranger(uid) => write!(
                out,
                "`{path}` belongs to uid {uid}, who could change what runs: neither root, nor the daemon, nor who \
                 linked it"
            ),
            Fault::Group => write!(out, "`{path}` can be written by its group"),
        }
    }
}

/// Whose a file is and who may write it.
#[derive(Debug, Clone, Copy)]
struct Rights {
    mode: u32,
    owner: u32,
    /// It is a directory above the plugin's own.
    is_above: bool,
}

/// The worst comes first.
fn judge(rights: Rights, owners: &Owners) -> impl Iterator<Item = Fault> + use<> {
    let is_sticky = rights.is_above && rights.mode & 0o1000 != 0;
    let may_write = |bit: u32| rights.mode & bit != 0 && !is_sticky;
    let faults = [
        may_write(0o002).then_some(Fault::Everyone),
        (!owners.has(rights.owner)).then_some(Fault::Stranger(rights.owner)),
        may_write(0o020).then_some(Fault::Group),
    ];
    faults.into_iter().flatten()
}

/// Collects the risks of one plugin.
#[derive(Debug)]
pub(super) struct Review {
    owners: Owners,
    risks: Vec<Risk>,
}

impl Review {
    pub(super) fn new(owners: Owners) -> Self {
        Self { owners, risks: Vec::new() }
    }

    /// Takes a file or directory of the plugin's own.
    pub(super) fn own(&mut self, path: &Path, found: &Metadata) {
        self.take(path, found, false);
    }

    /// Takes the directories above `path`, which is a real one.
    pub(super) fn above(&mut self, path: &Path) {
        for directory in path.ancestors().skip(1) {
            if let Ok(found) = fs::metadata(directory) {
                self.take(directory, &found, true);
            }
        }
    }

    /// Takes what a link leads to: the thing itself has been taken under the link's name.
    pub(super) fn link(&mut self, path: &Path) {
        if let Ok(real) = path.canonicalize() {
            self.above(&real);
        }
    }

    /// Takes an interpreter that lies with the plugin or with the daemon, and its virtual environment: what stands in
    /// `lib` is left out, since packages are many.
    pub(super) fn interpreter(&mut self, program: &Path) {
        let Some(environment) = program.parent().and_then(Path::parent) else { return };
        let around = ["pyvenv.cfg", "bin", "lib", "lib64"].map(|name| environment.join(name));
        for path in around.iter().map(PathBuf::as_path).chain([environment, program]) {
            if let Ok(found) = fs::metadata(path) {
                self.own(path, &found);
            }
        }
        self.link(program);
    }

    fn take(&mut self, path: &Path, found: &Metadata, is_above: bool) {
        let rights = Rights { mode: found.mode(), owner: found.uid(), is_above };
        for fault in judge(rights, &self.owners) {
            let risk = Risk { path: path.to_owned(), fault };
            if !self.risks.contains(&risk) {
                self.risks.push(risk);
            }
        }
    }

    /// What was found, what is refused first.
    pub(super) fn risks(self) -> Vec<Risk> {
        let mut risks = self.risks;
        risks.sort_by_key(|risk| risk.fault == Fault::Group);
        risks
    }
}

/// Returns who made the link at `entry`; nobody where it is none, or where anyone may make one there.
pub(super) fn linker(entry: &Path) -> Option<u32> {
    let found = fs::symlink_metadata(entry).ok().filter(Metadata::is_symlink)?;
    let within = fs::metadata(entry.parent()?).ok()?;
    (within.mode() & 0o002 == 0).then(|| found.uid())
}

/// Returns why a plugin with these risks is not run, if anything is; of a group's rights it matters `if_strict`.
pub(super) fn refusal(risks: &[Risk], if_strict: bool) -> Option<String> {
    let risk = risks.iter().find(|risk| if_strict || risk.fault != Fault::Group)?;
    Some(format!("{risk}: `{}`", risk.fix()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn rights_are_judged_by_who_may_change_what_runs() {
        let owners = Owners { daemon: 7, linker: Some(8), others: vec![9] };
        let judged = |mode, owner, is_above| -> Vec<Fault> {
            judge(Rights { mode, owner, is_above }, &owners).collect()
        };
        for owner in [0, 7, 8, 9] {
            assert_eq!(judged(0o100_644, owner, false), [], "{owner}");
        }
        let cases = [
            (0o100_644, 10, false, vec![Fault::Stranger(10)]),
            (0o100_646, 0, false, vec![Fault::Everyone]),
            (0o100_666, 10, false, vec![Fault::Everyone, Fault::Stranger(10), Fault::Group]),
            (0o100_664, 7, false, vec![Fault::Group]),
            // A new file in it may be imported.
            (0o041_777, 0, false, vec![Fault::Everyone, Fault::Group]),
            (0o041_777, 0, true, vec![]),
            (0o041_777, 10, true, vec![Fault::Stranger(10)]),
            (0o040_777, 0, true, vec![Fault::Everyone, Fault::Group]),
        ];
        for (mode, owner, is_above, expected) in cases {
            assert_eq!(judged(mode, owner, is_above), expected, "{mode:o} {owner} {is_above}");
        }
    }

    #[test]
    fn what_is_refused_comes_before_what_is_told_of_and_names_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str, mode: u32| {
            let path = root.path().canonicalize().unwrap().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let me = rustix::process::geteuid().as_raw();
        let mut review = Review::new(Owners { daemon: me, ..Owners::default() });
        for (name, mode) in [("of_the_group", 0o664), ("open", 0o646), ("sound", 0o644)] {
            let path = at(name, mode);
            review.own(&path, &fs::metadata(&path).unwrap());
        }
        // Where a link leads, the directories count too.
        at("elsewhere/cli.py", 0o644);
        let elsewhere = root.path().canonicalize().unwrap().join("elsewhere");
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
        let link = root.path().join("link.py");
        symlink(elsewhere.join("cli.py"), &link).unwrap();
        review.link(&link);
        let risks = review.risks();
        let faults: Vec<_> =
            risks.iter().map(|risk| (risk.path.file_name().unwrap().to_str().unwrap(), risk.fault)).collect();
        assert_eq!(
            faults,
            [
                ("open", Fault::Everyone),
                ("elsewhere", Fault::Everyone),
                ("of_the_group", Fault::Group),
                ("elsewhere", Fault::Group)
            ]
        );
        let reason = refusal(&risks, false).unwrap();
        assert!(reason.contains("can be written by everyone: `chmod o-w ") && reason.ends_with("/open`"));
        assert_eq!(refusal(&risks[2..], false), None);
        assert!(refusal(&risks[2..], true).unwrap().contains("`chmod g-w "));
        assert_eq!(linker(&link), Some(me));
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(linker(&link), None);
        assert_eq!(linker(&elsewhere), None);
    }
}
