//! Runs programs and ends them: an [`Invocation`] in, an [`Outcome`] out. It has never heard of a tool.
//!
//! `lanes` decides which call may run and which waits; `spawner` starts processes and knows them; `process` sees one
//! program through to its end, and `pipes` what it says meanwhile; `capture` keeps what is read within a limit, `spill` the
//! whole of it; `warm` keeps processes ready; `descendants` finds the processes of a call that moved away; `live` shows a
//! call from outside while it runs; `groups` holds all processes of a plugin together, where the unit lets it; `orphans` reaps what outlives its call; `launch` is the step between the daemon and
//! the program, in the child, and `sandbox` what is put on there; `confine` is that for a program which is no plugin.
//!
//! A program runs in a task of the executor's own. Dropping the future of [`Executor::run`] (the client went
//! away) ends the program like a cancel; the task stays until nothing of the call is left.

mod capture;
pub(crate) mod confine;
mod descendants;
mod groups;
mod lanes;
pub(crate) mod launch;
mod live;
mod orphans;
mod pipes;
mod process;
pub(crate) mod sandbox;
mod spawner;
mod spill;
mod starters;
mod warm;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use capture::Captured;
pub(crate) use groups::{Group, GroupFigures};
pub(crate) use lanes::{Admission, Counts, LaneCounts, Queue};
use lanes::{Lanes, Refused};
pub(crate) use live::{Live, Sign};
use process::Run;
use sandbox::Sandbox;
use spawner::Spawner;
pub(crate) use spill::Spilled;
pub(crate) use warm::{CALL_VARIABLES, Start, Warm, WarmLimits, WarmState};
use warm::{Post, Workers};

use crate::heavy;
use crate::pulse::Heart;
use crate::redact::{Net, Redactor};

/// One program to run. Its environment may hold secrets, and is not shown.
#[derive(Clone)]
pub(crate) struct Invocation {
    /// Names the call in logs, and marks its processes (`SMCP_CALL_ID`) so that they are found wherever they go.
    pub(crate) call: String,
    pub(crate) program: PathBuf,
    /// What follows the program's own name.
    pub(crate) argv: Vec<OsString>,
    /// The whole environment; nothing else is inherited.
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) directory: PathBuf,
    pub(crate) stdin: Option<Vec<u8>>,
    /// How long it may run, waiting not counted.
    pub(crate) timeout: Option<Duration>,
    pub(crate) output: OutputLimit,
    /// Where the whole of a longer stdout goes; nowhere without.
    pub(crate) spill: Option<PathBuf>,
    /// How it may be run by a process that is up already.
    pub(crate) warm: Option<Arc<Warm>>,
    /// What it is held to; nothing where the operator wants that.
    pub(crate) sandbox: Option<Arc<Sandbox>>,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Invocation");
        shown.field("call", &self.call).field("program", &self.program).field("argv", &self.argv);
        shown.finish_non_exhaustive()
    }
}

/// How much of each pipe is kept, and how much may pass at all before the program is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutputLimit {
    pub(crate) keep: usize,
    pub(crate) ceiling: u64,
}

/// How a program came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    /// A signal that was not ours.
    Signaled(i32),
    TimedOut,
    Cancelled,
    /// It passed [`OutputLimit::ceiling`], and was ended where it had not exited by then.
    Flooded,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
    pub(crate) ran: Duration,
    /// The whole of stdout, where more came than was kept.
    pub(crate) spilled: Option<Spilled>,
}

impl Outcome {
    /// Bytes of its output that were kept.
    pub(crate) fn kept(&self) -> usize {
        self.stdout.kept() + self.stderr.kept()
    }
}

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{waiting} calls are already waiting")]
    QueueFull { waiting: usize },
    #[error("{waiting} calls of this caller are already waiting")]
    CallerQueueFull { waiting: usize },
    #[error("the daemon is stopping")]
    Stopping,
    #[error("cancelled while waiting for its turn")]
    CancelledWaiting,
    #[error("cannot start `{}`", program.display())]
    Spawn { program: PathBuf, source: std::io::Error },
    /// A fault of ours, which the log has.
    #[error("the daemon lost the call")]
    Lost,
}

/// Limits that hold for the whole executor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_concurrent: NonZeroUsize,
    pub(crate) queue: Queue,
    pub(crate) grace: Duration,
    pub(crate) warm: WarmLimits,
}

