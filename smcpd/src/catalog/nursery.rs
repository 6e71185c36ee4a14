//! An interpreter that is up for as long as many plugins are asked at once: each is asked in a fork of it.
//!
//! Starting Python and importing its library is most of what asking a plugin costs. The interpreter is a warm worker
//! (`executor::warm`) of a script of ours, which stands in for the plugin's start. Only what such a fork says with
//! certainty is taken; in any other case the plugin is asked in an interpreter of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::environment::Environment;
use super::scan::Located;
use crate::executor::sandbox::Sandbox;
use crate::executor::{CALL_VARIABLES, Executor, Warm};

/// Beside the probe; in a directory of its own, which is where its modules would be looked for.
const SCRIPT: &str = "together/together.py";
const TOGETHER: &str = include_str!("probe/together.py");
/// What comes behind this is for a start.
const START: &str = "\n\n# --- The start\n";
/// A worker vouches for no file that was written when it began: so old must the script be.
const REST: Duration = Duration::from_millis(30);
/// No plugin has such a name.
const NAME: &str = "*describing";

/// Dropping it ends the interpreter; who is being asked goes on.
#[derive(Debug)]
pub(super) struct Nursery {
    executor: Executor,
    warm: Arc<Warm>,
    /// What the plugins that are asked in it find in their environment.
    environment: Environment,
    up: OnceCell<bool>,
}

impl Nursery {
    /// Nothing is started before someone is asked. `environment` is that of a plugin, `whole` that of asking it.
    pub(super) fn new(
        executor: Executor,
        probe: &Path,
        python: &Path,
        (environment, mut whole): (Environment, Environment),
        sandbox: Option<Arc<Sandbox>>,
    ) -> Self {
        CALL_VARIABLES.iter().for_each(|name| whole.remove(name));
        let script = probe.join(SCRIPT);
        let words = [python, &script].map(|path| path.to_string_lossy().into_owned());
        let warm = Warm {
            name: NAME.into(),
            spares: false,
            stays: false,
            interpreter: python.to_owned(),
            root: script.parent().unwrap_or(probe).to_owned(),
            script,
            directory: probe.to_owned(),
            orig_argv: words.into(),
            preload: Vec::new(),
            environment: whole.into_pairs(),
            prefix: 1,
            sandbox,
        };
        Self { executor, warm: Arc::new(warm), environment, up: OnceCell::new() }
    }

    /// Lays out the script; `probe` is the text of the probe.
    pub(super) fn lay_out(directory: &Path, probe: &str) -> (PathBuf, String) {
        let watching = probe.split_once(START).map_or(probe, |(watching, _)| watching);
        (directory.join(SCRIPT), format!("{watching}\n\n{TOGETHER}"))
    }

    /// Whether this plugin, with this environment, is started as all the others are.
    pub(super) fn takes(&self, plugin: &Located, environment: &Environment) -> bool {
        plugin.program == self.warm.interpreter
            && plugin.prefix.len() == 1
            && plugin.confinement.is_usual()
            && *environment == self.environment
    }

    /// Waits until it is up; `false` where it never will be.
    pub(super) async fn is_up(&self) -> bool {
        let start = async {
            let written = std::fs::metadata(&self.warm.script).and_then(|found| found.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok()).unwrap_or(REST);
            tokio::time::sleep(REST.saturating_sub(age)).await;
            self.executor.warm_up_now(&self.warm).await
        };
        *self.up.get_or_init(|| start).await
    }

    pub(super) fn warm(&self) -> Arc<Warm> {
        Arc::clone(&self.warm)
    }

    /// What follows the interpreter where a plugin is asked.
    pub(super) fn argv(
        &self,
        report: &Path,
        directory: &Path,
        plugin: &Located,
        words: &[&str],
    ) -> Vec<OsString> {
        let paths = [self.warm.script.as_path(), report, directory].map(OsString::from);
        paths
            .into_iter()
            .chain(plugin.prefix.iter().cloned())
            .chain(words.iter().map(OsString::from))
            .collect()
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.executor.let_go(NAME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_watches_as_the_probe_does_and_is_not_started_as_one() {
        let (path, script) = Nursery::lay_out(Path::new("/probe"), include_str!("probe/sitecustomize.py"));
        assert_eq!(path, Path::new("/probe/together/together.py"));
        assert!(script.contains("class Watch:") && script.ends_with(TOGETHER));
        assert!(!script.contains("\n    start()\n"));
    }
}
