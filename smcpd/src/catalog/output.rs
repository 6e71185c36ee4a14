//! From what a program said to what a client gets: text, structure, native content, or an error with a code.

use serde_json::{Map, Value, json};

use super::needed::{self, Needed};
use super::{Fields, Progress, content};
use crate::executor::{End, Outcome, RunError};

/// What a call ended with; the list is closed, clients sniff it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    InvalidArguments,
    PluginError,
    Timeout,
    Cancelled,
    QueueFull,
    OutputTooLarge,
    StartFailed,
    NotPermitted,
    InternalError,
}

impl ErrorCode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArguments => "invalid_arguments",
            Self::PluginError => "plugin_error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::QueueFull => "queue_full",
            Self::OutputTooLarge => "output_too_large",
            Self::StartFailed => "start_failed",
            Self::NotPermitted => "not_permitted",
            Self::InternalError => "internal_error",
        }
    }
}

/// A result as MCP has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToolOutput {
    /// Never empty, and its first block is useful text wherever the plugin did not say otherwise.
    pub(crate) content: Vec<Value>,
    pub(crate) structured: Option<Value>,
    pub(crate) error: Option<ErrorCode>,
    /// It is no result yet: the command wants to be run again with answers.
    pub(crate) needed: Option<Needed>,
}

impl ToolOutput {
    pub(crate) fn failed(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            structured: Some(json!({"error": {"code": code.as_str(), "message": &message}})),
            content: vec![text_block(message)],
            error: Some(code),
            needed: None,
        }
    }

    /// No result yet: somebody has to be asked first.
    pub(crate) fn asking(needed: Needed) -> Self {
        Self { content: vec![text_block("")], structured: None, error: None, needed: Some(needed) }
    }

    /// The text of the first block: of a failure, why.
    pub(crate) fn first_text(&self) -> &str {
        self.content[0]["text"].as_str().unwrap_or_default()
    }

    /// Whether a part of the output is missing.
    pub(super) fn is_cut(&self) -> bool {
        let Some(Value::Object(structured)) = &self.structured else { return false };
        let bytes = structured.get("truncated").and_then(|truncated| truncated["bytes"].as_u64());
        bytes.is_some_and(|bytes| *structured == cut_out(bytes))
    }

    /// Returns it with the content that a revision knows, and the rest in words.
    #[must_use]
    pub(crate) fn for_revision(mut self, fields: Fields) -> Self {
        self.content = self.content.into_iter().map(|block| content::for_revision(block, fields)).collect();
        self
    }

    /// The `CallToolResult` of the specification.
    pub(crate) fn into_result(self) -> Value {
        let mut result = Map::new();
        result.insert("content".to_owned(), self.content.into());
        result.insert("isError".to_owned(), self.error.is_some().into());
        if let Some(structured) = self.structured {
            result.insert("structuredContent".to_owned(), structured);
        }
        result.into()
    }
}

