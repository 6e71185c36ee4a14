//! Profiles, and what allows or stops a call: `profiles list`, `show`, `test`, and `why`.

use smcp_control::{ProfileInfo, Reason, Reply, Request};

use crate::cli::Profiles;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

pub(crate) async fn run(daemon: &mut Daemon, command: Profiles) -> Result<Exit, Failure> {
    match command {
        Profiles::List => list(daemon).await,
        Profiles::Show { name } => show(daemon, &name).await,
        Profiles::Test { key, tool } => test(daemon, key, tool).await,
    }
}

async fn fetch(daemon: &mut Daemon) -> Result<Vec<ProfileInfo>, Failure> {
    match daemon.ask(Request::Profiles).await? {
        Reply::Profiles { profiles } => Ok(profiles),
        other => unexpected(&other),
    }
}

async fn list(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let profiles = fetch(daemon).await?;
    if daemon.json {
        print_json("profiles", &profiles)?;
        return Ok(Exit::Ok);
    }
    let row = |one: ProfileInfo| {
        let default = if one.is_default { "default" } else { "" };
        let keys = if one.keys.is_empty() { "no key".to_owned() } else { one.keys.join(", ") };
        vec![one.name, default.to_owned(), format!("{} tools", one.tools.len()), keys, one.origin]
    };
    let rows: Vec<Vec<String>> = profiles.into_iter().map(row).collect();
    print_rows(&["NAME", "DEFAULT", "SELECTS", "KEYS", "DEFINED IN"], &rows)?;
    Ok(Exit::Ok)
}

async fn show(daemon: &mut Daemon, name: &str) -> Result<Exit, Failure> {
    let found = fetch(daemon).await?.into_iter().find(|profile| profile.name == name);
    let Some(profile) = found else {
        let message = format!("no profile is called `{}`", escape(name));
        return Err(Failure::new(Exit::NotFound, message).hint("see `smcpctl profiles list`"));
    };
    if daemon.json {
        print_json("profile", &profile)?;
        return Ok(Exit::Ok);
    }
    let mut text = format!("{}, defined in {}\n", escape(&profile.name), escape(&profile.origin));
    let parts = [
        ("rules", &profile.rules),
        ("no tool fits", &profile.unused),
        ("keys", &profile.keys),
        ("tools", &profile.tools),
    ];
    for (what, items) in parts.iter().filter(|(_, items)| !items.is_empty()) {
        text.push_str(&format!("\n{what}:\n"));
        items.iter().for_each(|item| text.push_str(&format!("  {}\n", escape(item))));
    }
    if profile.tools.is_empty() {
        text.push_str("\nit selects no tool\n");
    }
    print(&text)?;
    Ok(Exit::Ok)
}

/// Whether the profiles of a key let its holder see and call a tool.
async fn test(daemon: &mut Daemon, key: String, tool: String) -> Result<Exit, Failure> {
    let reasons = reasons(daemon, tool, Some(key)).await?;
    let is_shown = |one: &Reason| match &*one.what {
        "profile" | "tool" => true,
        "pin" => !one.allows,
        _ => false,
    };
    answer(daemon, reasons.into_iter().filter(is_shown).collect())
}

pub(crate) async fn why(daemon: &mut Daemon, tool: String, key: Option<String>) -> Result<Exit, Failure> {
    let reasons = reasons(daemon, tool, key).await?;
    answer(daemon, reasons)
}

async fn reasons(daemon: &mut Daemon, tool: String, key: Option<String>) -> Result<Vec<Reason>, Failure> {
    match daemon.ask(Request::Why { tool, key }).await? {
        Reply::Why { reasons } => Ok(reasons),
        other => unexpected(&other),
    }
}

fn answer(daemon: &Daemon, reasons: Vec<Reason>) -> Result<Exit, Failure> {
    let is_allowed = reasons.iter().all(|reason| reason.allows);
    if daemon.json {
        print_json("why", &serde_json::json!({"allowed": is_allowed, "reasons": reasons}))?;
    } else {
        let row =
            |one: Reason| vec![if one.allows { "allows" } else { "stops" }.to_owned(), one.what, one.message];
        let rows: Vec<Vec<String>> = reasons.into_iter().map(row).collect();
        print_rows(&["IT", "WHAT", "BECAUSE"], &rows)?;
    }
    Ok(if is_allowed { Exit::Ok } else { Exit::Refused })
}
