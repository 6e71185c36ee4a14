//! One program from its start to its end.
//!
//! The end is always the same: ask the group, wait for the pipes to close up to the grace, kill the group, and
//! only then reap its leader, because until that moment the group's number cannot belong to anyone else.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, set_child_subreaper};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::descendants::{Descendants, MARK};
use super::live::{Lines, Live};
use super::spill::{Spill, Spilled};
use super::{Captured, End, Invocation, Outcome, launch, orphans};

/// How long a pipe that a background child holds open is read after the program itself has exited normally.
const DRAIN: Duration = Duration::from_millis(200);

/// Starts programs, and knows which children are leaders of calls.
#[derive(Debug)]
pub(super) struct Spawner {
    leaders: Mutex<HashSet<Pid>>,
    /// Held for reading from the fork until the leader is noted, and for writing while strangers are reaped.
    starting: RwLock<()>,
}

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self { leaders: Mutex::default(), starting: RwLock::default() })
    }

    /// The programs that run.
    pub(super) fn count(&self) -> usize {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Starts the program as the leader of a group of its own.
    ///
    /// This runs on a worker thread of the runtime, which lives as long as the daemon: the launcher ties the
    /// child's life to it.
    fn spawn(&self, invocation: &Invocation) -> io::Result<Leader<'_>> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("smcpd")
            .arg(launch::SUBCOMMAND)
            .arg(std::process::id().to_string())
            .arg(&invocation.program)
            .args(&invocation.argv)
            .env_clear()
            .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
            .env(MARK, &invocation.call)
            .current_dir(&invocation.directory)
            .stdin(if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let _noting = self.starting.read().unwrap_or_else(PoisonError::into_inner);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        let pipes = Pipes {
            stdin: child.stdin.take().map(OwnedFd::from),
            stdout: child.stdout.take().map(OwnedFd::from),
            stderr: child.stderr.take().map(OwnedFd::from),
        };
        Ok(Leader { child, pid, pipes: Some(pipes), spawner: self, reaped: false })
    }

    /// Reaps dead children that lead no call.
    pub(super) fn reap_strangers(&self) {
        let _none_starting = self.starting.write().unwrap_or_else(PoisonError::into_inner);
        let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for child in orphans::children() {
            if !leaders.contains(&child) {
                orphans::reap_one(child);
            }
        }
    }
}

struct Pipes {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// A started program. Dropping it without [`Leader::reap`] kills its group: the last net, not the plan.
struct Leader<'a> {
    child: Child,
    pid: Pid,
    pipes: Option<Pipes>,
    spawner: &'a Spawner,
    reaped: bool,
}

impl Leader<'_> {
    fn signal_group(&self, signal: Signal) {
        // A group whose every member is gone is as good as signalled.
        let _gone = kill_process_group(self.pid, signal);
    }

    /// Reaps the leader, which must be dead.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.reaped = true;
        self.spawner.leaders.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
        status
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal_group(Signal::KILL);
            let _status = self.reap();
        }
    }
}

/// Runs the program until it ends by itself or is ended, and leaves nothing behind in the latter case.
pub(super) async fn run(
    spawner: &Spawner,
    invocation: Invocation,
    live: &Live,
    cancel: &CancellationToken,
    ending: &CancellationToken,
    grace: Duration,
) -> io::Result<Outcome> {
    let started = Instant::now();
    let mut leader = spawner.spawn(&invocation)?;
    let exited = watch(pidfd_open(leader.pid, PidfdFlags::empty())?)?;
    let pipes = leader.pipes.take().expect("the pipes are taken once");
    let mut reader = Reader::new(&pipes, &invocation, live)?;
    drop((pipes.stdout, pipes.stderr));
    // Fed beside the reading, so that a program that answers before it has read all cannot block us.
    let feed = feed(pipes.stdin, invocation.stdin);
    tokio::pin!(feed);
    let mut fed = false;
    let end = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Some(End::Cancelled),
            () = ending.cancelled() => break Some(End::Cancelled),
            () = after(started, invocation.timeout) => break Some(End::TimedOut),
            ready = exited.readable() => {
                drop(ready?);
                break None;
            }
            flooded = reader.read(), if reader.open() => if flooded { break Some(End::Flooded) },
            () = &mut feed, if !fed => fed = true,
        }
    };
    if end.is_some() {
        end_all(&leader, &invocation.call, &mut reader, &exited, grace).await;
    } else {
        drain(&mut reader).await;
    }
    let status = leader.reap()?;
    let (stdout, stderr, spilled) = reader.finish();
    if let Some(error) = launch_failure(status, &stderr) {
        return Err(error);
    }
    let end = end.unwrap_or_else(|| match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signaled(signal.unwrap_or(0)),
    });
    Ok(Outcome { end, stdout, stderr, ran: started.elapsed(), spilled })
}

#[expect(
    deprecated,
    reason = "an `OwnedFd` stays open as long as it is registered; the successor is `unsafe`"
)]
fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(process)
}

