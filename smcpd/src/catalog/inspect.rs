//! Judges one plugin and says all that is known of it, as one JSON object: what `plugin check` and `plugin
//! describe` show. It is described by the very code that describes it for the daemon, and nothing is cached.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::describe::Describer;
use super::describing::{Place, describe};
use super::lint::{self, Code, Finding, Severity};
use super::model::Command;
use super::ownership::{self, Owners};
use super::pins::Pins;
use super::round_trip::{self, Example, RoundTrip};
use super::{Fields, Plugin, Tool, contract_writer, python, strict};
use crate::config::Config;
use crate::executor::Executor;

/// Returns what is known of the plugin at `path`, and every finding; a plugin that is not sound is no error.
pub(crate) async fn inspect(
    settings: Arc<Config>,
    executor: &Executor,
    path: &Path,
    name: Option<&str>,
    cancel: &CancellationToken,
) -> std::io::Result<Value> {
    let path = std::path::absolute(path)?;
    let name = name.map_or_else(|| name_of(&path), str::to_owned);
    let mut findings = lint::entry(&path, &name);
    let directory = path.canonicalize().ok();
    if let Some(directory) = &directory {
        let owners = Owners {
            daemon: rustix::process::geteuid().as_raw(),
            linker: ownership::linker(&path),
            others: settings.plugins.owners.clone(),
        };
        findings.extend(lint::permissions(directory, owners));
    }
    let describer = Describer::new(
        executor.clone(),
        &settings.paths.cache,
        settings.plugins.describe_timeout,
        cancel.clone(),
    )?;
    let python = python::find(&settings.plugins, executor, cancel).await;
    let pins = Pins::new(&settings.paths.state);
    let place = Place { settings: Arc::clone(&settings), python, pins, silent: Arc::default() };
    match describe(&place, &describer, &name, &path).await {
        Ok(plugin) => Ok(described(&settings, &describer, &plugin, findings).await),
        Err(reason) => {
            // Whatever is wrong with the entry point is the reason already.
            if !findings.iter().any(|finding| is_of_the_entry(finding.code)) {
                findings.push(lint::not_described(&name, &reason));
            }
            let plugin = json!({"name": name, "directory": directory});
            Ok(report(&plugin, &Value::Null, Vec::new(), &findings))
        }
    }
}

/// The link's own name, as the daemon would take it.
fn name_of(path: &Path) -> String {
    let canonical = || path.canonicalize().ok().and_then(|path| path.file_name().map(PathBuf::from));
    let own = match path.components().next_back() {
        Some(std::path::Component::Normal(name)) => Some(PathBuf::from(name)),
        _ => canonical(),
    };
    own.unwrap_or_default().to_string_lossy().into_owned()
}

fn is_of_the_entry(code: Code) -> bool {
    matches!(
        code,
        Code::BadName
            | Code::DanglingLink
            | Code::NoEntryPoint
            | Code::NoShebang
            | Code::NotExecutable
            | Code::Unreadable
    )
}

fn report(plugin: &Value, contract: &Value, commands: Vec<Value>, findings: &[Finding]) -> Value {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| match finding.severity() {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Note => 2,
    });
    let findings: Vec<Value> = findings.into_iter().map(Finding::to_json).collect();
    json!({"version": 1, "plugin": plugin, "contract": contract, "commands": commands, "findings": findings})
}

