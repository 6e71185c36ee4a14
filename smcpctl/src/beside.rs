//! What came with this `smcpctl`, and programs that it runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// Runs a program to its end, for at most `deadline`; it gets nothing to read.
pub(crate) async fn output(command: &mut Command, deadline: Duration) -> io::Result<Output> {
    output_of(command, Vec::new(), deadline).await
}

/// The same, where it reads `input`.
pub(crate) async fn output_of(
    command: &mut Command,
    input: Vec<u8>,
    deadline: Duration,
) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = tokio::task::spawn_blocking(move || {
        // Whoever does not read it says why, or needs none.
        let _gone = child.stdin.take().map(|mut stdin| stdin.write_all(&input));
        child.wait_with_output()
    });
    match tokio::time::timeout(deadline, ended).await {
        Ok(output) => output.map_err(io::Error::other)?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Finds a program on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| is_runnable(program))
}

fn is_runnable(program: &Path) -> bool {
    program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Finds `smcpd` beside our own file, else on the PATH.
pub(crate) fn smcpd() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let beside = own.map(|directory| directory.join("smcpd")).filter(|program| is_runnable(program));
    beside.or_else(|| on_path("smcpd")).ok_or_else(|| {
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
