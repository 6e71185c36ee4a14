//! What becomes of the catalog and the configuration: `rescan`, `reload`, `config`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use smcp_control::{Changes, ConfigValue, Reloaded, Reply, Request};

use crate::beside;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

/// The system daemon's file.
const SYSTEM: &str = "/etc/smcp/smcpd.toml";

pub(crate) async fn rescan(daemon: &mut Daemon, plan: bool) -> Result<Exit, Failure> {
    let changes = daemon.rescan(plan, None).await?;
    show(&changes, daemon.json)?;
    Ok(Exit::Ok)
}

/// Shows changes of tools.
pub(crate) fn show(changes: &Changes, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json("changes", changes);
    }
    let rows = rows_of(changes);
    if rows.is_empty() {
        return print("nothing changed\n");
    }
    print_rows(&["CHANGE", "NAME", "DETAIL"], &rows)
}

fn rows_of(changes: &Changes) -> Vec<Vec<String>> {
    let row = |sign: &str, what: &str, more: String| vec![sign.to_owned(), what.to_owned(), more];
    let added = changes.added.iter().map(|tool| row("added", tool, String::new()));
    let removed = changes.removed.iter().map(|tool| row("removed", tool, String::new()));
    let changed = changes.changed.iter().map(|one| row("changed", &one.tool, one.parameters.join(" ")));
    let failed = changes.failed.iter().map(|(plugin, reason)| row("failed", plugin, reason.clone()));
    added.chain(removed).chain(changed).chain(failed).collect()
}

pub(crate) async fn reload(daemon: &mut Daemon, plan: bool) -> Result<Exit, Failure> {
    let reloaded = match daemon.ask(Request::Reload { plan }).await? {
        Reply::Reloaded(reloaded) => reloaded,
        other => return unexpected(&other),
    };
    if daemon.json {
        print_json("reloaded", &reloaded)?;
        return Ok(Exit::Ok);
    }
    let Reloaded { values, changes } = reloaded;
    let value = |one: &smcp_control::ValueChange| {
        let effect = if one.needs_restart { "at a restart" } else { "now" };
        vec![effect.to_owned(), one.key.clone(), format!("{} -> {}  ({})", one.from, one.to, one.origin)]
    };
    let mut rows: Vec<Vec<String>> = values.iter().map(value).collect();
    rows.extend(rows_of(&changes));
    if rows.is_empty() {
        print("nothing changed\n")?;
    } else {
        print_rows(&["CHANGE", "NAME", "DETAIL"], &rows)?;
    }
    Ok(Exit::Ok)
}

pub(crate) async fn config(daemon: &mut Daemon, origin: bool) -> Result<Exit, Failure> {
    let values = daemon.fetch_config().await?;
    if daemon.json {
        print_json("config", &values)?;
        return Ok(Exit::Ok);
    }
    let row = |value: &ConfigValue| {
        let pending = value.pending.as_ref().map(|pending| format!("  (after a restart: {pending})"));
        let mut row = vec![value.key.clone(), format!("{}{}", value.value, pending.unwrap_or_default())];
        row.extend(origin.then(|| value.origin.clone()));
        row
    };
    let rows: Vec<Vec<String>> = values.iter().map(row).collect();
    let headings: &[&str] = if origin { &["KEY", "VALUE", "ORIGIN"] } else { &["KEY", "VALUE"] };
    print_rows(headings, &rows)?;
    Ok(Exit::Ok)
}

/// Judges one file by itself.
pub(crate) async fn check_file(file: &Path, as_json: bool) -> Result<Exit, Failure> {
    judge(&["--config".as_ref(), file.as_os_str()], &file.display().to_string(), as_json).await
}

/// Judges what a daemon would read at its start: the system's where there is one, else the user's own.
pub(crate) async fn check_own(as_json: bool) -> Result<Exit, Failure> {
    match Path::new(SYSTEM).exists() {
        true => judge(&["--system".as_ref()], SYSTEM, as_json).await,
        false => judge(&[], "the configuration", as_json).await,
    }
}

/// Asks the `smcpd` beside us.
async fn judge(arguments: &[&OsStr], what: &str, as_json: bool) -> Result<Exit, Failure> {
    let smcpd = beside::smcpd()?;
    // What the shell has set of the daemon's variables is not the daemon's.
    let environment = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("MCP_"));
    let mut command = Command::new(&smcpd);
    command.arg("--check").args(arguments).env_clear().envs(environment);
    let output = beside::output(&mut command, Duration::from_secs(30))
        .await
        .map_err(|error| beside::cannot_run(&smcpd, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.trim().trim_start_matches("smcpd: error: ");
        return Err(Failure::new(Exit::Invalid, escape(reason)));
    }
    match as_json {
        true => print_json("checked", &json!({"what": what, "ok": true}))?,
        false => print(&format!("{} is fine\n", escape(what)))?,
    }
    Ok(Exit::Ok)
}
