//! What `/proc` says of processes: who lives, who descends from whom, what they hold.

use std::collections::HashMap;
use std::fs;

/// Whether a process lives; one that only waits to be reaped does not.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(_, state)| state != 'Z' && state != 'X')
}

fn stat(pid: u32) -> Option<(u32, char)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("there is /proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Every process below `pid`, those that wait to be reaped included.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: HashMap<u32, u32> = all().into_iter().filter_map(|pid| Some((pid, stat(pid)?.0))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, known)| **known == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// What warm workers have in their environment until they get a call.
const PLACEHOLDER: [u8; 64] = [b'.'; 64];

/// Every process below `pid` that is at work: not those that wait for a call.
pub fn working(pid: u32) -> Vec<u32> {
    let waits = |pid: &u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.windows(PLACEHOLDER.len()).any(|found| found == PLACEHOLDER))
    };
    descendants(pid).into_iter().filter(|pid| !waits(pid)).collect()
}

/// Every living process that has `NAME=VALUE` in its environment.
pub fn marked(variable: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
    };
    all().into_iter().filter(|pid| is_alive(*pid) && has(pid)).collect()
}

/// The number of descriptors that a process holds.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

/// Resident memory in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
}
