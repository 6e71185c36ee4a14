//! Runs a command under `strace` to its end, and leaves nothing of it.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use smcp_control::Launch;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::attempt::{LOOKED_AT, LOOKED_AT_IF_KNOWN};
use super::ending;
use super::outside::{Answer, Question};
use super::strace::{Call, End, Event, Reader, unquoted};
use super::who::Who;
use crate::beside;
use crate::exit::{Exit, Failure};
use crate::table::escape;

/// Bytes of each output that are kept.
const KEPT: usize = 64 << 10;
/// Refused calls that are kept.
const CALLS: usize = 10_000;
/// A line of strace's that is longer is passed over.
const LINE: u64 = 256 << 10;
/// Of a string, strace shows so much: the longest path there is.
const STRING: &str = "4096";
/// A plugin without a timeout gets this one.
const LONGEST: Duration = Duration::from_secs(600);
/// How long pipes may stay open that nobody can hold any more.
const CLOSING: Duration = Duration::from_secs(5);

/// What a command did.
#[derive(Debug)]
pub(super) struct Ran {
    /// Absent: it had to be ended.
    pub(super) end: Option<End>,
    pub(super) refused: Vec<Call>,
    /// More than are kept.
    pub(super) lost: usize,
    /// Some process of it went to another directory.
    pub(super) moved: bool,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

/// The beginning of what it wrote.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) text: String,
    pub(super) is_cut: bool,
}

/// Runs it once, for at most as long as a call may take.
pub(super) async fn run(strace: &Path, launch: &Launch, who: &Who) -> Result<Ran, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot run strace: {error}"));
    let (log, log_writer) = std::io::pipe().map_err(failed)?;
    let (stdout, stdout_writer) = std::io::pipe().map_err(failed)?;
    let (stderr, stderr_writer) = std::io::pipe().map_err(failed)?;
    if let Some((uid, gid)) = who.owner {
        let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
        for pipe in [&stdout_writer, &stderr_writer] {
            rustix::fs::fchown(pipe.as_fd(), Some(uid), Some(gid)).map_err(|error| failed(error.into()))?;
        }
    }
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(strace);
    command.args([
        "-f",
        "-q",
        "-y",
        "-s",
        STRING,
        "-e",
        "signal=none",
        "-e",
        &looked_at(&launch.refused_calls),
        "-o",
    ]);
    command.arg(format!("/proc/{}/fd/{}", std::process::id(), log_writer.as_raw_fd())).arg("--");
    command.args(&who.prefix).arg(own).args(["plugin", "trace-enter"]);
    command.env_clear().stdin(Stdio::piped()).stdout(stdout_writer).stderr(stderr_writer).process_group(0);
    let said = serde_json::to_vec(&(beside::smcpd()?, launch)).map_err(|error| failed(error.into()))?;

    let mut interrupts =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal).map(Result::ok);
    let [interrupt, terminate, hangup] = &mut interrupts;
    // From now on whatever it leaves behind comes to us.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| failed(error.into()))?;
    let mut child = command.spawn().map_err(failed)?;
    drop(command);
    let program = launch.program.clone();
    let (over, ended) = oneshot::channel();
    let log = tokio::task::spawn_blocking(move || read_log(log, &program, over));
    let (stdout, stderr) = (keep(stdout), keep(stderr));
    let stdin = child.stdin.take();
    let waiting = tokio::task::spawn_blocking(move || {
        // Whoever does not read it has failed, and says so.
        let _gone = stdin.map(|mut stdin| stdin.write_all(&said));
        child.wait()
    });
    let timeout = launch.timeout_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let interrupted = tokio::select! {
        _ = ended => false,
        _ = waiting => false,
        () = tokio::time::sleep(timeout.unwrap_or(LONGEST).min(LONGEST)) => false,
        () = any(interrupt) => true,
        () = any(terminate) => true,
        () = any(hangup) => true,
    };
    ending::end_all().await;
    drop(log_writer);
    let closed = async { (log.await, stdout.await, stderr.await) };
    let Ok((Ok(log), Ok(stdout), Ok(stderr))) = tokio::time::timeout(CLOSING, closed).await else {
        return Err(Failure::new(Exit::Failed, "the output of the command cannot be read to its end"));
    };
    if interrupted {
        return Err(Failure::new(Exit::Interrupted, "interrupted; nothing of the command is left"));
    }
    if !log.started {
        let reason = stderr.text.lines().last().unwrap_or("it says nothing");
        let reason = reason.trim_start_matches("smcpd launch: ").trim_start_matches("error: ");
        return Err(Failure::new(Exit::Failed, format!("the command was not started: {}", escape(reason))));
    }
    Ok(Ran { end: log.end, refused: log.refused, lost: log.lost, moved: log.moved, stdout, stderr })
}

