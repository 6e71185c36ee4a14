//! One program from its start to its end.
//!
//! The end is always the same: ask the group, wait for the pipes to close up to the grace, kill the group, and
//! only then reap its leader, because until that moment the group's number cannot belong to anyone else.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, waitpid};
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;

use super::descendants::{Descendants, MARK};
use super::live::Live;
use super::pipes::{Pipes, Reader, drain, feed};
use super::spawner::{Program, Spawner};
use super::warm::{Start, Taken, Workers};
use super::{Captured, End, Invocation, Outcome, launch};

/// A started program. Dropping it without [`Leader::reap`] kills its group: the last net, not the plan.
struct Leader<'a> {
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
        let status = waitpid(Some(self.pid), WaitOptions::empty());
        self.reaped = true;
        self.spawner.forget(self.pid);
        let (_, status) = status?.ok_or(io::ErrorKind::NotFound)?;
        Ok(ExitStatus::from_raw(status.as_raw()))
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

/// Starts the program of a call as the leader of a group of its own.
fn spawn<'a>(spawner: &'a Spawner, invocation: &Invocation) -> io::Result<Leader<'a>> {
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
    let mut child = spawner.start_leader(program)?;
    let pipes = Pipes {
        stdin: child.stdin.take().map(OwnedFd::from),
        stdout: child.stdout.take().map(OwnedFd::from),
        stderr: child.stderr.take().map(OwnedFd::from),
    };
    Ok(Leader { pid: Pid::from_child(&child), pipes: Some(pipes), spawner, reaped: false })
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
        let leader = Leader { pid: taken.pid, pipes: Some(pipes), spawner, reaped: false };
        return Ok(Started { leader, taken: Some(taken), how });
    }
    Ok(Started { leader: spawn(spawner, invocation)?, taken: None, how: Start::Cold })
}

/// Runs the program until it ends by itself or is ended, and leaves nothing behind in the latter case. `began` is told
/// how once it runs.
pub(super) async fn run(
    workers: &Workers,
    invocation: Invocation,
    began: impl FnOnce(Start, &Invocation),
    live: &Live,
    cancel: &CancellationToken,
    ending: &CancellationToken,
    grace: Duration,
) -> io::Result<Outcome> {
    let spawner = &workers.spawner;
    let before = spawner.members(invocation.sandbox.as_deref());
    let Started { leader, taken, how } = start(workers, &invocation).await?;
    live.came(how);
    began(how, &invocation);
    let outcome = see_through(leader, &invocation, live, &before, cancel, ending, grace).await?;
    if let Some(mut taken) = taken
        && matches!(outcome.end, End::Exited(_) | End::Signaled(_))
        && !taken.ran().await
    {
        // It died before any of the plugin's code had the call: nothing happened yet.
        tracing::warn!(
            call = invocation.call,
            "the process that was to take a call died before it did; another is started"
        );
        let leader = spawn(spawner, &invocation)?;
        return see_through(leader, &invocation, live, &before, cancel, ending, grace).await;
    }
    Ok(outcome)
}

async fn see_through(
    mut leader: Leader<'_>,
    invocation: &Invocation,
    live: &Live,
    before: &HashSet<Pid>,
    cancel: &CancellationToken,
    ending: &CancellationToken,
    grace: Duration,
) -> io::Result<Outcome> {
    let began = Instant::now();
    let exited = watch(pidfd_open(leader.pid, PidfdFlags::empty())?)?;
    let pipes = leader.pipes.take().expect("the pipes are taken once");
    let mut reader = Reader::new(&pipes, invocation, live)?;
    drop((pipes.stdout, pipes.stderr));
    // Fed beside the reading, so that a program that answers before it has read all cannot block us.
    let feed = feed(pipes.stdin, invocation.stdin.as_deref());
    tokio::pin!(feed);
    let mut fed = false;
    let end = loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break Some(End::Cancelled),
            () = ending.cancelled() => break Some(End::Cancelled),
            () = after(began, invocation.timeout) => break Some(End::TimedOut),
            ready = exited.readable() => {
                drop(ready?);
                break None;
            }
            flooded = reader.read(), if reader.open() => if flooded { break Some(End::Flooded) },
            () = &mut feed, if !fed => fed = true,
        }
    };
    if end.is_some() {
        end_all(&leader, invocation, before, &mut reader, &exited, grace).await;
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
    Ok(Outcome { end, stdout, stderr, ran: began.elapsed(), spilled })
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

fn launch_failure(status: ExitStatus, stderr: &Captured) -> Option<io::Error> {
    if status.code() != Some(launch::FAILED_STATUS) {
        return None;
    }
    let said = stderr.clone().into_text();
    said.strip_prefix(launch::FAILED).map(|reason| io::Error::other(reason.trim_end().to_owned()))
}