/// Runs programs; clones share one set of lanes.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    lanes: Arc<Lanes>,
    spawner: Arc<Spawner>,
    workers: Arc<Workers>,
    tasks: TaskTracker,
    ending: CancellationToken,
    grace: Arc<Mutex<Duration>>,
    net: Net,
}

/// How often one who waits, and is watched, looks how many come before.
const LOOK: Duration = Duration::from_millis(500);
/// How often warm workers are looked through.
const SWEEP: Duration = Duration::from_secs(5);

impl Executor {
    /// Makes this process the reaper of every process that its programs leave behind.
    ///
    /// What `net` takes out is in nothing that programs say on stderr. Call it inside the runtime: the reaping task lives until [`Executor::stop`] has returned.
    pub(crate) fn start(limits: Limits, net: Net, heart: Heart) -> std::io::Result<Self> {
        let spawner = Arc::new(Spawner::new()?);
        let executor = Self {
            lanes: Arc::new(Lanes::new(limits.max_concurrent, limits.queue)),
            spawner: Arc::clone(&spawner),
            workers: Arc::new(Workers::new(Arc::clone(&spawner), limits.warm)),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            grace: Arc::new(Mutex::new(limits.grace)),
            net,
        };
        let ended = executor.ending.clone();
        let tasks = executor.tasks.clone();
        executor.tasks.spawn(async move { orphans::reap(&spawner, &ended, &tasks, heart).await });
        executor.tasks.spawn(executor.clone().tend());
        Ok(executor)
    }