async fn described(
    settings: &Config,
    describer: &Describer,
    plugin: &Arc<Plugin>,
    mut findings: Vec<Finding>,
) -> Value {
    let (located, description) = (plugin.located(), plugin.description());
    let separator = settings.tools.separator;
    let tools: Vec<Tool> = Tool::all_of(plugin, separator).collect();
    findings.extend(lint::plugin(plugin.name(), description));
    findings.extend(lint::files(plugin));
    findings.extend(lint::tool_names(&tools, description, separator));
    let contract = contract_writer::contract(plugin.name(), description);
    let trips = round_trips(describer, plugin).await;
    let mut commands = Vec::new();
    for (index, (tool, command)) in tools.iter().zip(&description.commands).enumerate() {
        let listed = tool.to_json(Fields::Titled);
        let grade = strict::grade(&listed["inputSchema"]);
        findings.extend(lint::command(tool.id(), command, &grade));
        findings.extend(lint::promises(tool));
        findings.extend(trip_finding(tool.id(), &trips[index]));
        let reasons = [grade.letta.as_slice(), &grade.openai].concat();
        commands.push(json!({
            "tool": tool.id(),
            "name": tool.wire_name(),
            "description": listed["description"],
            "parameters": contract["commands"][index].get("parameters").unwrap_or(&json!([])),
            "input_schema": listed["inputSchema"],
            "strict": {
                "openai": grade.is_openai(),
                "letta": grade.is_letta(),
                "reasons": reasons,
            },
            "round_trip": trip_json(&trips[index]),
        }));
    }
    let prefix = located.prefix.iter().map(|word| word.to_string_lossy());
    let program: Vec<_> = std::iter::once(located.program.to_string_lossy()).chain(prefix).collect();
    let about = json!({
        "name": plugin.name(),
        "directory": located.directory,
        "program": program,
        "source": description.source,
        "title": description.title,
        "version": description.version,
        "description": description.description,
    });
    report(&about, &contract, commands, &findings)
}

/// Rehearses every command in one run of the plugin.
async fn round_trips(describer: &Describer, plugin: &Plugin) -> Vec<RoundTrip> {
    let commands = &plugin.description().commands;
    let examples: Vec<Result<Vec<Example>, String>> = commands
        .iter()
        .map(|command| match command.stdin {
            true => Ok(Vec::new()),
            false => round_trip::examples(command),
        })
        .collect();
    let lines: Vec<Vec<String>> =
        examples.iter().flatten().flatten().map(|example| example.line.clone()).collect();
    let rehearsed = match lines.is_empty() {
        true => Ok(None),
        false => describer.rehearse(plugin.located(), plugin.own_environment(), &lines).await,
    };
    let mut read = match &rehearsed {
        Ok(Some(read)) => read.as_slice(),
        Ok(None) | Err(_) => &[],
    };
    let judge = |(command, examples): (&Command, Result<Vec<Example>, String>)| {
        let examples = match examples {
            Ok(examples) => examples,
            Err(reason) => return RoundTrip::Unsayable(reason),
        };
        if command.stdin {
            return RoundTrip::Unknown("its arguments go to stdin, not through a command line".to_owned());
        }
        match &rehearsed {
            Ok(Some(_)) => {
                let (own, rest) = read.split_at(examples.len().min(read.len()));
                read = rest;
                round_trip::judge(command, &examples, own)
            }
            Ok(None) => RoundTrip::Unknown("no parser is seen that could read them back".to_owned()),
            Err(reason) => RoundTrip::Unknown(reason.clone()),
        }
    };
    commands.iter().zip(examples).map(judge).collect()
}

fn trip_json(trip: &RoundTrip) -> Value {
    match trip {
        RoundTrip::Ok { lines } => {
            json!({"state": "ok", "detail": format!("{lines} command lines read back")})
        }
        RoundTrip::Failed(detail) | RoundTrip::Unsayable(detail) => {
            json!({"state": "failed", "detail": detail})
        }
        RoundTrip::Unknown(detail) => json!({"state": "unknown", "detail": detail}),
    }
}

fn trip_finding(id: &str, trip: &RoundTrip) -> Option<Finding> {
    let (code, detail, fix) = match trip {
        RoundTrip::Ok { .. } => return None,
        RoundTrip::Failed(detail) => {
            let fix = "let the contract say how it is written: `action`, `nargs`, `flag`, `global`";
            (Code::RoundTripFailed, detail, fix)
        }
        RoundTrip::Unsayable(detail) => (
            Code::Unsayable,
            detail,
            "give the parameter a fixed number of values, or a place behind the command",
        ),
        RoundTrip::Unknown(detail) => {
            (Code::RoundTripUnknown, detail, "nothing; only an argparse parser can be asked")
        }
    };
    Some(Finding::new(code, id, detail, fix))
}
