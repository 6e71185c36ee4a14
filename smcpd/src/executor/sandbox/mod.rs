//! What the processes of a plugin are held to.
//!
//! The daemon says it to the launcher as one word of JSON; the launcher puts it on itself, in this order, and becomes the
//! program, which can take nothing of it off again: `limits` on resources, no new `privileges`, `files` and ports (Landlock),
//! and `calls` of the kernel that no plugin needs (seccomp). `kernel` says what of this the running kernel offers.

mod calls;
mod files;
mod kernel;
mod limits;
mod privileges;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) use calls::refused_calls;
pub(crate) use files::DEVICES;
pub(crate) use kernel::{Feature, missing};
use serde::{Deserialize, Serialize};

use super::groups::Group;
use crate::config::{Limits, Network};

/// What one plugin may do beyond computing. The default holds it to nothing but what all are held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sandbox {
    /// Whether the program stays unstarted where the kernel lacks rules for files or a filter of system calls.
    pub(crate) required: bool,
    pub(crate) files: Files,
    pub(crate) network: Network,
    pub(crate) limits: Limits,
    /// Where all processes of the plugin are together, if there are such groups.
    #[serde(skip)]
    pub(crate) group: Option<Group>,
}

/// Which files can be opened. Each path stands for all that is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Files {
    /// What of the whole system is not there to be read.
    pub(crate) hidden: Vec<PathBuf>,
    /// What may be read all the same.
    pub(crate) read: Vec<PathBuf>,
    /// What may be read and changed.
    pub(crate) write: Vec<PathBuf>,
    /// What may be run besides the program itself; everything that can be read, without.
    pub(crate) execute: Option<Vec<PathBuf>>,
}

impl Files {
    /// What is hidden and can be written all the same, since it is below what is granted; with what that is.
    pub(crate) fn open_all_the_same(&self) -> Option<(&Path, &Path)> {
        self.hidden.iter().find_map(|hidden| Some((hidden.as_path(), self.written_with(hidden)?)))
    }

    /// What is granted to be written and has `path` in it.
    fn written_with(&self, path: &Path) -> Option<&Path> {
        self.write.iter().find(|granted| path.starts_with(granted)).map(PathBuf::as_path)
    }

    /// What a running process may not see any more once it changes: a rule holds for the file that had a name, and not for
    /// one that is put in its place. So directories whose entries are named one by one, and what is granted and no directory.
    pub(super) fn bound_to(&self) -> Vec<PathBuf> {
        let granted = || self.read.iter().chain(&self.write);
        let is_whole = |path: &Path| granted().any(|granted| path.starts_with(granted));
        let mut found: BTreeSet<&Path> = self
            .hidden
            .iter()
            .flat_map(|hidden| hidden.ancestors().skip(1))
            .filter(|path| !is_whole(path) && !self.hidden.iter().any(|hidden| path.starts_with(hidden)))
            .collect();
        found.extend(granted().map(PathBuf::as_path).filter(|path| !path.is_dir()));
        found.into_iter().map(Path::to_owned).collect()
    }
}

/// Why a process could not be held as it must be.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("cannot give up privileges")]
    Privileges(#[source] std::io::Error),
    #[error("cannot set the limit on {0}")]
    Limit(&'static str, #[source] std::io::Error),
    #[error(
        "the sandbox is required, and there is no {0} here: the kernel has none, or a container's filter refuses it"
    )]
    Missing(Feature),
    #[error("cannot set up the sandbox's rules for files")]
    Files(#[from] landlock::RulesetError),
    #[error("cannot set up the sandbox's filter of system calls")]
    Calls(#[from] seccompiler::Error),
}

impl Sandbox {
    /// Holds this process, and whatever it becomes, for good.
    pub(super) fn confine(&self, program: &Path) -> Result<(), SandboxError> {
        limits::confine(&self.limits)?;
        privileges::drop_dangerous()?;
        files::confine(self, program)?;
        calls::confine(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_one_by_one_is_bound_to_its_directories() {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        let files = Files {
            hidden: paths(&["/etc/smcp", "/var/lib/smcp", "/var/lib/smcp/plugins", "/tmp/smcp-0"]),
            read: vec![file.path().to_owned(), "/opt/comes-later".into(), "/usr".into()],
            write: paths(&["/tmp", "/usr/bin"]),
            execute: None,
        };
        let mut expected: Vec<PathBuf> = paths(&["/", "/etc", "/var", "/var/lib"]);
        expected.extend([file.path().to_owned(), "/opt/comes-later".into()]);
        expected.sort();
        assert_eq!(files.bound_to(), expected);
    }
}
