//! Calls that wait for an operator: `approvals list`, `show`, `approve`, `deny`.

use serde_json::json;
use smcp_control::{Approval, Reply, Request};

use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{duration, escape, print, print_json, print_rows};

async fn fetch(daemon: &mut Daemon) -> Result<Vec<Approval>, Failure> {
    match daemon.ask(Request::Approvals).await? {
        Reply::Approvals { approvals } => Ok(approvals),
        other => unexpected(&other),
    }
}

pub(crate) async fn list(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let approvals = fetch(daemon).await?;
    if daemon.json {
        print_json("approvals", &approvals)?;
        return Ok(Exit::Ok);
    }
    let row = |one: Approval| {
        let left = duration(one.left_ms / 1_000);
        vec![one.id, one.tool, one.caller, one.agent.unwrap_or_default(), left, one.arguments.to_string()]
    };
    let rows: Vec<Vec<String>> = approvals.into_iter().map(row).collect();
    print_rows(&["ID", "TOOL", "CALLER", "AGENT", "LEFT", "ARGUMENTS"], &rows)?;
    Ok(Exit::Ok)
}

/// Shows one with each argument on a line of its own.
pub(crate) async fn show(daemon: &mut Daemon, id: &str) -> Result<Exit, Failure> {
    let Some(found) = fetch(daemon).await?.into_iter().find(|one| one.id == id) else {
        let message = format!("no call `{}` waits for approval", escape(id));
        return Err(Failure::new(Exit::NotFound, message).hint("see `smcpctl approvals list`"));
    };
    if daemon.json {
        print_json("approval", &found)?;
        return Ok(Exit::Ok);
    }
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let mut rows = vec![row("id", found.id), row("tool", found.tool), row("caller", found.caller)];
    rows.extend(found.agent.map(|agent| row("agent, it says", agent)));
    rows.push(row("waits", duration(found.waits_ms / 1_000)));
    rows.push(row("left", duration(found.left_ms / 1_000)));
    let arguments = found.arguments.as_object().into_iter().flatten();
    rows.extend(arguments.map(|(name, value)| row(&format!("argument {name}"), value.to_string())));
    print_rows(&["WHAT", "VALUE"], &rows)?;
    Ok(Exit::Ok)
}

pub(crate) async fn decide(
    daemon: &mut Daemon,
    id: String,
    approve: bool,
    reason: Option<String>,
) -> Result<Exit, Failure> {
    let said = if approve { "approved" } else { "denied" };
    match daemon.ask(Request::Decide { id: id.clone(), approve, reason }).await? {
        Reply::Done => {}
        other => return unexpected(&other),
    }
    match daemon.json {
        true => print_json(said, &json!(id))?,
        false => print(&format!("`{}` is {said}\n", escape(&id)))?,
    }
    Ok(Exit::Ok)
}