    /// Waits for the call's turn in its lane, then runs it to its end.
    ///
    /// `cancel` ends it wherever it is; so does dropping the returned future.
    pub(crate) async fn run(
        &self,
        admission: Admission,
        invocation: Invocation,
        live: Arc<Live>,
        cancel: &CancellationToken,
    ) -> Result<Outcome, RunError> {
        let ticket = self.lanes.enter(admission).map_err(|refused| match refused {
            Refused::Full { waiting } => RunError::QueueFull { waiting },
            Refused::CallerFull { waiting } => RunError::CallerQueueFull { waiting },
            Refused::Closed => RunError::Stopping,
        })?;
        tokio::pin!(ticket);
        let mut ahead = 0;
        // Whoever waits but a moment, such as for the process before it to be gone, hears nothing of it.
        let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        let turn = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(RunError::CancelledWaiting),
                () = self.ending.cancelled() => return Err(RunError::Stopping),
                turn = ticket.as_mut() => break turn,
                _ = look.tick(), if live.is_watched() => {
                    let now = ticket.ahead();
                    if now != ahead {
                        ahead = now;
                        live.wait(ahead);
                    }
                }
            }
        };
        live.start();
        self.run_now(invocation, live, cancel, Some(turn)).await
    }

    /// Runs a program outside of any lane: for probes, which their caller bounds.
    pub(crate) async fn probe(
        &self,
        invocation: Invocation,
        cancel: &CancellationToken,
    ) -> Result<Outcome, RunError> {
        if self.ending.is_cancelled() {
            return Err(RunError::Stopping);
        }
        let outcome = self.run_now(invocation, Arc::default(), cancel, None).await?;
        // What it offers is read out of this, and what is wrong with it is logged.
        let stdout = without(outcome.stdout, self.net.redactor()).await;
        Ok(Outcome { stdout, ..outcome })
    }

    async fn run_now(
        &self,
        invocation: Invocation,
        live: Arc<Live>,
        cancel: &CancellationToken,
        turn: Option<lanes::Turn>,
    ) -> Result<Outcome, RunError> {
        let cancel = cancel.child_token();
        // Dropped with this future, whether it finished or the caller lost interest.
        let _abandoned = cancel.clone().drop_guard();
        let (program, warm) = (invocation.program.clone(), invocation.warm.clone());
        let workers = Arc::clone(&self.workers);
        let (ending, grace) = (self.ending.clone(), self.grace());
        let redactor = self.net.redactor();
        live.take_out(Arc::clone(&redactor));
        let (sender, receiver) = oneshot::channel();
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            let began = |how, invocation: &Invocation| {
                if let (Start::Cold, Some(_), Some(post)) = (how, &turn, Post::of(invocation)) {
                    let (workers, ending, warm) =
                        (Arc::clone(&workers), ending.clone(), invocation.warm.clone());
                    // Beside the call, which takes longer.
                    tasks
                        .spawn(async move { workers.replace_launcher(post, warm.as_deref(), &ending).await });
                }
            };
            let told = |outcome| {
                let _unless_abandoned = sender.send(outcome);
            };
            let run = Run { live: &live, cancel: &cancel, ending: &ending, grace };
            process::run(&workers, invocation, run, began, told).await;
            // The lane is free only when nothing of the call is left.
            drop(turn);
            if let Some(warm) = warm {
                // Whoever waits for the outcome was woken on this thread, and comes first.
                tokio::task::yield_now().await;
                workers.stock(&warm, &ending).await;
            }
        });
        match receiver.await {
            Ok(Ok(outcome)) => Ok(Outcome { stderr: without(outcome.stderr, redactor).await, ..outcome }),
            Ok(Err(source)) => Err(RunError::Spawn { program, source }),
            Err(_) => Err(RunError::Lost),
        }
    }

    /// Holds from now on; what runs and waits already is left alone.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.lanes.set_limits(limits.max_concurrent, limits.queue);
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = limits.grace;
        self.workers.set_limits(limits.warm);
    }

    /// Lets warm workers go that are old, and makes those again that are wanted.
    async fn tend(self) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                () = self.ending.cancelled() => break,
                _ = sweep.tick() => {}
            }
            self.spawner.end_stuck(starters::LONG * starters::PATIENCE);
            for warm in self.workers.sweep() {
                self.stock(warm);
            }
        }
        self.workers.clear();
    }

    /// Makes a plugin warm before its first call.
    pub(crate) fn warm_up(&self, warm: Arc<Warm>) {
        self.workers.expect(&warm);
        self.stock(warm);
    }

    /// Makes it warm, and returns whether it is.
    pub(crate) async fn warm_up_now(&self, warm: &Arc<Warm>) -> bool {
        self.workers.expect(warm);
        self.workers.stock(warm, &self.ending).await;
        self.workers.state(&warm.name).is_some_and(|state| state.parent)
    }

    /// Keeps nothing of it any more; who has taken a call goes on.
    pub(crate) fn let_go(&self, name: &str) {
        self.workers.let_go(name);
    }

    fn stock(&self, warm: Arc<Warm>) {
        let (workers, ending) = (Arc::clone(&self.workers), self.ending.clone());
        self.tasks.spawn(async move { workers.stock(&warm, &ending).await });
    }

    /// What is kept of a plugin; nothing where it was not called lately.
    pub(crate) fn warm_state(&self, plugin: &str) -> Option<WarmState> {
        self.workers.state(plugin)
    }

    /// What all processes of a plugin take together; nothing where it has no group, or nothing of it ran yet.
    pub(crate) fn group_figures(&self, plugin: &str) -> Option<GroupFigures> {
        self.spawner.groups()?.figures(plugin)
    }

    /// Whether plugins have groups.
    pub(crate) fn has_groups(&self) -> bool {
        self.spawner.groups().is_some()
    }

    /// Parents, spares and launchers that wait.
    pub(crate) fn warm_counts(&self) -> [usize; 3] {
        self.workers.counts()
    }

    fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every lane in which something runs or waits.
    pub(crate) fn lanes(&self) -> Vec<LaneCounts> {
        self.lanes.each()
    }

    /// How many programs run, probes among them.
    pub(crate) fn processes(&self) -> usize {
        self.spawner.count()
    }

    /// How many calls run and wait.
    pub(crate) fn counts(&self) -> Counts {
        self.lanes.counts()
    }

    /// Refuses new calls, lets running ones finish until `deadline`, then ends what is left and waits for it.
    pub(crate) async fn stop(&self, deadline: Instant, now: impl Future<Output = ()>) {
        self.lanes.close();
        tokio::select! {
            () = self.lanes.idle() => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = now => {}
        }
        self.ending.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // Nobody waits for any start now.
        self.spawner.end_stuck(Duration::ZERO);
    }
}

/// What was kept, without the values of secrets.
async fn without(captured: Captured, redactor: Arc<Redactor>) -> Captured {
    heavy::with(captured.kept(), move || captured.without(&redactor)).await
}

#[cfg(test)]
mod tests;
