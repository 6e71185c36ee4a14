//! Runs a command of a plugin once, in the sandbox that its calls get, and lists what was refused to it: `plugin sandbox NAME --trace`.
//!
//! The kernel tells a process alone what it refused, so the process is watched: `run` has `strace` around it, `enter` is
//! the step in between, as the daemon's user (`who`), and `ending` sees that nothing is left. `strace` reads the lines that
//! come of it, `attempt` says what a call wanted, and `verdict` compares that with the plugin's rules, and with what the
//! same user may do `outside` of the sandbox.

mod attempt;
mod ending;
mod enter;
mod outside;
mod run;
mod strace;
mod verdict;
mod who;

use std::path::Path;

pub(crate) use enter::enter;
pub(crate) use outside::answer_all;
use serde_json::json;

use attempt::Attempt;
use outside::Question;
use run::{Output, Ran};
use strace::{Call, End};
use verdict::{By, Finding, Rules};
use who::Who;

use crate::daemon::Daemon;
use crate::exit::{Exit, Failure};
use crate::table::{escape, print, print_json, print_rows};

/// Runs a command of the plugin, whose `words` it reads itself, and shows what was refused.
pub(crate) async fn trace(daemon: &mut Daemon, name: &str, words: &[String]) -> Result<Exit, Failure> {
    let status = daemon.fetch_status().await?;
    let launch = daemon.fetch_launch(name, words).await?;
    let described = daemon.fetch_plugin(name).await?.described;
    let (Some(described), Some(_)) = (described, &launch.sandbox) else {
        let message = format!("`{}` has no sandbox, which could refuse it anything", escape(name));
        return Err(Failure::new(Exit::Invalid, message).hint("see `smcpctl plugin sandbox NAME --explain`"));
    };
    let config = daemon.fetch_config().await?;
    let strace = who::found("strace")?;
    let who = Who::of(status.pid)?;
    let ran = run::run(&strace, &launch, &who).await?;
    // Who moved may begin anywhere.
    let base = (!ran.moved).then(|| Path::new(&launch.directory));
    let wanted = |call: &Call| attempt::of(call, &launch.refused_calls, base);
    let attempts =
        distinct(ran.refused.iter().flat_map(|call| wanted(call).into_iter().map(move |one| (call, one))));
    let questions = attempts.iter().filter_map(|(_, attempt, _)| Question::of(attempt)).collect();
    let mut answers = run::ask_outside(questions, &who).await?.into_iter();
    let rules = Rules {
        plugin: name,
        program: Path::new(&launch.program),
        held: &described.sandbox,
        devices: &launch.devices,
        config: &config,
    };
    let mut findings: Vec<Finding> = attempts
        .iter()
        .map(|(call, attempt, times)| {
            let answer = Question::of(attempt).and_then(|_| answers.next()).unwrap_or_default();
            Finding { times: *times, ..rules.judge(call, attempt, answer) }
        })
        .collect();
    findings.sort_by_key(|finding| finding.by);
    match daemon.json {
        true => print_json("trace", &as_json(&findings, &ran))?,
        false => show(&findings, &ran)?,
    }
    Ok(if ran.end.is_some() { Exit::Ok } else { Exit::TimedOut })
}

/// Each attempt once, with how often it was made.
fn distinct<'a>(all: impl Iterator<Item = (&'a Call, Attempt)>) -> Vec<(&'a Call, Attempt, usize)> {
    let mut found: Vec<(&Call, Attempt, usize)> = Vec::new();
    for (call, attempt) in all {
        let is_it = |(known, wanted, _): &&mut (&Call, Attempt, usize)| {
            known.name == call.name && known.error == call.error && *wanted == attempt
        };
        match found.iter_mut().find(is_it) {
            Some((.., times)) => *times += 1,
            None => found.push((call, attempt, 1)),
        }
    }
    found
}

fn ended(end: Option<&End>) -> String {
    match end {
        None => "had to be ended: its time was over".to_owned(),
        Some(End::Exited(status)) => format!("exited with {status}"),
        Some(End::Killed(signal)) => format!("was killed by {signal}"),
    }
}

fn as_json(findings: &[Finding], ran: &Ran) -> serde_json::Value {
    let output = |output: &Output| json!({"text": output.text, "cut": output.is_cut});
    json!({
        "ended": ended(ran.end.as_ref()),
        "refused": findings,
        "lost": ran.lost,
        "stdout": output(&ran.stdout),
        "stderr": output(&ran.stderr),
    })
}

fn show(findings: &[Finding], ran: &Ran) -> Result<(), Failure> {
    said("stdout", &ran.stdout);
    said("stderr", &ran.stderr);
    note(&format!("the command {}", ended(ran.end.as_ref())));
    if ran.lost > 0 {
        note(&format!("{} more refused calls are not shown", ran.lost));
    }
    if !findings.iter().any(|finding| finding.by == By::Sandbox) {
        print("the sandbox refused nothing\n")?;
    }
    print_rows(&["WHAT", "BY", "WHY", "ALLOWED BY"], &findings.iter().map(row).collect::<Vec<_>>())
}

fn row(finding: &Finding) -> Vec<String> {
    let times = if finding.times > 1 { format!(" ({} times)", finding.times) } else { String::new() };
    let by = match finding.by {
        By::Sandbox => "sandbox",
        By::Unknown => "unknown",
        By::Permissions => "permissions",
    };
    let allow = finding.allow.as_ref().map(|allow| format!("{} {}", allow.section, allow.line));
    vec![
        format!("{}: {} {}{times}", finding.what, finding.call, finding.error),
        by.to_owned(),
        finding.why.clone(),
        allow.unwrap_or_default(),
    ]
}

/// What the command wrote is no result.
fn said(pipe: &str, output: &Output) {
    for line in output.text.lines() {
        note(&format!("{pipe}: {}", escape(line)));
    }
    if output.is_cut {
        note(&format!("{pipe}: …"));
    }
}

#[expect(clippy::print_stderr, reason = "what the command said is for people, and is no result")]
fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_and_again_is_one_row() {
        let call = |error: &str| Call {
            pid: 7,
            name: "openat".to_owned(),
            arguments: Vec::new(),
            error: Some(error.to_owned()),
        };
        let (first, other) = (call("EACCES"), call("EPERM"));
        let all = [(&first, Attempt::Reach(1)), (&other, Attempt::Reach(1)), (&first, Attempt::Reach(1))];
        let found = distinct(all.into_iter());
        assert_eq!(found, [(&first, Attempt::Reach(1), 2), (&other, Attempt::Reach(1), 1)]);
    }
}
