//! What is wrong with a plugin, or will be: its files, its names, its words, its schemas. Starts nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::model::offers::{Body, Resource};
use super::model::{Command, Description, Source};
use super::names;
use super::ownership::{Fault, Owners, Review, Risk};
use super::scan::{first_line, is_binary, is_executable};
use super::strict::Grade;
use super::{Plugin, Tool, digest, unseen};
use crate::config::Separator;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    Error,
    Warning,
    Note,
}

/// Every kind of finding; its name and severity never change, scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    DanglingLink,
    NoEntryPoint,
    NoShebang,
    NotExecutable,
    Unreadable,
    WorldWritable,
    GroupWritable,
    ForeignOwner,
    BadName,
    BadContract,
    NotDescribed,
    NoTools,
    NoFile,
    NamesOnly,
    HelpText,
    NameLetters,
    NameTooLong,
    NameLong,
    NameTaken,
    ToolName,
    NoPluginDescription,
    NoDescription,
    NoParameterDescription,
    SecretDefault,
    HiddenText,
    NotStrictLetta,
    NotStrictOpenai,
    Unsayable,
    RoundTripFailed,
    RoundTripUnknown,
    BadOutputSchema,
    BadHeader,
}

impl Code {
    fn facts(self) -> (&'static str, Severity) {
        match self {
            Self::DanglingLink => ("dangling-link", Severity::Error),
            Self::NoEntryPoint => ("no-entry-point", Severity::Error),
            Self::NoShebang => ("no-shebang", Severity::Error),
            Self::NotExecutable => ("not-executable", Severity::Error),
            Self::Unreadable => ("unreadable", Severity::Error),
            Self::WorldWritable => ("world-writable", Severity::Error),
            Self::GroupWritable => ("group-writable", Severity::Warning),
            Self::ForeignOwner => ("foreign-owner", Severity::Error),
            Self::BadName => ("bad-name", Severity::Error),
            Self::BadContract => ("bad-contract", Severity::Error),
            Self::NotDescribed => ("not-described", Severity::Error),
            Self::NoTools => ("no-tools", Severity::Warning),
            Self::NoFile => ("no-file", Severity::Error),
            Self::NamesOnly => ("names-only", Severity::Warning),
            Self::HelpText => ("help-text", Severity::Note),
            Self::NameLetters => ("name-letters", Severity::Error),
            Self::NameTooLong => ("name-too-long", Severity::Error),
            Self::NameLong => ("name-long", Severity::Warning),
            Self::NameTaken => ("name-taken", Severity::Error),
            Self::ToolName => ("tool-name", Severity::Note),
            Self::NoPluginDescription => ("no-plugin-description", Severity::Note),
            Self::NoDescription => ("no-description", Severity::Warning),
            Self::NoParameterDescription => ("no-parameter-description", Severity::Warning),
            Self::SecretDefault => ("secret-default", Severity::Warning),
            Self::HiddenText => ("hidden-text", Severity::Warning),
            Self::NotStrictLetta => ("not-strict-letta", Severity::Warning),
            Self::NotStrictOpenai => ("not-strict-openai", Severity::Note),
            Self::Unsayable => ("unsayable", Severity::Warning),
            Self::RoundTripFailed => ("round-trip-failed", Severity::Error),
            Self::RoundTripUnknown => ("round-trip-unknown", Severity::Note),
            Self::BadOutputSchema => ("bad-output-schema", Severity::Error),
            Self::BadHeader => ("bad-header", Severity::Error),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) code: Code,
    /// A file, a command, or a command's parameter.
    pub(super) subject: String,
    pub(super) message: String,
    pub(super) fix: String,
}

impl Finding {
    pub(super) fn new(
        code: Code,
        subject: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { code, subject: subject.into(), message: message.into(), fix: fix.into() }
    }

    pub(super) fn severity(&self) -> Severity {
        self.code.facts().1
    }

