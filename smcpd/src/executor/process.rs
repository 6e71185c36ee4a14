//! One program from its start to its end.
//!
//! The end is always the same: ask the group, wait for the pipes to close up to the grace, kill the group, and
//! only then reap its leader, because until that moment the group's number cannot belong to anyone else.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::descendants::{Descendants, MARK};
use super::live::Live;
use super::pipes::{ALONE, Pipes, Reader, drain, feed, watch};
use super::spawner::{Program, Spawner};
use super::warm::{Start, Taken, Workers};
use super::{Captured, End, Invocation, Outcome, launch};

/// How long who has said that it exits may take for it: nobody is asked to, so this is not the grace.
const PARTING: Duration = Duration::from_secs(5);

/// A started program. Dropping it without [`Leader::reap`] kills its group: the last net, not the plan.
struct Leader<'a> {
    pid: Pid,
    pipes: Option<Pipes>,
    spawner: &'a Spawner,
    /// Whether it says what it will exit with: see [`last_word`].
    tells: bool,
    reaped: bool,
}

impl Leader<'_> {
    fn signal_group(&self, signal: Signal) {
        // A group whose every member is gone is as good as signalled.
        let _gone = kill_process_group(self.pid, signal);
    }

    /// Reaps the leader, which must be dead.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = waitpid(Some(self.pid), WaitOptions::empty());
        self.reaped = true;
        self.spawner.forget(self.pid);
        let (_, status) = status?.ok_or(io::ErrorKind::NotFound)?;
        Ok(ExitStatus::from_raw(status.as_raw()))
    }

    /// Sees that nothing is left of one that has said its last word.
    async fn see_off(mut self) {
        if !self.reaped
            && let Ok(exited) = exit_of(self.pid)
            && let Ok(Ok(_)) = tokio::time::timeout(PARTING, exited.readable()).await
        {
            let _status = self.reap();
        }
        // Dropped, it is killed: what it says of itself is not to keep it alive.
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal_group(Signal::KILL);
            let _status = self.reap();
        }
        self.spawner.tell_ended();
    }
}

/// Starts the program of a call as the leader of a group of its own.
async fn spawn<'a>(spawner: &'a Arc<Spawner>, invocation: &Invocation) -> io::Result<Leader<'a>> {
    let mark = (OsString::from(MARK), OsString::from(&invocation.call));
    let program = Program {
        program: &invocation.program,
        argv: &invocation.argv,
        environment: invocation.environment.iter().chain([&mark]),
        directory: &invocation.directory,
        stdin: if invocation.stdin.is_some() { Stdio::piped() } else { Stdio::null() },
        stdout: Stdio::piped(),
        stderr: Stdio::piped(),
        sandbox: invocation.sandbox.as_deref(),
        waits: false,
    };
    let (process, mut child) = spawner.start(program).await?;
    let pipes = Pipes {
        stdin: child.stdin.take().map(OwnedFd::from),
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
    };
    Ok(Leader { pid: process.promote(), pipes: Some(pipes), spawner, tells: false, reaped: false })
}

/// A call's process, and how it came to be.
struct Started<'a> {
    leader: Leader<'a>,
    taken: Option<Taken>,
    how: Start,
}

async fn start<'a>(workers: &'a Workers, invocation: &Invocation) -> io::Result<Started<'a>> {
    let spawner = &workers.spawner;
    if workers.may_take(invocation)
        && let Some((theirs, pipes)) = Pipes::pair(invocation.stdin.is_some())
        && let Some((taken, how)) = workers.take(invocation, [&theirs.0, &theirs.1, &theirs.2]).await
    {
        let leader =
            Leader { pid: taken.pid, pipes: Some(pipes), spawner, tells: how != Start::Cold, reaped: false };
        return Ok(Started { leader, taken: Some(taken), how });
    }
    Ok(Started { leader: spawn(spawner, invocation).await?, taken: None, how: Start::Cold })
}

/// What a run is given beside its program.
pub(super) struct Run<'a> {
    pub(super) live: &'a Live,
    pub(super) cancel: &'a CancellationToken,
    pub(super) ending: &'a CancellationToken,
    pub(super) grace: Duration,
}

/// Runs the program until it ends by itself or is ended, and leaves nothing behind in the latter case. `began` is told
/// how once it runs, and `told` what came of it, which may be a moment before the process is gone.
pub(super) async fn run(
    workers: &Workers,
    invocation: Invocation,
    run: Run<'_>,
    began: impl FnOnce(Start, &Invocation),
    told: impl FnOnce(io::Result<Outcome>),
) {
    match run_to_its_word(workers, &invocation, &run, began).await {
        Ok((leader, outcome)) => {
            told(Ok(outcome));
            leader.see_off().await;
        }
        Err(error) => told(Err(error)),
    }
}

