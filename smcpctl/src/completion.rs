//! Completion in shells, with the names that the running daemon has.
//!
//! A shell's script calls us back with the words typed so far (clap's own engine). A daemon that does not answer at
//! once is not waited for, and nothing is ever said: whoever types sees the names, or none.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};
use serde_json::Value;
use smcp_control::{Client, KeySource, Reply, Request, ToolInfo, candidates};

use crate::beside;
use crate::cli::Cli;
use crate::exit::{Exit, Failure};

/// Set by the scripts to the shell's name.
const VARIABLE: &str = "SMCPCTL_COMPLETE";
/// Longer than this a keystroke feels stuck.
const BUDGET: Duration = Duration::from_millis(100);

/// Returns the script for a shell.
pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let known = shells.completer(&shell.to_string());
    let known =
        known.ok_or_else(|| Failure::new(Exit::Usage, format!("there is no completion for {shell}")))?;
    known
        .write_registration(VARIABLE, "smcpctl", "smcpctl", "smcpctl", &mut script)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Answers a shell that asks; `false` where this is an ordinary run.
pub(crate) fn answer() -> bool {
    let directory = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Cli::command).var(VARIABLE);
    // What cannot be completed is no error to whoever types.
    asked.try_complete(std::env::args_os(), directory.as_deref()).unwrap_or(true)
}

/// Completes with the identities of tools.
pub(crate) fn tools() -> ArgValueCompleter {
    names(|| match ask(Request::Tools) {
        Some(Reply::Tools { tools, .. }) => {
            tools.into_iter().map(|tool| (tool.id, first_line(&tool.description))).collect()
        }
        _ => Vec::new(),
    })
}

/// Completes with the names of linked plugins.
pub(crate) fn plugins() -> ArgValueCompleter {
    names(|| match ask(Request::Plugins) {
        Some(Reply::Plugins { plugins }) => {
            plugins.into_iter().map(|plugin| (plugin.name, plugin.state.as_str().to_owned())).collect()
        }
        _ => Vec::new(),
    })
}

/// Completes with the ids of calls that run or wait, for their turn or for an operator.
pub(crate) fn calls() -> ArgValueCompleter {
    names(|| {
        let calls = match ask(Request::Calls) {
            Some(Reply::Calls { calls }) => calls,
            // One that does not answer is not asked twice.
            _ => return Vec::new(),
        };
        let running = calls.into_iter().map(|call| (call.id, call.tool));
        running.chain(waiting_for_approval()).collect()
    })
}

/// Completes with the ids of calls that wait for an operator.
pub(crate) fn approvals() -> ArgValueCompleter {
    names(waiting_for_approval)
}

fn waiting_for_approval() -> Vec<(String, String)> {
    match ask(Request::Approvals) {
        Some(Reply::Approvals { approvals }) => {
            approvals.into_iter().map(|one| (one.id, format!("{} of {}", one.tool, one.caller))).collect()
        }
        _ => Vec::new(),
    }
}

/// Completes with the names of keys that operators made.
pub(crate) fn keys() -> ArgValueCompleter {
    names(|| match ask(Request::Keys) {
        Some(Reply::Keys { keys }) => {
            let made = keys.into_iter().filter(|key| key.source == KeySource::Created);
            made.map(|key| (key.name, key.state.as_str().to_owned())).collect()
        }
        _ => Vec::new(),
    })
}

/// Completes with the names of profiles.
pub(crate) fn profiles() -> ArgValueCompleter {
    names(|| match ask(Request::Profiles) {
        Some(Reply::Profiles { profiles }) => {
            profiles.into_iter().map(|one| (one.name, format!("{} tools", one.tools.len()))).collect()
        }
        _ => Vec::new(),
    })
}

/// Completes with directories, and with the names of plugins that came with us.
pub(crate) fn linkable() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut found = PathCompleter::dir().complete(current);
        let shipped = beside::shipped_plugins().and_then(|directory| std::fs::read_dir(directory).ok());
        let names = shipped.into_iter().flatten().flatten().map(|entry| entry.file_name());
        let typed = current.to_string_lossy();
        found.extend(
            names.filter(|name| name.to_string_lossy().starts_with(&*typed)).map(CompletionCandidate::new),
        );
        found
    })
}

/// Completes `key=` and, where the schema has choices, `key=value` for the tool that was typed before.
pub(crate) fn arguments() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let words = words();
        let Some(tool) = tool_of(&words) else { return Vec::new() };
        let Some(Reply::Tools { tools, .. }) = ask(Request::Tools) else { return Vec::new() };
        let Some(tool) = tools.into_iter().find(|one| one.id == *tool || one.name == *tool) else {
            return Vec::new();
        };
        let found = of_arguments(&tool, &words, &current.to_string_lossy());
        found.into_iter().map(|(word, help)| candidate(word, help)).collect()
    })
}

fn names(list: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let typed = current.to_string_lossy();
        let fits = list().into_iter().filter(|(name, _)| name.starts_with(&*typed) && is_harmless(name));
        fits.map(|(name, help)| candidate(name, help)).collect()
    })
}

