//! What the daemon is and does: `status`, `health`, `sessions`, `calls`, `cancel`, `version`.

use serde_json::json;
use smcp_control::{Client, PluginCounts, Reply, Request, Tls};

use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{duration, escape, print, print_json, print_rows};

pub(crate) fn version(daemon: Option<&Client>, as_json: bool) -> Result<Exit, Failure> {
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = daemon.map(|client| client.hello().version.clone());
    if as_json {
        print_json("versions", &json!({"smcpctl": ours, "smcpd": theirs}))?;
    } else {
        print(&format!("smcpctl {ours}\nsmcpd {}\n", theirs.as_deref().unwrap_or("does not answer")))?;
    }
    Ok(Exit::Ok)
}

pub(crate) async fn status(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let status = daemon.fetch_status().await?;
    if daemon.json {
        print_json("status", &status)?;
        return Ok(Exit::Ok);
    }
    let PluginCounts { described, pending, failed } = status.plugins;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let up = duration(status.uptime_seconds);
    let containers: Vec<_> = status
        .containers
        .iter()
        .map(|one| row("containers", format!("{} ({})", one.address, one.bridge)))
        .collect();
    let mut rows = vec![
        row("status", format!("{}, up {up}, pid {}, uid {}", status.status, status.pid, status.uid)),
        row("version", status.version),
        row("address", address(status.address, status.tls.as_ref())),
        row("plugins", format!("{described} described, {pending} pending, {failed} failed")),
        row("directory", status.plugins_directory),
        row("tools", status.tools.to_string()),
        row("sessions", status.sessions.to_string()),
        row(
            "calls",
            format!(
                "{} running, {} waiting, {} ok, {} failed",
                status.calls_running, status.calls_waiting, status.calls_ok, status.calls_failed
            ),
        ),
    ];
    // Beside the address of the host itself.
    rows.splice(3..3, containers);
    let waiting = status.approvals_waiting;
    rows.extend((waiting > 0).then(|| row("approvals", format!("{waiting} waiting"))));
    print_rows(&["WHAT", "VALUE"], &rows)?;
    Ok(Exit::Ok)
}

fn address(address: Option<String>, tls: Option<&Tls>) -> String {
    let Some(address) = address else { return "none".to_owned() };
    let Some(tls) = tls else { return address };
    let clients = match tls.client_certificates.as_str() {
        "none" => String::new(),
        asked => format!(", client certificates {asked}"),
    };
    format!("https://{address}, certificate until {}{clients}", tls.not_after)
}

pub(crate) async fn health(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let health = match daemon.ask(Request::Health).await? {
        Reply::Health { health } => health,
        other => return unexpected(&other),
    };
    let status = health["status"].as_str().unwrap_or("unknown").to_owned();
    if daemon.json {
        print_json("health", &health)?;
    } else {
        print(&format!("{}\n", escape(&status)))?;
    }
    Ok(if status == "ok" { Exit::Ok } else { Exit::Failed })
}

pub(crate) async fn sessions(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let sessions = match daemon.ask(Request::Sessions).await? {
        Reply::Sessions { sessions } => sessions,
        other => return unexpected(&other),
    };
    if daemon.json {
        print_json("sessions", &sessions)?;
        return Ok(Exit::Ok);
    }
    let row = |session: smcp_control::SessionInfo| {
        let requests = session.in_flight.to_string();
        vec![session.id, session.transport, session.revision, session.caller, requests]
    };
    let rows: Vec<Vec<String>> = sessions.into_iter().map(row).collect();
    print_rows(&["SESSION", "TRANSPORT", "REVISION", "CALLER", "REQUESTS"], &rows)?;
    Ok(Exit::Ok)
}

pub(crate) async fn calls(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let calls = match daemon.ask(Request::Calls).await? {
        Reply::Calls { calls } => calls,
        other => return unexpected(&other),
    };
    if daemon.json {
        print_json("calls", &calls)?;
        return Ok(Exit::Ok);
    }
    let row = |call: smcp_control::CallInfo| {
        let state = if call.waiting { "waiting" } else { "running" };
        vec![call.id, call.tool, state.to_owned(), call.caller, format!("{} ms", call.milliseconds)]
    };
    let rows: Vec<Vec<String>> = calls.into_iter().map(row).collect();
    print_rows(&["CALL", "TOOL", "STATE", "CALLER", "SINCE"], &rows)?;
    Ok(Exit::Ok)
}

pub(crate) async fn cancel(daemon: &mut Daemon, call: String) -> Result<Exit, Failure> {
    let id = call.clone();
    match daemon.ask(Request::Cancel { call }).await? {
        Reply::Done if daemon.json => print_json("cancelled", &id)?,
        Reply::Done => print(&format!("{} is cancelled\n", escape(&id)))?,
        other => return unexpected(&other),
    }
    Ok(Exit::Ok)
}
