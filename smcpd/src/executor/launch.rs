//! `smcpd launch`: the step between the daemon and a program, taken in the child.
//!
//! It ties the child's life to the daemon's, enters the plugin's control group, puts the sandbox on, then becomes the program. Doing that here, in a process
//! of its own, is what keeps `unsafe` out of the daemon.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::groups;
use super::sandbox::Sandbox;

/// What the launcher writes on stderr when it cannot become the program, and the status it exits with then.
pub(super) const FAILED: &str = "smcpd launch: ";
pub(super) const FAILED_STATUS: i32 = 127;

/// The hidden subcommand's name.
pub(crate) const SUBCOMMAND: &str = "launch";

/// Becomes the program: `arguments` are the daemon's pid, the file by which a control group is entered (empty:
/// none), the sandbox, the program, and what follows it.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let daemon = arguments.next().and_then(|pid| pid.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let entrance = arguments.next().unwrap_or_default();
    let sandbox = arguments.next().and_then(|text| serde_json::from_str::<Sandbox>(text.to_str()?).ok());
    let (Some(sandbox), Some(program)) = (sandbox, arguments.next()) else {
        return refuse("this is for the daemon's own use");
    };
    // The kernel kills us when the thread that started us ends: the executor spawns only from one that lives
    // as long as the daemon.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return refuse(&error.to_string());
    }
    // A daemon that died before the line above took effect would have left us behind.
    if getppid() != daemon {
        return refuse("the daemon is gone");
    }
    if !entrance.is_empty()
        && let Err(error) = groups::enter(Path::new(&entrance))
    {
        return refuse(&format!("cannot enter its control group: {error}"));
    }
    if let Err(error) = sandbox.confine(Path::new(&program)) {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return refuse(&format!("{error}{cause}"));
    }
    refuse(&Command::new(program).args(arguments).exec().to_string())
}

#[expect(clippy::print_stderr, reason = "the daemon reads the reason from our stderr")]
pub(super) fn refuse(reason: &str) -> ExitCode {
    eprintln!("{FAILED}{reason}");
    ExitCode::from(u8::try_from(FAILED_STATUS).expect("127 fits"))
}