fn text_block(text: impl Into<String>) -> Value {
    let fields = [("type", "text".into()), ("text", Value::String(text.into()))];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// How much of stderr is added to a failure.
const STDERR_TAIL: usize = 4 << 10;

/// Returns what a client gets of a program that ran.
pub(crate) fn from_outcome(outcome: Outcome) -> ToolOutput {
    let ran = outcome.ran;
    let flooded = outcome.stdout.total().max(outcome.stderr.total());
    let cut = outcome.stdout.cut();
    let stdout = outcome.stdout.into_text();
    let stderr = without_progress(&outcome.stderr.into_text());
    let ended = |code, what: String| with_stderr(ToolOutput::failed(code, what), &stderr);
    match outcome.end {
        End::Exited(0) => succeeded(stdout.trim(), cut),
        End::Exited(status) => failed(stdout.trim(), &stderr, &format!("exited with {status}")),
        End::Signaled(signal) => failed(stdout.trim(), &stderr, &format!("was ended by signal {signal}")),
        End::TimedOut => ended(ErrorCode::Timeout, format!("timed out after {} s", seconds(ran))),
        End::Cancelled => ended(ErrorCode::Cancelled, format!("cancelled after {} s", seconds(ran))),
        End::Flooded => ended(ErrorCode::OutputTooLarge, format!("wrote too much: {flooded} bytes")),
    }
}

/// What was said on the way says nothing of the end.
fn without_progress(stderr: &str) -> String {
    stderr.split_inclusive('\n').filter(|line| Progress::read(line.trim_end()).is_none()).collect()
}

fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

/// Returns what a client gets of a program that did not run.
pub(crate) fn from_error(error: &RunError) -> ToolOutput {
    let chain = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error {
        RunError::QueueFull { .. } | RunError::CallerQueueFull { .. } => {
            ToolOutput::failed(ErrorCode::QueueFull, format!("{chain}; try again later"))
        }
        RunError::Stopping => ToolOutput::failed(ErrorCode::Cancelled, chain),
        RunError::CancelledWaiting => ToolOutput::failed(ErrorCode::Cancelled, chain),
        RunError::Spawn { .. } => ToolOutput::failed(ErrorCode::StartFailed, chain),
        RunError::Lost => ToolOutput::failed(ErrorCode::InternalError, chain),
    }
}

fn succeeded(stdout: &str, cut: u64) -> ToolOutput {
    if cut > 0 {
        let structured = Some(Value::Object(cut_out(cut)));
        return ToolOutput { content: vec![text_block(stdout)], structured, error: None, needed: None };
    }
    let value = json_of(stdout);
    let needed = match value.as_ref().and_then(Value::as_object).and_then(needed::read) {
        Some(Err(reason)) => return ToolOutput::failed(ErrorCode::PluginError, reason),
        Some(Ok(needed)) => Some(needed),
        None => None,
    };
    if let Some(output) = value.as_ref().and_then(native) {
        return output;
    }
    // Only an object can be structured content before 2026-07-28.
    let structured = value.filter(Value::is_object);
    let text = if stdout.is_empty() { "(no output)" } else { stdout };
    ToolOutput { content: vec![text_block(text)], structured, error: None, needed }
}

fn cut_out(bytes: u64) -> Map<String, Value> {
    let message = format!("{bytes} bytes of the output were cut out of its middle");
    Map::from_iter([("truncated".to_owned(), json!({"bytes": bytes, "message": message}))])
}

/// The `error` text, else stdout, else the tail of stderr, else the status; the tail of stderr is always added,
/// because argparse speaks only there.
fn failed(stdout: &str, stderr: &str, status: &str) -> ToolOutput {
    let structure = json_of(stdout).filter(Value::is_object);
    let said = structure.as_ref().and_then(error_text);
    let tail = tail(stderr);
    let message = match (said, stdout, tail) {
        (Some(text), _, _) => text,
        (None, "", "") => status.to_owned(),
        (None, "", tail) => tail.to_owned(),
        (None, stdout, _) => stdout.to_owned(),
    };
    let mut output = with_stderr(ToolOutput::failed(ErrorCode::PluginError, message), stderr);
    if let (Some(Value::Object(theirs)), Some(Value::Object(ours))) = (structure, &mut output.structured) {
        for (key, value) in theirs {
            ours.entry(key).or_insert(value);
        }
    }
    output
}

fn error_text(structure: &Value) -> Option<String> {
    let error = structure.get("error")?;
    let text = match error {
        Value::String(text) => text.clone(),
        Value::Object(object) => match object.get("message") {
            Some(Value::String(text)) => text.clone(),
            _ => error.to_string(),
        },
        Value::Array(_) => error.to_string(),
        // It only says that there was one.
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// Adds the tail of stderr as a block of its own, unless it is what the first block says already.
fn with_stderr(mut output: ToolOutput, stderr: &str) -> ToolOutput {
    let tail = tail(stderr);
    let said = output.content[0]["text"].as_str().is_some_and(|text| text.contains(tail));
    if !tail.is_empty() && !said {
        output.content.push(text_block(format!("stderr: {tail}")));
    }
    output
}

fn tail(stderr: &str) -> &str {
    let stderr = stderr.trim();
    let mut start = stderr.len().saturating_sub(STDERR_TAIL);
    while !stderr.is_char_boundary(start) {
        start += 1;
    }
    &stderr[start..]
}

/// stdout as JSON: whole, else the last JSON object or list that begins a line and runs to the end.
pub(super) fn json_of(stdout: &str) -> Option<Value> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    if let Some(value) = parse(stdout) {
        return Some(value);
    }
    if !stdout.ends_with(['}', ']']) {
        return None;
    }
    // The value's first line is looked for from the end; so many lines are tried and no more, because each try
    // reads to the end.
    stdout
        .rmatch_indices('\n')
        .map(|(newline, _)| &stdout[newline + 1..])
        .filter(|rest| rest.starts_with(['{', '[']))
        .take(64)
        .find_map(parse)
}

/// `{"content": [blocks]}` passes as it is, where every block is one that MCP knows.
fn native(value: &Value) -> Option<ToolOutput> {
    let object = value.as_object()?;
    let known = ["content", "structuredContent", "isError", "_meta"];
    let content = object.get("content")?.as_array()?;
    let all_known = object.keys().all(|key| known.contains(&key.as_str()));
    if content.is_empty() || !all_known || !content.iter().all(content::is_block) {
        return None;
    }
    let failed = object.get("isError") == Some(&Value::Bool(true));
    Some(ToolOutput {
        content: content.clone(),
        structured: object.get("structuredContent").filter(|value| value.is_object()).cloned(),
        error: failed.then_some(ErrorCode::PluginError),
        needed: None,
    })
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
