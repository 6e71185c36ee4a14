//! What came with this `smcpctl`, and programs that it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// Runs a program to its end, for at most `deadline`; it gets nothing to read.
pub(crate) async fn output(command: &mut Command, deadline: Duration) -> io::Result<Output> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    match tokio::time::timeout(deadline, ended).await {
        Ok(output) => output.map_err(io::Error::other)?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Finds `smcpd` beside our own file, else on the PATH.
pub(crate) fn smcpd() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = own
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join("smcpd"))
        .find(|program| rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok());
    found.ok_or_else(|| {
        Failure::new(Exit::Failed, "there is no `smcpd` beside this smcpctl or on the PATH")
            .hint("install it: both programs come in one package")
    })
}

pub(crate) fn cannot_run(program: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot run `{}`: {error}", program.display()))
}

/// Where the plugins that came with this `smcpctl` are: `share/smcp/plugins` of the same prefix.
pub(crate) fn shipped_plugins() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?.canonicalize().ok()?;
    let prefix = own.parent()?.parent()?;
    Some(prefix.join("share/smcp/plugins")).filter(|directory| directory.is_dir())
}