    pub(super) fn to_json(&self) -> Value {
        let (code, severity) = self.code.facts();
        json!({"code": code, "severity": severity, "subject": self.subject, "message": self.message,
            "fix": self.fix})
    }
}

/// Judges the directory and the entry point before anything is run.
pub(super) fn entry(path: &Path, name: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if !names::is_plain(name) {
        let message = "letters, digits, `_` and `-` make the name of a plugin";
        found.push(Finding::new(Code::BadName, name, message, "rename the directory, or choose with --name"));
    }
    let shown = path.display().to_string();
    let Ok(directory) = path.canonicalize() else {
        let message =
            if path.is_symlink() { "it is a link to nothing" } else { "there is no such directory" };
        found.push(Finding::new(Code::DanglingLink, shown, message, "give the plugin's directory"));
        return found;
    };
    let entry = ["cli.py", "cli"].map(|entry| directory.join(entry));
    let Some(entry) = entry.into_iter().find(|entry| entry.symlink_metadata().is_ok()) else {
        let message = "it has neither `cli.py` nor `cli`";
        found.push(Finding::new(Code::NoEntryPoint, shown, message, "add the program, or a link to it"));
        return found;
    };
    let shown = entry.display().to_string();
    if !entry.exists() {
        let fix = "build or restore what it leads to";
        found.push(Finding::new(Code::DanglingLink, shown, "it is a link to nothing", fix));
        return found;
    }
    let Ok(shebang) = first_line(&entry) else {
        let fix = format!("chmod u+r {shown}");
        found.push(Finding::new(Code::Unreadable, shown, "it is no file that can be read", fix));
        return found;
    };
    let is_script = entry.extension().is_some();
    let is_foreign = shebang.as_deref().is_some_and(|line| !line.contains("python"));
    if !is_script && shebang.is_none() && !is_binary(&entry) {
        let message = "it is neither a binary nor a script with `#!`";
        let fix = "begin it with a line such as `#!/usr/bin/env bash`";
        found.push(Finding::new(Code::NoShebang, &shown, message, fix));
    }
    if (!is_script || is_foreign) && !is_executable(&entry) {
        let fix = format!("chmod +x {shown}");
        found.push(Finding::new(Code::NotExecutable, shown, "it is not executable", fix));
    }
    found
}

/// Judges who may change the plugin's files: whoever may also decides what the daemon runs. `owners` are those who may.
pub(super) fn permissions(directory: &Path, owners: Owners) -> Vec<Finding> {
    let mut review = Review::new(owners);
    let tree = digest::tree(directory);
    let mut found = Vec::new();
    for path in tree.directories.iter().chain(&tree.files) {
        let Ok(metadata) = fs::metadata(path) else { continue };
        review.own(path, &metadata);
        if metadata.is_file() && rustix::fs::access(path, rustix::fs::Access::READ_OK).is_err() {
            let fix = format!("chmod u+r {}", path.display());
            found.push(Finding::new(Code::Unreadable, path.display().to_string(), "it cannot be read", fix));
        }
    }
    tree.links.iter().for_each(|link| review.link(link));
    review.above(directory);
    for python in [".venv", "venv"].map(|name| directory.join(name).join("bin/python")) {
        if python.symlink_metadata().is_ok() {
            review.interpreter(&python);
        }
    }
    found.extend(review.risks().iter().map(permission));
    found
}

fn permission(risk: &Risk) -> Finding {
    let (code, message) = match risk.fault {
        Fault::Everyone => (Code::WorldWritable, "everyone may change it".to_owned()),
        Fault::Group => (Code::GroupWritable, "its group may change it".to_owned()),
        Fault::Stranger(uid) => {
            (Code::ForeignOwner, format!("it belongs to user {uid}, neither to you nor to root"))
        }
    };
    Finding::new(code, risk.path.display().to_string(), message, risk.fix())
}

/// Says why a plugin has no description.
pub(super) fn not_described(name: &str, reason: &str) -> Finding {
    // What the contract's reader says names the field; the rest is about the program.
    if reason.contains("contract: ") || reason.contains("contract.json") || reason.contains("its contract is")
    {
        let fix = "mend the field; docs/plugin-contract.md has them all";
        return Finding::new(Code::BadContract, name, reason, fix);
    }
    let fix = "run its program with --help and mend what it says, or give it a contract";
    Finding::new(Code::NotDescribed, name, reason, fix)
}

/// Judges what the plugin says of itself as a whole.
pub(super) fn plugin(name: &str, description: &Description) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_blank = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
    if is_blank(&description.description) {
        let fix = "describe the parser, or give the contract a `plugin.description`";
        found.push(Finding::new(Code::NoPluginDescription, name, "it does not say what it is for", fix));
    }
    if description.commands.is_empty() && description.offers.is_empty() {
        let message = "it has no commands, so there is nothing to call";
        found.push(Finding::new(Code::NoTools, name, message, "add a command"));
    }
    let fix = "give it a contract, or save this one with `smcpctl plugin describe --write` and mend it";
    match description.source {
        Source::Epilog => {
            let message = "only the names of its commands are known; they take any arguments";
            found.push(Finding::new(Code::NamesOnly, name, message, fix));
        }
        Source::HelpText => {
            let message = "it was described from its help text, where types are guesses";
            found.push(Finding::new(Code::HelpText, name, message, fix));
        }
        Source::Contract | Source::ContractFile | Source::Parser => {}
    }
    found.extend(description.unseen.iter().map(|place| {
        let fix = "write it with letters that people see";
        Finding::new(Code::HiddenText, format!("{name}.{place}"), unseen::MESSAGE, fix)
    }));
    found
}

