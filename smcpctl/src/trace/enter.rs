//! The step between `strace` and the launcher, as the daemon's user: it becomes `smcpd launch` as the daemon would.
//!
//! What it becomes comes on standard input and on no command line, which everybody could read: secrets are in it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use smcp_control::Launch;

use crate::exit::{Exit, Failure};

/// The daemon sends no larger frame.
const LARGEST: u64 = 2 << 20;

/// Reads the launcher's path and what it shall launch, and becomes it.
pub(crate) fn enter() -> Result<Exit, Failure> {
    let failed = |reason: String| Failure::new(Exit::Failed, format!("cannot start the launcher: {reason}"));
    let mut text = String::new();
    std::io::stdin().take(LARGEST).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    let (launcher, launch): (PathBuf, Launch) =
        serde_json::from_str(&text).map_err(|_| failed("this is for smcpctl's own use".to_owned()))?;
    let tracer = rustix::process::getppid().ok_or_else(|| failed("there is no tracer".to_owned()))?;
    let mut command = Command::new(launcher);
    // It ends with its parent, and enters no control group: the daemon ends strangers there.
    command.arg0("smcpd").arg("launch").arg(tracer.as_raw_nonzero().to_string()).arg("");
    command.arg(launch.sandbox.unwrap_or_default()).arg(&launch.program).args(&launch.arguments);
    command.env_clear().envs(launch.environment.into_iter().map(|(name, value)| (name, value.0)));
    command.current_dir(launch.directory).stdin(Stdio::null()).process_group(0);
    Err(failed(command.exec().to_string()))
}
