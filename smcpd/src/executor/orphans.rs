//! Reaps the processes that outlived their call and became the daemon's children.
//!
//! The daemon is a child subreaper, so every such process ends up here. Leaders of calls are left alone: their
//! own task reaps them, and only after their group was ended.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, getpgid, waitid, waitpid};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::spawner::Spawner;
use crate::pulse::Heart;

/// How long after a program's end its children are given to end too.
const SETTLE: Duration = Duration::from_millis(50);
/// How long those who died may lie there.
const LATEST: Duration = Duration::from_secs(5);

/// Sees who is dead, and leaves the reaping to somebody else.
const LOOK: WaitIdOptions = WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// Reaps until the executor ends and no call is left.
///
/// A handler of SIGCHLD would hear of each at once, and interrupt a thread that has something better to do just then: at
/// the end of a call. Whoever outlives its call waits for the next look, which is all that a dead process does.
pub(super) async fn reap(
    spawner: &Spawner,
    ending: &CancellationToken,
    calls: &TaskTracker,
    mut heart: Heart,
) {
    loop {
        tokio::select! {
            () = spawner.one_ended() => tokio::select! {
                () = tokio::time::sleep(SETTLE) => {}
                () = ending.cancelled() => {}
            },
            () = tokio::time::sleep(LATEST) => {}
            // Reaping takes the executor's locks: whoever answers after it has them.
            () = heart.beat() => {}
            () = ending.cancelled() => break,
        }
        spawner.reap_strangers();
    }
    // This task is one of those that are counted.
    while calls.len() > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        spawner.reap_strangers();
    }
}

/// Whether a child of this process is dead and nobody has reaped it yet.
pub(super) fn any_is_dead() -> bool {
    // To have no children at all is an error.
    matches!(waitid(WaitId::All, LOOK), Ok(Some(_)))
}

/// Whether it is a living child of this process and leads its own group.
pub(super) fn leads_and_lives(pid: Pid) -> bool {
    getpgid(Some(pid)) == Ok(pid) && matches!(waitid(WaitId::Pid(pid), LOOK), Ok(None))
}

/// Lists this process's children: of every thread, dead ones included.
pub(super) fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    threads
        .filter_map(|thread| thread.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .flat_map(children_of)
        .collect()
}

/// Lists the children of one thread.
pub(super) fn children_of(thread: Pid) -> Vec<Pid> {
    let path = format!("/proc/self/task/{}/children", thread.as_raw_nonzero());
    let listed = fs::read_to_string(path).unwrap_or_default();
    listed.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Reaps one child if it is dead.
pub(super) fn reap_one(pid: Pid) {
    // Alive, or not ours any more: both are fine.
    let _status = waitpid(Some(pid), WaitOptions::NOHANG);
}
