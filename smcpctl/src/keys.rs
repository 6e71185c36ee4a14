//! API keys: `keys create`, `list`, `revoke`, `rotate`.

use smcp_control::{KeyChanged, KeyInfo, Reply, Request, SecretText};

use crate::cli::Keys;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

pub(crate) async fn run(daemon: &mut Daemon, command: Keys) -> Result<Exit, Failure> {
    match command {
        Keys::List => list(daemon).await,
        Keys::Create { name, profile: profiles, agent, expires } => {
            let expires_seconds = expires.map(|expires| expires.as_secs());
            change(daemon, Request::KeyCreate { name, agent, profiles, expires_seconds }, "has this secret")
                .await
        }
        Keys::Revoke { name } => change(daemon, Request::KeyRevoke { name }, "is revoked").await,
        Keys::Rotate { name, overlap } => {
            let overlap_seconds = overlap.as_secs();
            change(daemon, Request::KeyRotate { name, overlap_seconds }, "has another secret").await
        }
    }
}

async fn list(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let keys = match daemon.ask(Request::Keys).await? {
        Reply::Keys { keys } => keys,
        other => return unexpected(&other),
    };
    if daemon.json {
        print_json("keys", &keys)?;
        return Ok(Exit::Ok);
    }
    let row = |key: KeyInfo| {
        let or = |text: Option<String>, none: &str| text.unwrap_or_else(|| none.to_owned());
        vec![
            key.name,
            key.source.as_str().to_owned(),
            key.state.as_str().to_owned(),
            or(key.profiles.map(|profiles| profiles.join(", ")), "every tool"),
            or(key.agent, "any agent"),
            or(key.expires, "never"),
            or(key.last_used, "not since the start"),
        ]
    };
    let rows: Vec<Vec<String>> = keys.into_iter().map(row).collect();
    print_rows(&["NAME", "SOURCE", "STATE", "PROFILES", "AGENT", "EXPIRES", "LAST USED"], &rows)?;
    Ok(Exit::Ok)
}

/// The secret alone is the result, so that a script can take it; the rest is for people.
#[expect(clippy::print_stderr, reason = "what is not the result is said beside it")]
async fn change(daemon: &mut Daemon, request: Request, done: &str) -> Result<Exit, Failure> {
    let KeyChanged { key, secret, notes } = match daemon.ask(request).await? {
        Reply::KeyChanged(changed) => changed,
        other => return unexpected(&other),
    };
    if daemon.json {
        print_json("key", &KeyChanged { key, secret, notes })?;
        return Ok(Exit::Ok);
    }
    let name = escape(&key.name);
    match secret {
        Some(SecretText(secret)) => {
            print(&format!("{secret}\n"))?;
            let until = key.previous_until.map(|until| format!("; the old one goes on until {until}"));
            eprintln!("`{name}` {done}, which is shown this once{}", until.unwrap_or_default());
            eprintln!("clients send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`");
        }
        None => print(&format!("`{name}` {done}\n"))?,
    }
    for note in notes {
        eprintln!("note: {}", escape(&note));
    }
    Ok(Exit::Ok)
}
