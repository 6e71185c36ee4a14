//! The plugins of the daemon: `plugin list`, `show`, `link` and `unlink`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smcp_control::{Cause, Changes, GroupInfo, PluginDetail, PluginInfo, ToolInfo, Warm};

use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::table::{escape, mebibytes, print, print_json, print_rows};
use crate::{beside, changes, link, tools};

pub(crate) async fn list(daemon: &mut Daemon) -> Result<Exit, Failure> {
    let plugins = daemon.fetch_plugins().await?;
    if daemon.json {
        print_json("plugins", &plugins)?;
        return Ok(Exit::Ok);
    }
    let row = |plugin: PluginInfo| {
        let detail = plugin.reason.or(plugin.directory).unwrap_or_default();
        vec![plugin.name, plugin.state.as_str().to_owned(), plugin.tools.to_string(), detail]
    };
    let rows: Vec<Vec<String>> = plugins.into_iter().map(row).collect();
    print_rows(&["PLUGIN", "STATE", "TOOLS", "DETAIL"], &rows)?;
    Ok(Exit::Ok)
}

pub(crate) async fn show(daemon: &mut Daemon, name: &str) -> Result<Exit, Failure> {
    let plugin = daemon.fetch_plugin(name).await?;
    if daemon.json {
        print_json("plugin", &plugin)?;
    } else {
        print_rows(&["WHAT", "VALUE"], &rows_of(plugin))?;
    }
    Ok(Exit::Ok)
}

fn rows_of(plugin: PluginDetail) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let PluginDetail { info, described, problems } = plugin;
    let mut rows = vec![row("plugin", info.name), row("state", info.state.as_str().to_owned())];
    rows.extend(info.reason.map(|reason| row("reason", reason)));
    rows.extend(info.directory.map(|directory| row("directory", directory)));
    if let Some(found) = described {
        let optional =
            [("title", found.title), ("version", found.version), ("description", found.description)];
        rows.extend(optional.into_iter().filter_map(|(name, value)| Some(row(name, value?))));
        rows.push(row("runs", found.program));
        rows.push(row("described by", found.source.replace('_', " ")));
        rows.push(row("digest", found.digest.chars().take(16).collect()));
        let timeout =
            found.timeout_seconds.map_or_else(|| "none".to_owned(), |seconds| format!("{seconds} s"));
        rows.push(row("timeout", timeout));
        rows.push(row("calls at once", found.slots.to_string()));
        rows.push(row("warm", warm(&found.warm)));
        rows.push(row("sandbox", found.sandbox.mode));
        rows.extend(found.group.map(|group| row("takes", taken(&group))));
        rows.extend(found.environment.into_iter().map(|variable| {
            let state = match (variable.set, variable.required) {
                (true, _) => "set",
                (false, true) => "required and not set",
                (false, false) => "not set",
            };
            let what = variable.description.map(|what| format!(": {what}")).unwrap_or_default();
            row("variable", format!("{} ({state}){what}", variable.name))
        }));
        rows.extend(found.tools.into_iter().map(|tool| row("tool", tool)));
    }
    rows.extend(
        problems.into_iter().map(|problem| row("problem", format!("{}: {}", problem.tool, problem.message))),
    );
    rows
}

/// `3 processes, 41.2 MiB, 1.5 s of processors`
fn taken(group: &GroupInfo) -> String {
    let memory = group.memory_bytes.map(|bytes| format!(", {}", mebibytes(bytes)));
    let cpu = group.cpu_seconds.map(|seconds| format!(", {seconds:.1} s of processors"));
    format!("{} processes{}{}", group.processes, memory.unwrap_or_default(), cpu.unwrap_or_default())
}

fn warm(warm: &Warm) -> String {
    let now = match (warm.parent, warm.spares) {
        (false, _) => String::new(),
        (true, 0) => ": its parent is up".to_owned(),
        (true, 1) => ": its parent is up, and a spare".to_owned(),
        (true, spares) => format!(": its parent is up, and {spares} spares"),
    };
    let reason = warm.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{}{now}{reason}", warm.mode)
}

