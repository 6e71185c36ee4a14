//! Runs `smcpd inspect`: what a plugin is, only the daemon's own code says.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::beside;
use crate::exit::{Exit, Failure};
use crate::table::escape;

/// A wait that a person would wonder about.
const SILENCE: Duration = Duration::from_secs(1);

/// What `smcpd inspect` printed.
#[derive(Debug)]
pub(super) struct Inspection(pub(super) Value);

impl Inspection {
    /// Inspects the plugin at `path`; one that is not sound is no failure.
    pub(super) async fn of(path: &Path) -> Result<Self, Failure> {
        if std::fs::symlink_metadata(path).is_err() {
            let message = format!("there is no plugin at `{}`", escape(&path.display().to_string()));
            return Err(Failure::new(Exit::NotFound, message).hint("give the plugin's directory"));
        }
        let program = beside::smcpd()?;
        let failed = |reason: String| {
            Failure::new(Exit::Failed, format!("`{}` cannot inspect the plugin: {reason}", program.display()))
                .hint("smcpd and smcpctl must be of one release")
        };
        let mut command = Command::new(&program);
        // Whatever a path is called, it is no flag.
        command.args(["inspect", "--json", "--"]).arg(path);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.map_err(|error| failed(error.to_string()))?;
        let output = wait(child, path).await.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line =
                said.trim().lines().last().unwrap_or("it says nothing").trim_start_matches("smcpd: error: ");
            return Err(failed(escape(line)));
        }
        match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(found) if found["version"] == 1 => Ok(Self(found)),
            Ok(_) => Err(failed("its answer is of another version".to_owned())),
            Err(error) => Err(failed(format!("its answer is no JSON: {error}"))),
        }
    }

    /// The errors, warnings and notes, worst first.
    pub(super) fn findings(&self) -> &[Value] {
        self.0["findings"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn count(&self, severity: &str) -> usize {
        self.findings().iter().filter(|finding| finding["severity"] == severity).count()
    }

    pub(super) fn commands(&self) -> &[Value] {
        self.0["commands"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Why the plugin could not be described.
    pub(super) fn reason(&self) -> String {
        let error = self.findings().iter().find(|finding| finding["severity"] == "error");
        let text = |key: &str| error.and_then(|error| error[key].as_str()).unwrap_or("unknown").to_owned();
        format!("{}: {}", text("subject"), text("message"))
    }
}

/// Waits for the end, and says on a terminal what is being waited for.
#[expect(clippy::print_stderr, reason = "progress is no result")]
async fn wait(child: std::process::Child, path: &Path) -> std::io::Result<Output> {
    let mut ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = match tokio::time::timeout(SILENCE, &mut ended).await {
        Ok(output) => output,
        Err(_) => {
            if std::io::stderr().is_terminal() {
                eprintln!("describing `{}`…", escape(&path.display().to_string()));
            }
            ended.await
        }
    };
    output.map_err(std::io::Error::other)?
}
