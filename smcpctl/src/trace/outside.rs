//! What the same user may do without the sandbox: whatever it may not do there, the sandbox is not to blame for.

use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process, test_kill_process_group};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Want};
use crate::exit::{Exit, Failure};

/// What is asked of a process without a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    File(Want, PathBuf),
    Signal(i32),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// `None`: it cannot be told any more.
    pub(super) allowed: Option<bool>,
    /// The file is there.
    pub(super) exists: bool,
}

impl Question {
    /// The question that an attempt raises, if it can be asked without doing it.
    pub(super) fn of(attempt: &Attempt) -> Option<Self> {
        match attempt {
            Attempt::File(want, path) if path.to_str().is_some() => Some(Self::File(*want, path.clone())),
            Attempt::Signal(pid) => Some(Self::Signal(*pid)),
            Attempt::File(..)
            | Attempt::Reach(_)
            | Attempt::Listen(_)
            | Attempt::Socket(_)
            | Attempt::Abstract(_)
            | Attempt::Unneeded
            | Attempt::Unheld(_)
            | Attempt::Unclear => None,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::File(want, path) => {
                let exists = std::fs::symlink_metadata(path).is_ok();
                Answer { allowed: told(may(*want, path, exists)), exists }
            }
            Self::Signal(pid) => Answer { allowed: told(may_signal(*pid)), exists: false },
        }
    }
}

fn told(tried: Result<(), Errno>) -> Option<bool> {
    match tried {
        Ok(()) => Some(true),
        Err(Errno::ACCESS | Errno::PERM) => Some(false),
        Err(_) => None,
    }
}

fn may(want: Want, path: &Path, exists: bool) -> Result<(), Errno> {
    let access = |path: &Path, access| rustix::fs::access(path, access);
    let in_directory = || access(path.parent().unwrap_or(Path::new("/")), Access::WRITE_OK | Access::EXEC_OK);
    match want {
        // What modes say of another process's files there is not all: it has to be tried.
        Want::Read if path.starts_with("/proc") => {
            rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
                .map(drop)
        }
        Want::Read => access(path, Access::READ_OK),
        Want::Write | Want::Connect if exists => access(path, Access::WRITE_OK),
        Want::Connect => Err(Errno::NOENT),
        Want::Write | Want::Make => in_directory(),
        // Nobody runs a directory.
        Want::Run if path.is_dir() => Err(Errno::ACCESS),
        Want::Run => access(path, Access::EXEC_OK),
    }
}

fn may_signal(pid: i32) -> Result<(), Errno> {
    match Pid::from_raw(pid.checked_abs().unwrap_or(0)) {
        Some(found) if pid > 0 => test_kill_process(found),
        // All that there are, and the group of whoever asks.
        None | Some(Pid::INIT) => Err(Errno::SRCH),
        Some(group) => test_kill_process_group(group),
    }
}

/// Answers what comes on standard input; for `smcpctl` itself, as another user.
pub(crate) fn answer_all() -> Result<Exit, Failure> {
    let failed =
        |reason: String| Failure::new(Exit::Failed, format!("this is for smcpctl's own use: {reason}"));
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    let questions: Vec<Question> = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let answers: Vec<Answer> = questions.iter().map(Question::answer).collect();
    crate::table::print(&serde_json::to_string(&answers).map_err(|error| failed(error.to_string()))?)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_allowed_is_known_from_what_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("plain"), "").unwrap();
        fs::set_permissions(at("plain"), fs::Permissions::from_mode(0o600)).unwrap();
        let cases = [
            (Want::Read, at("plain"), Some(true), true),
            (Want::Write, at("plain"), Some(true), true),
            // Not even root runs what nobody may.
            (Want::Run, at("plain"), Some(false), true),
            (Want::Run, directory.path().to_owned(), Some(false), true),
            (Want::Run, "/bin/sh".into(), Some(true), true),
            (Want::Make, at("new"), Some(true), false),
            (Want::Write, at("new"), Some(true), false),
            (Want::Make, at("no/new"), None, false),
            (Want::Read, at("gone"), None, false),
            (Want::Connect, at("gone"), None, false),
            (Want::Read, "/proc/self/environ".into(), Some(true), true),
        ];
        for (want, path, allowed, exists) in cases {
            let answer = Question::File(want, path.clone()).answer();
            assert_eq!(answer, Answer { allowed, exists }, "{want:?} {}", path.display());
        }
        let own = i32::try_from(std::process::id()).unwrap();
        for (pid, allowed) in [(own, Some(true)), (0, None), (-1, None), (i32::MAX, None), (i32::MIN, None)] {
            assert_eq!(Question::Signal(pid).answer().allowed, allowed, "{pid}");
        }
    }
}
