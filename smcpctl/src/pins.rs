//! How plugins stand to what was approved of them: `pins list`, `pins diff`, `pins accept`.

mod words;

use serde_json::json;
use smcp_control::{Pin, Reply, Request};

use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{print, print_json, print_rows};

async fn fetch(daemon: &mut Daemon, plugin: Option<String>) -> Result<Vec<Pin>, Failure> {
    match daemon.ask(Request::Pins { plugin }).await? {
        Reply::Pins { pins } => Ok(pins),
        other => unexpected(&other),
    }
}

pub(crate) async fn list(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let pins = fetch(daemon, None).await?;
    if daemon.json {
        print_json("pins", &pins)?;
        return Ok(Exit::Ok);
    }
    let row = |pin: Pin| {
        let (time, by) = match pin.pinned {
            Some(pinned) => (pinned.time, pinned.uid.map_or_else(String::new, |uid| format!("uid {uid}"))),
            None => (String::new(), String::new()),
        };
        vec![pin.plugin, pin.state, pin.policy, time, by, pin.summary.unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = pins.into_iter().map(row).collect();
    print_rows(&["PLUGIN", "STATE", "POLICY", "PINNED", "BY", "WHAT DIFFERS"], &rows)?;
    Ok(Exit::Ok)
}

pub(crate) async fn diff(daemon: &mut Daemon, plugin: Option<String>) -> Result<Exit, Failure> {
    let is_named = plugin.is_some();
    let mut pins = fetch(daemon, plugin).await?;
    if !is_named {
        pins.retain(|pin| pin.summary.is_some());
    }
    if daemon.json {
        print_json("pins", &pins)?;
    } else if pins.is_empty() {
        print("every plugin is what was approved\n")?;
    } else {
        let shown: Vec<String> = pins.iter().map(words::of).collect();
        print(&shown.join("\n"))?;
    }
    Ok(Exit::Ok)
}

/// Accepts what it shows and nothing else: what changes in between is refused.
pub(crate) async fn accept(
    daemon: &mut Daemon,
    plugin: String,
    token: Option<String>,
    dry_run: bool,
) -> Result<Exit, Failure> {
    let found = fetch(daemon, Some(plugin.clone())).await?;
    let Some(pin) = found.into_iter().next() else {
        return Err(Failure::new(Exit::NotFound, format!("no plugin is called `{plugin}`")));
    };
    let Some(now) = pin.token.clone() else {
        let reason = pin.summary.unwrap_or_else(|| "there is nothing to accept".to_owned());
        return Err(Failure::new(Exit::Failed, format!("`{plugin}` cannot be accepted: {reason}")));
    };
    if token.is_some_and(|token| token != now) {
        return Err(Failure::new(Exit::Busy, format!("`{plugin}` is not what was shown any more"))
            .hint(format!("look again: `smcpctl pins diff {plugin}`")));
    }
    if !daemon.json {
        print(&words::of(&pin))?;
    }
    if !dry_run {
        match daemon.ask(Request::AcceptPin { plugin: plugin.clone(), token: now }).await? {
            Reply::Done => {}
            other => return unexpected(&other),
        }
    }
    match daemon.json {
        true => print_json("accepted", &json!({"plugin": plugin, "dry_run": dry_run, "pin": pin}))?,
        false if dry_run => print(&format!("`{plugin}` would be accepted like this\n"))?,
        false => print(&format!("`{plugin}` is accepted\n"))?,
    }
    Ok(Exit::Ok)
}
