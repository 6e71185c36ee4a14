//! Starts processes, and knows which of the daemon's children are somebody's.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper};
use tokio::sync::Notify;

use super::groups::Groups;
use super::sandbox::Sandbox;
use super::starters::Starters;
use super::{launch, orphans};

/// Starts programs, and knows which children are not to be reaped by whoever finds them dead.
#[derive(Debug)]
pub(super) struct Spawner {
    known: Mutex<Known>,
    /// Held for reading from the fork until the child is noted, and for writing while strangers are reaped.
    starting: RwLock<()>,
    /// Somebody has ended, and may have left children.
    ended: Notify,
    /// Where the unit lets plugins have groups.
    groups: Option<Groups>,
    starters: Starters,
}

#[derive(Debug, Default)]
struct Known {
    /// Leaders of calls.
    leaders: HashSet<Pid>,
    /// Those that wait for a call.
    kept: HashSet<Pid>,
}

impl Known {
    fn knows(&self, child: Pid) -> bool {
        self.leaders.contains(&child) || self.kept.contains(&child)
    }
}

/// What a child is started with.
pub(super) struct Program<'a, E> {
    pub(super) program: &'a Path,
    pub(super) argv: &'a [OsString],
    pub(super) environment: E,
    pub(super) directory: &'a Path,
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
    pub(super) sandbox: Option<&'a Sandbox>,
    /// Whether the launcher waits for its call on stdin, once it is held.
    pub(super) waits: bool,
}

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        let groups = Groups::take().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot use the control group that the unit delegates");
            None
        });
        let starters = Starters::new()?;
        Ok(Self {
            known: Mutex::default(),
            starting: RwLock::default(),
            ended: Notify::new(),
            groups,
            starters,
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// Who is in the group that a sandbox names.
    pub(super) fn members(&self, sandbox: Option<&Sandbox>) -> HashSet<Pid> {
        let group = sandbox.and_then(|sandbox| sandbox.group.as_ref());
        self.groups.as_ref().zip(group).map(|(groups, group)| groups.members(&group.name)).unwrap_or_default()
    }

    /// Kills what a call has left in its group; returns how many it found.
    ///
    /// Who was there before the call, and who waits for one, lives on. Where another call of the plugin runs, nobody can
    /// tell whose a process is: it is left to the one that ends last.
    pub(super) fn end_strangers(&self, sandbox: Option<&Sandbox>, call: Pid, before: &HashSet<Pid>) -> usize {
        let group = sandbox.and_then(|sandbox| sandbox.group.as_ref());
        let Some((groups, group)) = self.groups.as_ref().zip(group) else { return 0 };
        let members = groups.members(&group.name);
        let known = self.known();
        if known.leaders.iter().any(|leader| *leader != call && members.contains(leader)) {
            return 0;
        }
        let but = before.iter().chain(&known.kept).copied().filter(|pid| members.contains(pid)).collect();
        drop(known);
        groups.end(&group.name, &but)
    }

    /// The programs that run.
    pub(super) fn count(&self) -> usize {
        self.known().leaders.len()
    }

    /// Starts a program that is no call yet, as the leader of a group of its own; returns its ends of the pipes too.
    ///
    /// The launcher ties the child's life to the thread that started it. A child without a sandbox has no launcher: if the
    /// daemon is killed outright, only the unit's cgroup ends it.
    pub(super) async fn start<'a>(
        self: &Arc<Self>,
        program: Program<'_, impl Iterator<Item = &'a (OsString, OsString)>>,
    ) -> io::Result<(Kept, Child)> {
        let mut command = match program.sandbox {
            // Nothing is to be done in the child: no process is worth it.
            None => Command::new(program.program),
            Some(sandbox) => {
                let entrance = match self.groups.as_ref().zip(sandbox.group.as_ref()) {
                    Some((groups, group)) => groups.prepare(group)?,
                    None => PathBuf::new(),
                };
                let mut launcher = Command::new("/proc/self/exe");
                launcher
                    .arg0("smcpd")
                    .arg(if program.waits { launch::WAITING } else { launch::SUBCOMMAND })
                    .arg(std::process::id().to_string())
                    .arg(entrance)
                    .arg(serde_json::to_string(sandbox).map_err(io::Error::other)?)
                    .arg(program.program);
                launcher
            }
        };
        command
            .args(program.argv)
            .env_clear()
            .envs(program.environment.map(|(name, value)| (name, value)))
            .current_dir(program.directory)
            .stdin(program.stdin)
            .stdout(program.stdout)
            .stderr(program.stderr)
            .process_group(0);
        let spawner = Arc::clone(self);
        let what = (program.program.to_owned(), program.directory.to_owned());
        self.starters
            .have_done(what, move || {
                let noting = spawner.starting.read().unwrap_or_else(PoisonError::into_inner);
                let child = command.spawn()?;
                let pid = Pid::from_child(&child);
                spawner.known().kept.insert(pid);
                drop(noting);
                Ok((Kept { pid, spawner }, child))
            })
            .await
    }

    /// Ends what has been on its way to its program for so long: it holds all that the daemon has open, its port too.
    pub(super) fn end_stuck(&self, time: Duration) {
        for thread in self.starters.stuck(time) {
            for child in orphans::children_of(thread) {
                if !self.known().knows(child) {
                    // It is gone already, or dies as soon as it can be.
                    let _gone = kill_process(child, Signal::KILL);
                }
            }
        }
    }

    /// The leader was reaped.
    pub(super) fn forget(&self, pid: Pid) {
        self.known().leaders.remove(&pid);
    }

    /// Says that a program has ended, of which somebody may be left to be reaped.
    pub(super) fn tell_ended(&self) {
        self.ended.notify_one();
    }

    /// Waits until one has since the last time.
    pub(super) async fn one_ended(&self) {
        self.ended.notified().await;
    }

    /// Keeps a process that came to us as a child and leads its own group; nothing where it is none.
    pub(super) fn keep(self: &Arc<Self>, pid: Pid) -> Option<Kept> {
        // Nobody is reaped meanwhile, so that the number stays its own.
        let _noting = self.starting.read().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.known();
        let ours = !known.leaders.contains(&pid) && orphans::leads_and_lives(pid);
        (ours && known.kept.insert(pid)).then(|| Kept { pid, spawner: Arc::clone(self) })
    }

    /// Reaps dead children that nobody knows. Where a program is being started just then, who is dead waits for the next
    /// time, and not a thread for the start.
    pub(super) fn reap_strangers(&self) {
        // Who comes for a beat of the heart is to have had the lock that everybody needs.
        drop(self.known());
        // Mostly whoever died was a call's, and is reaped by now.
        if !orphans::any_is_dead() {
            return;
        }
        let _none_starting = match self.starting.try_write() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return self.tell_ended(),
        };
        for child in orphans::children() {
            if !self.known().knows(child) {
                orphans::reap_one(child);
            }
        }
    }
}

