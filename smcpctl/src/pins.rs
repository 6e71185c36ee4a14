//! How plugins stand to what was approved of them: `pins list`, `pins diff`, `pins accept`.

mod words;

use serde_json::json;
use smcp_control::{Pin, Reply, Request};

use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

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

/// Accepts every plugin of which something differs, each as it shows it. One that cannot be accepted stays as it is, and
/// does not keep the others.
pub(crate) async fn accept_all(daemon: &mut Daemon, dry_run: bool) -> Result<Exit, Failure> {
    let mut pins = fetch(daemon, None).await?;
    pins.retain(|pin| pin.summary.is_some());
    let (mut accepted, mut failed) = (Vec::new(), Vec::new());
    for pin in pins {
        let is_accepted = match &pin.token {
            None => Err(pin.summary.clone().unwrap_or_default()),
            Some(token) => {
                if !daemon.json {
                    print(&words::of(&pin))?;
                }
                let request = Request::AcceptPin { plugin: pin.plugin.clone(), token: token.clone() };
                if dry_run { Ok(()) } else { accepted_as_shown(daemon, request).await? }
            }
        };
        let name = escape(&pin.plugin);
        match &is_accepted {
            Ok(()) if !daemon.json && dry_run => print(&format!("`{name}` would be accepted like this\n\n"))?,
            Ok(()) if !daemon.json => print(&format!("`{name}` is accepted\n\n"))?,
            Ok(()) | Err(_) => {}
        }
        match is_accepted {
            Ok(()) => accepted.push(json!({"plugin": pin.plugin.clone(), "pin": pin})),
            Err(reason) => failed.push((pin.plugin, reason)),
        }
    }
    if daemon.json {
        let failed: Vec<_> =
            failed.iter().map(|(plugin, reason)| json!({"plugin": plugin, "reason": reason})).collect();
        print_json("accepted_all", &json!({"dry_run": dry_run, "accepted": accepted, "failed": failed}))?;
    } else if accepted.is_empty() && failed.is_empty() {
        print("every plugin is what was approved\n")?;
    }
    let Some((plugin, reason)) = failed.first() else { return Ok(Exit::Ok) };
    let others = match failed.len() {
        1 => String::new(),
        more => format!(", nor can {} more", more - 1),
    };
    let message = format!("`{}` cannot be accepted: {}{others}", escape(plugin), escape(reason));
    Err(Failure::new(Exit::Failed, message).hint("see `smcpctl pins list`"))
}

/// Accepts one; the inner error says why the daemon would not.
async fn accepted_as_shown(daemon: &mut Daemon, request: Request) -> Result<Result<(), String>, Failure> {
    match daemon.ask(request).await {
        Ok(Reply::Done) => Ok(Ok(())),
        Ok(other) => unexpected(&other),
        // The others are judged by themselves.
        Err(failure) if [Exit::Failed, Exit::Busy, Exit::NotFound].contains(&failure.exit) => {
            Ok(Err(failure.message))
        }
        Err(failure) => Err(failure),
    }
}
