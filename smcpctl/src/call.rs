//! `smcpctl call`: asks, shows what the tool says while it runs, and shows the result.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smcp_control::{CallEvent, Reply, Request, ToolInfo};

use crate::cli::Call;
use crate::daemon::{Daemon, unexpected};
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json};
use crate::{arguments, prompt, tools};

/// A call that takes longer shows that it still runs.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn call(daemon: &mut Daemon, call: &Call) -> Result<Exit, Failure> {
    let tool = tools::find(daemon, &call.tool).await?;
    let mut arguments = arguments::parse(&call.arguments, call.args.as_deref(), &tool.input_schema)?;
    for key in asked_for(&tool, &arguments, &call.prompt) {
        let secret = prompt::secret(&format!("{key}: "))?;
        arguments.insert(key, secret.into());
    }
    let is_shown = !call.quiet && std::io::stderr().is_terminal();
    let request = Request::Call { tool: tool.name.clone(), arguments, follow: is_shown };
    daemon.client.send(&request).await?;
    let mut live = Live { is_shown, has_line: false, since: Instant::now(), waiting: true, progress: None };
    let mut tick = tokio::time::interval(PATIENCE);
    let result = loop {
        let reply = tokio::select! {
            reply = daemon.client.next() => reply?,
            _ = tick.tick() => {
                live.still_running();
                continue;
            }
            // The daemon ends the call when it sees us gone.
            _ = tokio::signal::ctrl_c() => {
                live.clear();
                return Err(Failure::new(Exit::Interrupted, "interrupted: the call is cancelled"));
            }
        };
        match reply {
            Reply::Event(event) => live.show(event),
            Reply::Called { result } => break result,
            other => return unexpected(&other),
        }
    };
    live.clear();
    show(&result, daemon.json)
}

/// The arguments to ask for on the terminal: those that were named, and secrets that the tool cannot do without.
fn asked_for(tool: &ToolInfo, given: &serde_json::Map<String, Value>, named: &[String]) -> Vec<String> {
    let mut keys: Vec<String> = named.iter().map(|key| arguments::named(key, &tool.input_schema)).collect();
    if std::io::stdin().is_terminal() {
        let missing = |name: &&String| tools::is_required(tool, name) && !given.contains_key(*name);
        keys.extend(tool.secrets.iter().filter(missing).cloned());
    }
    keys.sort();
    keys.dedup();
    keys
}

fn show(result: &Value, as_json: bool) -> Result<Exit, Failure> {
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    let shown = blocks.iter().map(block).collect::<Vec<_>>().join("\n");
    let exit = exit_of(result);
    if as_json {
        print_json("result", result)?;
    } else if exit == Exit::Usage {
        // The tool has not run: what is wrong is no result of it.
        let hint = "see its parameters with `smcpctl tools show TOOL`";
        return Err(Failure::new(exit, shown).hint(hint));
    } else {
        print(&(shown + "\n"))?;
    }
    Ok(exit)
}

/// What a result means to a shell.
fn exit_of(result: &Value) -> Exit {
    if result["isError"] != json!(true) {
        return Exit::Ok;
    }
    match result["structuredContent"]["error"]["code"].as_str() {
        Some("invalid_arguments") => Exit::Usage,
        Some("timeout") => Exit::TimedOut,
        Some("queue_full") => Exit::Busy,
        _ => Exit::ToolFailed,
    }
}

/// A content block as a terminal can show it.
fn block(block: &Value) -> String {
    match block["text"].as_str() {
        Some(text) => text.lines().map(escape).collect::<Vec<_>>().join("\n"),
        None => format!("[{}]", escape(block["type"].as_str().unwrap_or("unknown"))),
    }
}

/// What a call says while it runs, on the terminal's stderr: lines as they come, and below them one line that is
/// written over and over.
struct Live {
    is_shown: bool,
    /// The last line is ours to write over.
    has_line: bool,
    since: Instant,
    waiting: bool,
    progress: Option<String>,
}

impl Live {
    fn show(&mut self, event: CallEvent) {
        match event {
            CallEvent::Started => self.waiting = false,
            CallEvent::Stderr { line } => self.line(&escape(&line)),
            CallEvent::Progress { progress, total, message } => {
                self.progress = Some(bar(progress, total, message.as_deref()));
                self.status();
            }
        }
    }

    fn still_running(&mut self) {
        if self.since.elapsed() >= PATIENCE {
            self.status();
        }
    }

    fn status(&mut self) {
        let seconds = self.since.elapsed().as_secs();
        let text = match (&self.progress, self.waiting) {
            (Some(progress), _) => format!("{progress}  {seconds} s"),
            (None, true) => format!("waiting for its turn  {seconds} s"),
            (None, false) => format!("running  {seconds} s"),
        };
        self.write(&format!("\r\u{1b}[K{text}"));
        self.has_line = true;
    }

    fn line(&mut self, text: &str) {
        self.clear();
        self.write(&format!("{text}\n"));
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.has_line) {
            self.write("\r\u{1b}[K");
        }
    }

    fn write(&self, text: &str) {
        if self.is_shown {
            let mut stderr = std::io::stderr().lock();
            // A terminal that is gone needs no progress.
            let _gone = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        }
    }
}

/// `[#####-----] 5/10 message`
fn bar(progress: f64, total: Option<f64>, message: Option<&str>) -> String {
    let message = message.map(|message| format!(" {}", escape(message))).unwrap_or_default();
    match total.filter(|total| *total > 0.0) {
        None => format!("{progress}{message}"),
        Some(total) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=20")]
            let done = (progress / total * 20.0).clamp(0.0, 20.0) as usize;
            format!("[{}{}] {progress}/{total}{message}", "#".repeat(done), "-".repeat(20 - done))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_bar_where_its_end_is_known() {
        assert_eq!(bar(5.0, Some(10.0), Some("half")), "[##########----------] 5/10 half");
        assert_eq!(bar(30.0, Some(10.0), None), "[####################] 30/10");
        assert_eq!(bar(f64::NAN, Some(10.0), None), "[--------------------] NaN/10");
        assert_eq!(bar(3.0, None, Some("a\u{1b}b")), "3 a\\u{1b}b");
        assert_eq!(bar(3.0, Some(0.0), None), "3");
    }

    #[test]
    fn a_result_ends_with_the_code_of_its_error() {
        let failed =
            |code: &str| exit_of(&json!({"isError": true, "structuredContent": {"error": {"code": code}}}));
        assert_eq!(exit_of(&json!({"content": []})), Exit::Ok);
        assert_eq!(exit_of(&json!({"isError": true})), Exit::ToolFailed);
        assert_eq!(failed("invalid_arguments"), Exit::Usage);
        assert_eq!(failed("timeout"), Exit::TimedOut);
        assert_eq!(failed("queue_full"), Exit::Busy);
        assert_eq!(failed("cancelled"), Exit::ToolFailed);
    }

    #[test]
    fn named_arguments_are_asked_for_by_the_schemas_spelling() {
        let tool = ToolInfo {
            id: "a.b".to_owned(),
            name: "a__b".to_owned(),
            plugin: None,
            description: String::new(),
            input_schema: json!({"properties": {"api_key": {"type": "string"}}, "required": ["api_key"]}),
            secrets: vec!["api_key".to_owned()],
        };
        assert_eq!(asked_for(&tool, &serde_json::Map::new(), &["api-key".to_owned()]), ["api_key"]);
    }
}