async fn after(started: Instant, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep_until((started + timeout).into()).await,
        None => std::future::pending().await,
    }
}

async fn feed(stdin: Option<OwnedFd>, bytes: Option<Vec<u8>>) {
    let (Some(stdin), Some(bytes)) = (stdin, bytes) else { return };
    if let Ok(mut sender) = pipe::Sender::from_owned_fd(stdin) {
        // A program need not read what it is given.
        let _unread = sender.write_all(&bytes).await;
    }
}

/// Asks, waits, kills; then kills whatever moved out of the group.
async fn end_all(
    leader: &Leader<'_>,
    call: &str,
    reader: &mut Reader<'_>,
    exited: &AsyncFd<OwnedFd>,
    grace: Duration,
) {
    let mut descendants = Descendants::of(leader.pid, call);
    descendants.look();
    leader.signal_group(Signal::TERM);
    let quiet = async {
        while reader.open() {
            reader.read().await;
        }
        let _ready = exited.readable().await;
    };
    let _in_time = tokio::time::timeout(grace, quiet).await;
    leader.signal_group(Signal::KILL);
    let _dead = exited.readable().await;
    // A process may fork while it is being killed; a few rounds find what the last one missed.
    for round in 0..50u64 {
        if descendants.kill() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1 + round)).await;
    }
    tracing::warn!(call, "some processes of an ended call could not be killed");
}

/// Reads what is still in the pipes; a background child that holds them open is not waited for.
async fn drain(reader: &mut Reader<'_>) {
    let rest = async {
        while reader.open() {
            if reader.read().await {
                return;
            }
        }
    };
    let _held_open = tokio::time::timeout(DRAIN, rest).await;
}

fn launch_failure(status: ExitStatus, stderr: &Captured) -> Option<io::Error> {
    if status.code() != Some(launch::FAILED_STATUS) {
        return None;
    }
    let said = stderr.clone().into_text();
    said.strip_prefix(launch::FAILED).map(|reason| io::Error::other(reason.trim_end().to_owned()))
}

/// Reads both pipes at once, within the limit.
struct Reader<'a> {
    stdout: Pipe<'a>,
    stderr: Pipe<'a>,
    ceiling: u64,
}

struct Pipe<'a> {
    receiver: Option<pipe::Receiver>,
    captured: Captured,
    spill: Spill,
    buffer: Vec<u8>,
    /// What is said here is shown while the program runs.
    lines: Option<Lines<'a>>,
}

impl<'a> Pipe<'a> {
    fn new(
        descriptor: &Option<OwnedFd>,
        keep: usize,
        spill: Option<PathBuf>,
        lines: Option<Lines<'a>>,
    ) -> io::Result<Self> {
        let receiver = match descriptor {
            Some(descriptor) => Some(pipe::Receiver::from_owned_fd(descriptor.try_clone()?)?),
            None => None,
        };
        let (captured, spill) = (Captured::new(keep), Spill::to(spill));
        Ok(Self { receiver, captured, spill, buffer: Vec::new(), lines })
    }

    async fn read(&mut self) {
        let Some(receiver) = &mut self.receiver else { return std::future::pending().await };
        self.buffer.clear();
        self.buffer.reserve(if self.captured.total() > 16 << 10 { 64 << 10 } else { 8 << 10 });
        match receiver.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => {
                self.receiver = None;
                self.buffer = Vec::new();
            }
            Ok(_) => {
                self.spill.push(&self.captured, &self.buffer);
                self.captured.push(&self.buffer);
                if let Some(lines) = &mut self.lines {
                    lines.push(&self.buffer);
                }
            }
        }
    }

    fn finish(self) -> (Captured, Option<Spilled>) {
        if let Some(lines) = self.lines {
            lines.finish();
        }
        (self.captured, self.spill.finish())
    }
}

impl<'a> Reader<'a> {
    fn new(pipes: &Pipes, invocation: &Invocation, live: &'a Live) -> io::Result<Self> {
        let limit = invocation.output;
        Ok(Self {
            stdout: Pipe::new(&pipes.stdout, limit.keep, invocation.spill.clone(), None)?,
            stderr: Pipe::new(&pipes.stderr, limit.keep, None, Some(Lines::of(live)))?,
            ceiling: limit.ceiling,
        })
    }

    fn open(&self) -> bool {
        self.stdout.receiver.is_some() || self.stderr.receiver.is_some()
    }

    /// Reads once from whichever pipe is ready; returns whether the ceiling was passed.
    async fn read(&mut self) -> bool {
        tokio::select! {
            () = self.stdout.read() => {}
            () = self.stderr.read() => {}
        }
        self.stdout.captured.total() > self.ceiling || self.stderr.captured.total() > self.ceiling
    }

    fn finish(self) -> (Captured, Captured, Option<Spilled>) {
        let ((stdout, spilled), (stderr, _)) = (self.stdout.finish(), self.stderr.finish());
        (stdout, stderr, spilled)
    }
}
