//! Decides where a plugin's virtual environment goes and who makes it; `build` makes it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use smcp_control::Cause;

use super::build;
use super::held::Held;
use super::users::{self, ENTER, READ, User, WRITE};
use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::link::is_plain;
use crate::table::{escape, print, print_json};

/// What is to be made, and by whom.
#[derive(Debug)]
struct Plan {
    directory: PathBuf,
    target: PathBuf,
    /// Whom root becomes.
    user: Option<User>,
    held: Held,
}

/// Makes the virtual environment of a linked plugin, and has the daemon look at the plugin again.
pub(crate) async fn deps(
    daemon: &mut Daemon,
    name: &str,
    user: &str,
    dry_run: bool,
) -> Result<Exit, Failure> {
    let status = daemon.fetch_status().await?;
    let (plugins, state) = (Path::new(&status.plugins_directory), Path::new(&status.state_directory));
    let held = Held {
        mode: status.sandbox_mode.clone(),
        hidden: status.private_places.iter().map(PathBuf::from).collect(),
    };
    let plan = plan(plugins, state, name, drop_to(user)?, held)?;
    let shown = plan.target.display().to_string();
    if !dry_run {
        let made = tokio::task::spawn_blocking(move || make(&plan)).await;
        made.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??;
        let cause = Cause { action: "deps".to_owned(), object: format!("{name} -> {shown}") };
        daemon.rescan(false, Some(cause)).await?;
    }
    match (daemon.json, dry_run) {
        (true, _) => print_json("environment", &json!({"directory": shown, "dry_run": dry_run}))?,
        (false, true) => print(&format!("would make `{}`\n", escape(&shown)))?,
        (false, false) => print(&format!("made `{}`\n", escape(&shown)))?,
    }
    Ok(Exit::Ok)
}

/// Root never runs an installer: a package's set-up code may do whatever it likes.
fn drop_to(user: &str) -> Result<Option<User>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = users::find(user)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot read `/etc/passwd`: {error}")))?;
    match found {
        Some(found) if found.uid == 0 => Err(Failure::new(
            Exit::Usage,
            format!("`{}` is root: packages are never installed by root", escape(user)),
        )
        .hint("choose another user with --user")),
        Some(found) => Ok(Some(found)),
        None => {
            let message = format!(
                "packages are never installed by root, and there is no user `{}` to do it",
                escape(user)
            );
            Err(Failure::new(Exit::NotPermitted, message)
                .hint("choose one with --user, or run it as the user that the daemon runs as"))
        }
    }
}

fn plan(plugins: &Path, state: &Path, name: &str, user: Option<User>, held: Held) -> Result<Plan, Failure> {
    if !is_plain(name) {
        return Err(Failure::new(Exit::Usage, format!("`{}` is no name of a plugin", escape(name))));
    }
    let directory = plugins.join(name).canonicalize().map_err(|_| {
        Failure::new(Exit::NotFound, format!("no plugin is called `{name}`"))
            .hint("see `smcpctl plugin list`")
    })?;
    let requirements = directory.join(build::REQUIREMENTS);
    if !fs::metadata(&requirements).is_ok_and(|found| found.is_file()) {
        let message = format!("`{}` has no `requirements.txt`", escape(&directory.display().to_string()));
        let hint = "list its packages there, one a line; without any it needs no environment of its own";
        return Err(Failure::new(Exit::NotFound, message).hint(hint));
    }
    if user.as_ref().is_some_and(|user| !user.may(&requirements, READ)) {
        let message = format!("the user may not read `{}`", escape(&requirements.display().to_string()));
        let hint = "move the plugin where the daemon can read it, or choose another user with --user";
        return Err(Failure::new(Exit::NotPermitted, message).hint(hint));
    }
    let is_writable = match &user {
        Some(user) => user.may(&directory, WRITE | ENTER),
        None => rustix::fs::access(&directory, rustix::fs::Access::WRITE_OK).is_ok(),
    };
    let target = if is_writable { directory.join(".venv") } else { state.join("venv").join(name) };
    Ok(Plan { directory, target, user, held })
}

/// Makes it here, or in a process that has given up root's rights.
fn make(plan: &Plan) -> Result<(), Failure> {
    let Some(user) = &plan.user else {
        return build::build(&plan.directory, &plan.target, &plan.held).map(|_| ());
    };
    let failed = |reason: String| {
        Failure::new(Exit::Failed, format!("cannot start smcpctl as another user: {reason}"))
    };
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let kept =
        ["PATH", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];
    let environment = kept.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let mut command = Command::new(own);
    command.args(["plugin", "deps-build", "--mode", &plan.held.mode]);
    for place in &plan.held.hidden {
        command.arg("--hide").arg(place);
    }
    command.arg("--").arg(&plan.directory).arg(&plan.target);
    command.env_clear().envs(environment).env("HOME", &user.home);
    // A service's user often has no home to keep a cache in.
    command.envs([("UV_NO_CACHE", "1"), ("PIP_NO_CACHE_DIR", "1")]);
    // Giving a user as root also gives up root's further groups.
    command.uid(user.uid).gid(user.gid).current_dir("/").stdin(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        // It has said why.
        Ok(_) => {
            Err(Failure::new(Exit::Failed, "the environment was not made; the old one, if any, is as it was"))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}
