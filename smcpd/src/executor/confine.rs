//! `smcpd confine`: becomes a program that may write where it is told and nowhere else.
//!
//! It is how `smcpctl plugin deps` runs the tools that install packages: their set-up code is as foreign as a plugin's. What is
//! hidden from plugins is so from them, but for what is granted by name; the network is theirs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::launch::refuse;
use super::sandbox::{Files, Sandbox};
use crate::config::{FILES, Limits, Network};

/// The hidden subcommand's name.
pub(crate) const SUBCOMMAND: &str = "confine";
/// Where every program expects to write.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Becomes the program: `arguments` are `--required`, `--hide PATH`, `--read PATH` and `--write PATH` in any number, then
/// `--`, the program and its arguments.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut sandbox = Sandbox {
        required: false,
        network: Network::Any,
        limits: Limits { files: Some(FILES), ..Limits::default() },
        ..Sandbox::default()
    };
    sandbox.files.write.extend(SCRATCH.map(PathBuf::from));
    loop {
        let Some(word) = arguments.next() else { return refuse("this is for smcpctl's own use") };
        let Files { hidden, read, write, execute: _ } = &mut sandbox.files;
        let paths = match word.to_str() {
            Some("--") => break,
            Some("--required") => {
                sandbox.required = true;
                continue;
            }
            Some("--hide") => hidden,
            Some("--read") => read,
            Some("--write") => write,
            Some(_) | None => return refuse("this is for smcpctl's own use"),
        };
        match arguments.next().map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(path) => paths.push(path),
            None => return refuse("a path begins with /"),
        }
    }
    let Some(program) = arguments.next() else { return refuse("there is no program") };
    if let Err(error) = sandbox.confine(program.as_ref()) {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return refuse(&format!("{error}{cause}"));
    }
    refuse(&Command::new(program).args(arguments).exec().to_string())
}