async fn run_to_its_word<'a>(
    workers: &'a Workers,
    invocation: &Invocation,
    run: &Run<'_>,
    began: impl FnOnce(Start, &Invocation),
) -> io::Result<(Leader<'a>, Outcome)> {
    let spawner = &workers.spawner;
    let before = spawner.members(invocation.sandbox.as_deref());
    let Started { mut leader, taken, how } = start(workers, invocation).await?;
    run.live.came(how);
    began(how, invocation);
    let outcome = see_through(&mut leader, invocation, run, &before).await?;
    if let Some(taken) = taken
        && matches!(outcome.end, End::Exited(_) | End::Signaled(_))
        && !taken.ran()
    {
        // It died before any of the plugin's code had the call: nothing happened yet.
        tracing::warn!(
            call = invocation.call,
            "the process that was to take a call died before it did; another is started"
        );
        leader = spawn(spawner, invocation).await?;
        let outcome = see_through(&mut leader, invocation, run, &before).await?;
        return Ok((leader, outcome));
    }
    Ok((leader, outcome))
}

async fn see_through(
    leader: &mut Leader<'_>,
    invocation: &Invocation,
    run: &Run<'_>,
    before: &HashSet<Pid>,
) -> io::Result<Outcome> {
    let &Run { live, cancel, ending, grace } = run;
    let began = Instant::now();
    let exited = exit_of(leader.pid)?;
    let pipes = leader.pipes.take().expect("the pipes are taken once");
    let mut reader = Reader::new([pipes.stdout, pipes.stderr], invocation, live, leader.tells)?;
    // Fed beside the reading, so that a program that answers before it has read all cannot block us.
    let feed = feed(pipes.stdin, invocation.stdin.as_deref());
    let deadline = after(began, invocation.timeout);
    let alone = tokio::time::sleep(ALONE);
    tokio::pin!(feed, deadline, alone);
    let mut fed = false;
    let end = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Some(End::Cancelled),
            () = ending.cancelled() => break Some(End::Cancelled),
            () = &mut deadline => break Some(End::TimedOut),
            ready = exited.readable() => break ready.map(|_| None)?,
            flooded = reader.read(), if reader.open() => {
                if flooded {
                    break Some(End::Flooded);
                }
                if !reader.open() && leader.tells && let Some(status) = last_word(leader.pid) {
                    break Some(End::Exited(status));
                }
            }
            () = &mut feed, if !fed => fed = true,
            () = &mut alone, if reader.leaves_alone() => reader.listen(),
        }
    };
    let end = match end {
        Some(told @ End::Exited(_)) => told,
        Some(ours) => {
            end_all(leader, invocation, before, &mut reader, &exited, grace).await;
            leader.reap()?;
            ours
        }
        None => {
            drain(&mut reader).await;
            let status = leader.reap()?;
            if let Some(error) = launch_failure(status, reader.stderr()) {
                return Err(error);
            }
            match status.code() {
                _ if reader.flooded() => End::Flooded,
                Some(code) => End::Exited(code),
                None => End::Signaled(status.signal().unwrap_or(0)),
            }
        }
    };
    let (stdout, stderr, spilled) = reader.finish();
    Ok(Outcome { end, stdout, stderr, ran: began.elapsed(), spilled })
}

fn exit_of(process: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    watch(pidfd_open(process, PidfdFlags::empty())?, Interest::READABLE)
}

async fn after(started: Instant, timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep_until((started + timeout).into()).await,
        None => std::future::pending().await,
    }
}

/// Asks, waits, kills; then kills whatever moved out of the group. `before` is who was in the plugin's control group
/// before the call.
async fn end_all(
    leader: &Leader<'_>,
    invocation: &Invocation,
    before: &HashSet<Pid>,
    reader: &mut Reader<'_>,
    exited: &AsyncFd<OwnedFd>,
    grace: Duration,
) {
    let call = &invocation.call;
    let mut descendants = Descendants::of(leader.pid, call);
    descendants.look();
    leader.signal_group(Signal::TERM);
    reader.listen();
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
        let strangers = || leader.spawner.end_strangers(invocation.sandbox.as_deref(), leader.pid, before);
        if descendants.kill() + strangers() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1 + round)).await;
    }
    tracing::warn!(call, "some processes of an ended call could not be killed");
}

/// What a warm worker names itself once it has nothing to do any more but to exit, and the status comes after.
const LAST_WORD: &str = "smcp-ended ";

/// The status that a process is about to exit with, where it says so.
///
/// Whoever writes to both pipes is gone by then. It takes the kernel a while to take the memory back, before there is a
/// status to wait for.
fn last_word(pid: Pid) -> Option<i32> {
    let mut name = [0; 32];
    let length = File::open(format!("/proc/{pid}/comm")).ok()?.read(&mut name).ok()?;
    let status = std::str::from_utf8(&name[..length]).ok()?.strip_prefix(LAST_WORD)?;
    status.trim_end().parse().ok().filter(|status| (0..=255).contains(status))
}

fn launch_failure(status: ExitStatus, stderr: &Captured) -> Option<io::Error> {
    if status.code() != Some(launch::FAILED_STATUS) {
        return None;
    }
    let said = stderr.clone().into_text();
    said.strip_prefix(launch::FAILED).map(|reason| io::Error::other(reason.trim_end().to_owned()))
}