fn candidate(word: String, help: String) -> CompletionCandidate {
    // A plugin's words go to a terminal here too.
    let help = crate::table::escape(&help);
    CompletionCandidate::new(word).help((!help.is_empty()).then(|| help.into()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The words typed before the one that is completed.
fn words() -> Vec<String> {
    let typed = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let mut words: Vec<String> = typed.map(|word| word.to_string_lossy().into_owned()).collect();
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    words.truncate(index.unwrap_or_else(|| words.len().saturating_sub(1)));
    words
}

fn tool_of(words: &[String]) -> Option<&String> {
    let mut rest = words.iter().skip_while(|word| *word != "call").skip(1);
    while let Some(word) = rest.next() {
        if ["--args", "--prompt", "--socket"].contains(&word.as_str()) {
            rest.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// What Tab puts on a command line must mean nothing to the shell: these words are a plugin's.
fn is_harmless(word: &str) -> bool {
    !word.is_empty()
        && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._:/@%+,-".contains(letter))
}

/// The socket that was typed, if any.
fn socket_of(words: &[String]) -> Option<PathBuf> {
    let next = words.iter().skip_while(|word| *word != "--socket").nth(1);
    let joined = words.iter().find_map(|word| word.strip_prefix("--socket=")).map(PathBuf::from);
    joined.or_else(|| next.map(PathBuf::from)).or_else(|| std::env::var_os("SMCP_SOCKET").map(PathBuf::from))
}

/// Asks the daemon within the budget, or not at all.
fn ask(request: Request) -> Option<Reply> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let paths = candidates(socket_of(&words()));
    let asked = async {
        let mut client = Client::connect(&paths).await.ok()?;
        client.ask(&request).await.ok()
    };
    runtime.block_on(async { tokio::time::timeout(BUDGET, asked).await.ok()? })
}

/// What may be typed next. `bash` takes `key=value` apart at the sign, so the word before may be the key.
fn of_arguments(tool: &ToolInfo, words: &[String], current: &str) -> Vec<(String, String)> {
    let Some(properties) = tool.input_schema["properties"].as_object() else { return Vec::new() };
    let choices = |key: &str| -> Vec<String> {
        let Some(schema) = properties.get(key) else { return Vec::new() };
        match schema["enum"].as_array().or_else(|| schema["items"]["enum"].as_array()) {
            Some(choices) => choices.iter().map(said).filter(|word| is_harmless(word)).collect(),
            None if schema["type"] == "boolean" => vec!["true".to_owned(), "false".to_owned()],
            None => Vec::new(),
        }
    };
    let fits = |found: Vec<String>, typed: &str, before: &str| -> Vec<(String, String)> {
        let fitting = found.into_iter().filter(|word| word.starts_with(typed));
        fitting.map(|word| (format!("{before}{word}"), String::new())).collect()
    };
    if let Some((key, typed)) = current.split_once('=') {
        return fits(choices(key), typed, &format!("{key}="));
    }
    let before: Vec<&String> = words.iter().rev().take(2).collect();
    let key = match before.as_slice() {
        [sign, key, ..] if *sign == "=" => Some(key.as_str()),
        [key, ..] if properties.contains_key(*key) => Some(key.as_str()),
        _ => None,
    };
    if let Some(key) = key {
        return fits(choices(key), current, "");
    }
    let given: BTreeSet<&str> =
        words.iter().map(|word| word.split([':', '=']).next().unwrap_or_default()).collect();
    let missing = properties
        .iter()
        .filter(|(key, _)| is_harmless(key) && key.starts_with(current) && !given.contains(key.as_str()));
    missing
        .map(|(key, schema)| {
            (format!("{key}="), first_line(schema["description"].as_str().unwrap_or_default()))
        })
        .collect()
}

fn said(choice: &Value) -> String {
    choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_completed_by_the_schema_however_the_shell_cuts_them() {
        let tool = ToolInfo {
            id: "a.b".to_owned(),
            name: "a__b".to_owned(),
            plugin: None,
            description: String::new(),
            input_schema: json!({"properties": {
                "operation": {"enum": ["add", "subtract"]}, "on": {"type": "boolean"}, "a": {"type": "number"},
                "$(touch x)": {}, "tags": {"type": "array", "items": {"enum": ["red", "$(touch x)", "`x`", "a b", ";"]}},
            }}),
            secrets: Vec::new(),
        };
        let found = |words: &str, current: &str| -> String {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            let found = of_arguments(&tool, &words, current);
            found.into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("smcpctl call a.b", ""), "operation= on= a= tags=");
        assert_eq!(found("smcpctl call a.b", "o"), "operation= on=");
        assert_eq!(found("smcpctl call a.b operation=add on:=true", ""), "a= tags=");
        // A plugin's words never mean anything to the shell.
        assert_eq!(found("smcpctl call a.b", "tags="), "tags=red");
        assert_eq!(found("smcpctl call a.b", "operation=s"), "operation=subtract");
        assert_eq!(found("smcpctl call a.b operation =", "a"), "add");
        assert_eq!(found("smcpctl call a.b operation", ""), "add subtract");
        assert_eq!(found("smcpctl call a.b", "on="), "on=true on=false");
        assert_eq!(found("smcpctl call a.b", "a="), "");
        assert_eq!(found("smcpctl call a.b", "nope=x"), "");
    }

    #[test]
    fn the_tool_and_the_socket_are_found_among_the_words() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
        assert_eq!(tool_of(&words("smcpctl call --json a.b x=1")).map(String::as_str), Some("a.b"));
        let after_options = words("smcpctl call --args FILE --prompt key a.b");
        assert_eq!(tool_of(&after_options).map(String::as_str), Some("a.b"));
        assert_eq!(tool_of(&words("smcpctl call")), None);
        assert_eq!(socket_of(&words("smcpctl --socket /a call")), Some("/a".into()));
        assert_eq!(socket_of(&words("smcpctl call --socket=/b")), Some("/b".into()));
    }

    #[test]
    fn each_shell_has_a_script_that_calls_us_back() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            assert!(script(shell).unwrap().contains(VARIABLE), "{shell}");
        }
    }
}
