//! What the tools that install packages are held to: their set-up code is as foreign as a plugin's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::beside;
use crate::cli::DepsBuild;
use crate::exit::Failure;

/// What the daemon says of its plugins' sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// `require`, `best-effort` or `off`.
    pub(super) mode: String,
    /// The daemon's own places.
    pub(super) hidden: Vec<PathBuf>,
}

impl DepsBuild {
    pub(super) fn held(&self) -> Held {
        Held { mode: self.mode.clone(), hidden: self.hide.clone() }
    }
}

impl Held {
    /// The program, where it can write `into` and scratch alone, and read the plugin's `directory`.
    pub(super) fn command(&self, program: &Path, directory: &Path, into: &Path) -> Result<Command, Failure> {
        if self.mode == "off" {
            return Ok(Command::new(program));
        }
        let mut command = Command::new(beside::smcpd()?);
        command.arg("confine");
        if self.mode == "require" {
            command.arg("--required");
        }
        let hidden = self.hidden.iter().flat_map(|path| [OsStr::new("--hide"), path.as_os_str()]);
        command.args(hidden).arg("--read").arg(directory).arg("--write").arg(into).arg("--").arg(program);
        // Where they would keep what they have fetched cannot be written.
        command.envs([("UV_NO_CACHE", "1"), ("PIP_NO_CACHE_DIR", "1")]);
        Ok(command)
    }
}