/// A process that is no call yet. Dropping it kills it with its group, and leaves it to be reaped.
#[derive(Debug)]
pub(super) struct Kept {
    pid: Pid,
    spawner: Arc<Spawner>,
}

impl Kept {
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Makes it the leader of a call.
    pub(super) fn promote(self) -> Pid {
        let mut known = self.spawner.known();
        known.kept.remove(&self.pid);
        known.leaders.insert(self.pid);
        drop(known);
        self.pid
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut known = self.spawner.known();
        if known.kept.contains(&self.pid) {
            // A group whose every member is gone is as good as killed.
            let _gone = kill_process_group(self.pid, Signal::KILL);
            known.kept.remove(&self.pid);
            self.spawner.tell_ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[tokio::test]
    async fn who_is_dead_waits_for_a_start_and_nobody_else_does() {
        let spawner = Arc::new(Spawner::new().unwrap());
        let reap = || {
            let (spawner, (done, is_done)) = (Arc::clone(&spawner), mpsc::channel());
            thread::spawn(move || {
                spawner.reap_strangers();
                done.send(())
            });
            is_done.recv_timeout(Duration::from_secs(10))
        };
        let dead = Pid::from_child(&Command::new("/bin/true").spawn().unwrap());
        let status = |options| waitid(WaitId::Pid(dead), WaitIdOptions::EXITED | options);
        assert!(status(WaitIdOptions::NOWAIT).unwrap().is_some());
        let starting = spawner.starting.read().unwrap();
        let reaped = reap();
        drop(starting);
        assert_eq!(reaped, Ok(()), "it waited for the start");
        // It is told to come again, and finds it there.
        tokio::time::timeout(Duration::from_secs(10), spawner.one_ended()).await.unwrap();
        assert!(status(WaitIdOptions::NOWAIT).unwrap().is_some());
        reap().unwrap();
        assert_eq!(status(WaitIdOptions::NOHANG).unwrap_err(), rustix::io::Errno::CHILD);
    }
}
