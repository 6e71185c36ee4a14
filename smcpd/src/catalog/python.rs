//! Finds the interpreter for plugins that do not start by themselves.

use std::ffi::OsString;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::scan;
use crate::config;
use crate::executor::{End, Executor, Invocation, OutputLimit};

/// The configured interpreter, else `python3` of our PATH: where that is a shim, it is asked who it really is,
/// because a shim would cost each call dear.
pub(super) async fn find(
    plugins: &config::Plugins,
    executor: &Executor,
    cancel: &CancellationToken,
) -> Option<PathBuf> {
    if let Some(python) = &plugins.python {
        return Some(python.clone());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin:/bin"));
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("python3"))
        .find(|program| rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())?;
    if scan::is_binary(&found) {
        return Some(found);
    }
    let asked = Invocation {
        call: format!("python-{}", std::process::id()),
        program: found.clone(),
        argv: ["-S", "-E", "-c", "import sys; print(sys.executable)"].map(OsString::from).into(),
        environment: std::env::vars_os().collect(),
        directory: PathBuf::from("/"),
        stdin: None,
        timeout: Some(plugins.describe_timeout),
        output: OutputLimit { keep: 8 << 10, ceiling: 8 << 10 },
        spill: None,
        warm: None,
        // No plugin's code has a part in it.
        sandbox: None,
    };
    let said = match executor.probe(asked, cancel).await {
        Ok(outcome) if outcome.end == End::Exited(0) => outcome.stdout.into_text(),
        _ => return Some(found),
    };
    let real = PathBuf::from(said.trim());
    Some(if real.is_absolute() && real.is_file() { real } else { found })
}
