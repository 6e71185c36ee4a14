//! Finds the processes of a call wherever they moved: into sessions of their own, or to another parent.
//!
//! A process belongs to a call when it carries the call's `SMCP_CALL_ID`, descends from one that does, or
//! shares the process group that the call was started in. Only a process that cleared its environment *and*
//! lost its parent before the call was ended can slip through; a cgroup holds that one.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The variable that marks a call's processes.
pub(super) const MARK: &str = "SMCP_CALL_ID";

/// One process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// Ticks since boot: with the pid it names a process for good.
    started: u64,
    dead: bool,
}

/// Everything that was ever seen of one call.
#[derive(Debug)]
pub(super) struct Descendants {
    leader: i32,
    mark: Vec<u8>,
    seen: HashSet<(i32, u64)>,
}

impl Descendants {
    pub(super) fn of(leader: Pid, call: &str) -> Self {
        let mark = format!("{MARK}={call}").into_bytes();
        Self { leader: leader.as_raw_nonzero().get(), mark, seen: HashSet::new() }
    }

    /// Looks around once, so that a process that loses its parent later is still known.
    pub(super) fn look(&mut self) {
        self.find(&processes());
    }

    /// Kills what is left of the call, the leader aside; returns how many it found alive.
    pub(super) fn kill(&mut self) -> usize {
        let found = self.find(&processes());
        for process in &found {
            kill(process);
        }
        found.len()
    }

    fn find(&mut self, all: &[Process]) -> Vec<Process> {
        let found = belonging(all, self.leader, &self.seen, |pid| is_marked(pid, &self.mark));
        self.seen.extend(found.iter().map(|process| (process.pid, process.started)));
        found
    }
}

/// Picks the living processes of a call out of `all`: the marked, the seen, those of the leader's group, and
/// whatever descends from one of them.
fn belonging(
    all: &[Process],
    leader: i32,
    seen: &HashSet<(i32, u64)>,
    marked: impl Fn(i32) -> bool,
) -> Vec<Process> {
    let ours = |process: &Process| {
        process.group == leader || seen.contains(&(process.pid, process.started)) || marked(process.pid)
    };
    let mut pids = HashSet::from([leader]);
    let mut found = Vec::new();
    let mut rest: Vec<&Process> =
        all.iter().filter(|process| process.pid != leader && process.pid != 1).collect();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    rest.retain(|process| process.pid != own);
    let mut first = true;
    loop {
        let (more, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|process| pids.contains(&process.parent) || (first && ours(process)));
        if more.is_empty() {
            break;
        }
        first = false;
        pids.extend(more.iter().map(|process| process.pid));
        found.extend(more.into_iter().filter(|process| !process.dead).cloned());
        rest = others;
    }
    found
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// Reads a line of `/proc/PID/stat`; the name in it may hold anything, so fields are counted from its last `)`.
fn parse(pid: i32, line: &str) -> Option<Process> {
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, parent, group, started, dead: matches!(state, "Z" | "X") })
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == mark))
}

/// Kills exactly this process: a pid that was taken again by another one is left alone.
fn kill(process: &Process) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let now = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok();
    if now.and_then(|line| parse(process.pid, &line)).is_some_and(|now| now.started == process.started) {
        // Gone already is as good.
        let _gone = pidfd_send_signal(&handle, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32) -> Process {
        Process { pid, parent, group, started: 7, dead: false }
    }

    #[test]
    fn a_call_owns_its_tree_its_group_its_marked_and_whom_it_was_seen_with() {
        let all = [
            process(1, 0, 1),
            process(10, 5, 10),  // the leader
            process(11, 10, 10), // its child
            process(12, 11, 12), // a grandchild in a session of its own
            process(13, 1, 10),  // lost its parent, still in the group
            process(14, 1, 14),  // lost its parent, marked
            process(15, 14, 15), // a child of that one
            process(16, 1, 16),  // lost its parent, seen before
            process(17, 1, 17),  // another with the pid of one seen before
            process(18, 1, 18),  // a stranger
            Process { dead: true, ..process(19, 10, 10) },
        ];
        let seen = HashSet::from([(16, 7), (17, 6)]);
        let mut pids: Vec<i32> =
            belonging(&all, 10, &seen, |pid| pid == 14).iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn a_stat_line_is_read_past_any_name_and_a_broken_one_is_nothing() {
        let rest = "S 4 5 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0";
        let expected = Process { pid: 3, parent: 4, group: 5, started: 12345, dead: false };
        for name in ["cat", "a b) R 9 9", ")", ""] {
            assert_eq!(parse(3, &format!("3 ({name}) {rest}")), Some(expected.clone()), "{name}");
        }
        for line in ["", "3 (cat", "3 (cat)", "3 (cat) S", "3 (cat) S a b c", "3 (cat) S 4 5 6"] {
            assert_eq!(parse(3, line), None, "{line}");
        }
    }
}