async fn any(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn looked_at(refused_calls: &[String]) -> String {
    let known = LOOKED_AT.iter().map(|name| (*name).to_owned());
    let others = LOOKED_AT_IF_KNOWN.iter().copied().chain(refused_calls.iter().map(String::as_str));
    let all: Vec<String> = known.chain(others.map(|name| format!("?{name}"))).collect();
    format!("trace={}", all.join(","))
}

/// Reads to the end, and keeps the beginning.
fn keep(pipe: PipeReader) -> JoinHandle<Output> {
    tokio::task::spawn_blocking(move || {
        let mut pipe = pipe;
        let mut kept = Vec::new();
        // What was read before an error is what there is.
        let _ended = pipe.by_ref().take(KEPT as u64).read_to_end(&mut kept);
        let more = std::io::copy(&mut pipe, &mut std::io::sink()).unwrap_or_default();
        Output { text: String::from_utf8_lossy(&kept).into_owned(), is_cut: more > 0 }
    })
}

/// What strace wrote of the program, from its start on.
#[derive(Debug, Default)]
struct Log {
    leader: Option<i32>,
    started: bool,
    end: Option<End>,
    refused: Vec<Call>,
    lost: usize,
    moved: bool,
}

fn read_log(pipe: PipeReader, program: &str, over: oneshot::Sender<()>) -> Log {
    let (mut log, mut reader, mut over) = (Log::default(), Reader::default(), Some(over));
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return log,
            Ok(_) => {}
        }
        if let Some(event) = reader.read(String::from_utf8_lossy(&line).trim_end()) {
            log.note(event, program);
        }
        if log.end.is_some() {
            // Whoever waited may have given up.
            let _gone = over.take().map(|over| over.send(()));
        }
    }
}

impl Log {
    /// The first process is the one that becomes the program; until then it is us, and the launcher.
    fn note(&mut self, event: Event, program: &str) {
        match event {
            Event::Ended(pid, end) if self.leader == Some(pid) => self.end = Some(end),
            Event::Ended(..) => {}
            Event::Call(call) => {
                let leader = *self.leader.get_or_insert(call.pid);
                let becomes = || {
                    call.arguments.first().and_then(|path| unquoted(path)).as_deref()
                        == Some(program.as_bytes())
                };
                self.started = self.started || call.pid == leader && call.name == "execve" && becomes();
                if self.started && self.end.is_none() {
                    self.keep(call);
                }
            }
        }
    }

    fn keep(&mut self, call: Call) {
        self.moved |= call.error.is_none() && matches!(call.name.as_str(), "chdir" | "fchdir" | "chroot");
        match call.error.as_deref() {
            Some("EACCES" | "EPERM") if self.refused.len() < CALLS => self.refused.push(call),
            Some("EACCES" | "EPERM") => self.lost += 1,
            _ => {}
        }
    }
}

/// Asks what the same user may do without the sandbox.
pub(super) async fn ask_outside(questions: Vec<Question>, who: &Who) -> Result<Vec<Answer>, Failure> {
    let Some((program, arguments)) = who.prefix.split_first() else {
        return Ok(questions.iter().map(Question::answer).collect());
    };
    let failed = |reason: String| {
        Failure::new(Exit::Failed, format!("cannot ask what the daemon's user may do: {reason}"))
    };
    let own = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(own).args(["plugin", "trace-outside"]).env_clear();
    let said = serde_json::to_vec(&questions).map_err(|error| failed(error.to_string()))?;
    let output =
        beside::output_of(&mut command, said, CLOSING).await.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|_| failed(escape(String::from_utf8_lossy(&output.stderr).trim())))
}