/// Judges the files that the plugin offers as resources.
pub(super) fn files(plugin: &Plugin) -> Vec<Finding> {
    let resources = plugin.description().offers.resources.iter().enumerate();
    let judge = |(index, resource): (usize, &Resource)| {
        let Body::File(file) = &resource.body else { return None };
        let reason = plugin.read_file(Path::new(file)).err()?;
        let subject = format!("{}.resources[{index}]", plugin.name());
        let fix = "put it there, or mend `file` in the contract";
        Some(Finding::new(Code::NoFile, subject, reason, fix))
    };
    resources.filter_map(judge).collect()
}

/// Judges the names of the plugin's tools, as the catalog will.
pub(super) fn tool_names(tools: &[Tool], description: &Description, separator: Separator) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut taken = vec![("health".to_owned(), "health".to_owned())];
    for (tool, command) in tools.iter().zip(&description.commands) {
        let (wire, id) = (tool.wire_name(), tool.id());
        if let Some(fault) = names::fault(wire, separator) {
            let (code, fix) = match fault {
                names::Fault::Letters => (Code::NameLetters, "set `tool_name`"),
                names::Fault::TooLong => (Code::NameTooLong, "shorten it, or set `tool_name`"),
                names::Fault::Long => (Code::NameLong, "shorten it, or set `tool_name`"),
            };
            found.push(Finding::new(code, id, fault.message(wire), fix));
        }
        if let Some((_, other)) = taken.iter().find(|(name, _)| name == wire) {
            let message = format!("`{wire}` is also the name of `{other}`");
            found.push(Finding::new(Code::NameTaken, id, message, "rename one, or set `tool_name`"));
        }
        if command.tool_name.is_some() {
            let message = format!("it is called `{wire}` everywhere, whatever the plugin's name");
            let fix = "leave `tool_name` out unless clients rely on it: two plugins may not share it";
            found.push(Finding::new(Code::ToolName, id, message, fix));
        }
        taken.push((wire.to_owned(), id.to_owned()));
    }
    found
}

/// Judges what a tool promises of its output, and which of its arguments come in headers.
pub(super) fn promises(tool: &Tool) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(Err(reason)) = tool.output_schema() {
        let fix = "mend the `outputSchema`, or leave it out: clients are not told it as it is";
        found.push(Finding::new(Code::BadOutputSchema, tool.id(), reason, fix));
    }
    if let Err(reason) = tool.header_parameters() {
        let fix = "mend the `x-mcp-header`, or leave it out: the tool is left out as it is";
        found.push(Finding::new(Code::BadHeader, tool.id(), reason, fix));
    }
    found
}

/// Judges what a command says of itself and of its parameters.
pub(super) fn command(id: &str, command: &Command, grade: &Grade) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_blank = |text: &Option<String>| text.as_ref().is_none_or(|text| text.trim().is_empty());
    if is_blank(&command.description) {
        let message = "it does not say what it does, and an agent chooses by that";
        let fix = "give the command a `help`, or a `description` in the contract";
        found.push(Finding::new(Code::NoDescription, id, message, fix));
    }
    for parameter in &command.parameters {
        let subject = format!("{id}({})", parameter.name);
        let in_schema = |key: &str| {
            command
                .input_schema
                .as_ref()
                .is_some_and(|schema| schema["properties"][&parameter.name][key].is_string())
        };
        if is_blank(&parameter.description) && !in_schema("description") {
            let message = "it does not say what to put there";
            let fix = "give it a `help`, or a `description` in the contract";
            found.push(Finding::new(Code::NoParameterDescription, &subject, message, fix));
        }
        let is_told =
            parameter.default.as_ref().is_some_and(|default| *default != Value::Null && *default != "");
        if parameter.secret && is_told {
            let message =
                "it is a secret with a default, which stands for everyone to read where it was written";
            let fix = "leave the default out, and let the program find it";
            found.push(Finding::new(Code::SecretDefault, &subject, message, fix));
        }
    }
    if !grade.is_letta() {
        let fix = "type every property, say what lists hold, and close objects by naming their `properties`";
        found.push(Finding::new(Code::NotStrictLetta, id, grade.letta.join("; "), fix));
    }
    if !grade.openai.is_empty() {
        let fix = "nothing, where clients rewrite optional parameters to nullable ones, as Letta does";
        found.push(Finding::new(Code::NotStrictOpenai, id, grade.openai.join("; "), fix));
    }
    found
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