/// Links a plugin, and says what became callable, or why not.
pub(crate) async fn link(
    daemon: &mut Daemon,
    path: &Path,
    name: Option<&str>,
    dry_run: bool,
) -> Result<Exit, Failure> {
    let status = daemon.fetch_status().await?;
    let rules = link::Rules {
        plugins: Path::new(&status.plugins_directory),
        roots: status.plugins_roots.iter().map(PathBuf::from).collect(),
        owners: [status.uid, rustix::process::geteuid().as_raw()]
            .into_iter()
            .chain(status.plugins_owners)
            .collect(),
        shipped: beside::shipped_plugins(),
    };
    let (name, target, mut warnings) = match link::plan(&rules, path, name)? {
        link::Plan::Nothing { name } => return linked_already(daemon, &name),
        link::Plan::Link { target, link, name, warnings } => {
            if !dry_run {
                link::link(&target, &link)?;
                let object = format!("{name} -> {}", target.display());
                daemon.rescan(false, Some(Cause { action: "link".to_owned(), object })).await?;
            }
            (name, target, warnings)
        }
    };
    if dry_run {
        warn(&warnings);
        match daemon.json {
            true => print_json("link", &report(&name, &target, true, &warnings, &[]))?,
            false => print(&format!("would link `{name}` to `{}`\n", escape(&target.display().to_string())))?,
        }
        return Ok(Exit::Ok);
    }
    let detail = daemon.fetch_plugin(&name).await?;
    if let Some(reason) = detail.info.reason {
        warn(&warnings);
        let message = format!("`{name}` is linked and cannot be described: {}", escape(&reason));
        let hint = format!("mend it, or `smcpctl plugin unlink {name}`");
        return Err(Failure::new(Exit::Invalid, message).hint(hint));
    }
    let mut tools = daemon.fetch_tools().await?;
    tools.retain(|tool| tool.plugin.as_deref() == Some(&name));
    warnings
        .extend(detail.problems.into_iter().map(|problem| format!("{}: {}", problem.tool, problem.message)));
    warnings.extend(undescribed(&tools));
    warn(&warnings);
    match daemon.json {
        true => print_json("link", &report(&name, &target, false, &warnings, &tools))?,
        false => tools::table(&tools)?,
    }
    Ok(Exit::Ok)
}

fn linked_already(daemon: &Daemon, name: &str) -> Result<Exit, Failure> {
    match daemon.json {
        true => print_json("link", &json!({"name": name, "linked_already": true}))?,
        false => print(&format!("`{name}` is linked already\n"))?,
    }
    Ok(Exit::Ok)
}

fn report(name: &str, target: &Path, dry_run: bool, warnings: &[String], tools: &[ToolInfo]) -> Value {
    json!({"name": name, "target": target, "dry_run": dry_run, "warnings": warnings, "tools": tools})
}

/// What a model has to guess because nobody wrote it down.
fn undescribed(tools: &[ToolInfo]) -> Vec<String> {
    let mut warnings = Vec::new();
    for tool in tools {
        if tool.description.trim().is_empty() {
            warnings.push(format!("{}: it has no description", tool.id));
        }
        let bare = |schema: &Value| schema["description"].as_str().is_none_or(|text| text.trim().is_empty());
        let names: Vec<String> = tools::properties(tool)
            .filter(|(_, schema)| bare(schema))
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        if !names.is_empty() {
            warnings.push(format!("{}: no description of {}", tool.id, names.join(", ")));
        }
    }
    warnings
}

#[expect(clippy::print_stderr, reason = "warnings are no result")]
fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| eprintln!("warning: {}", escape(warning)));
}

/// Removes a link, and says what disappeared. Calls that run keep running.
pub(crate) async fn unlink(daemon: &mut Daemon, name: &str, dry_run: bool) -> Result<Exit, Failure> {
    let directory = PathBuf::from(daemon.fetch_status().await?.plugins_directory);
    // What disappears is known only as long as it is there.
    let mut tools = daemon.fetch_tools().await?;
    tools.retain(|tool| tool.plugin.as_deref() == Some(name));
    if !link::unlink(&directory, name, dry_run)? {
        match daemon.json {
            true => changes::show(&Changes::default(), true)?,
            false => print(&format!("no plugin is called `{name}`\n"))?,
        }
        return Ok(Exit::Ok);
    }
    if !dry_run {
        let cause = Cause { action: "unlink".to_owned(), object: name.to_owned() };
        daemon.rescan(false, Some(cause)).await?;
    }
    let removed: Vec<String> = tools.into_iter().map(|tool| tool.id).collect();
    if removed.is_empty() && !daemon.json {
        print(&format!("`{name}` is unlinked; it had no tools\n"))?;
        return Ok(Exit::Ok);
    }
    changes::show(&Changes { removed, ..Changes::default() }, daemon.json)?;
    Ok(Exit::Ok)
}
