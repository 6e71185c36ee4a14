//! Ends whatever descends from us: as their reaper, we get every process that its parent left.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Nobody that is killed takes longer, but for one that waits for a device.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// Kills and reaps until none is left.
pub(super) async fn end_all() {
    let since = Instant::now();
    loop {
        let left = descendants(rustix::process::getpid().as_raw_nonzero().get(), &parents());
        if left.is_empty() || since.elapsed() > PATIENCE {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // It may be gone by now, and another waits for it too.
            let _gone = kill_process(pid, Signal::KILL);
            let _reaped = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Each process with its parent, the dead that nobody has reaped among them.
fn parents() -> HashMap<i32, i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| {
        Some((pid, parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
    })
    .collect()
}

/// Reads the parent in a line of `/proc/PID/stat`, behind a name that may hold anything.
fn parent(line: &str) -> Option<i32> {
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn descendants(of: i32, parents: &HashMap<i32, i32>) -> Vec<i32> {
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(pid, known)| **known == parent && !found.contains(pid));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        next += 1;
    }
    found.remove(0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_descends_from_us_is_found_and_nobody_else() {
        // 1 ─ 10 ─ 20 ─ 30; 1 ─ 40; a ring.
        let parents = HashMap::from([(10, 1), (20, 10), (30, 20), (40, 1), (7, 8), (8, 7)]);
        assert_eq!(descendants(10, &parents), [20, 30]);
        assert!(descendants(40, &parents).is_empty());
        assert_eq!(descendants(7, &parents), [8]);
        assert_eq!(parent("30 (a) b) S 20 30 30 0"), Some(20));
        assert_eq!(parent("30 (a"), None);
    }
}
