//! Who stands at the other end of a socket: somebody of the host, or a plugin's process.
//!
//! A user's own daemon and its plugins are one user, so that the socket's mode lets a plugin in. The tree of processes
//! tells them apart: the daemon is the reaper of all that its plugins leave behind, so each of their processes has it among
//! its ancestors.

/// Ancestors that are looked at: no tree of processes is deeper.
const DEEPEST: usize = 1_000;

/// Returns whether `pid`, of the user `uid`, is a process that a plugin started, or one that is gone, of which nobody can
/// tell. A plugin has the daemon's user and can take no other.
pub(super) fn is_a_plugins(pid: i32, uid: u32) -> bool {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    uid == rustix::process::geteuid().as_raw()
        && descends(pid, us, |pid| parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
}

fn descends(pid: i32, us: i32, parent: impl Fn(i32) -> Option<i32>) -> bool {
    let (mut below, mut at) = (pid, pid);
    for _ in 0..DEEPEST {
        if at == us {
            // The daemon itself asks itself whether it is alive.
            return pid != us;
        }
        match parent(at) {
            None if at == pid => return true,
            // Whoever lost its parent has another one by now. Where it has not, the parent is there, and somebody whom we
            // cannot see.
            None => match parent(below) {
                Some(found) if found == at => return false,
                _ => (below, at) = (pid, pid),
            },
            // The first process, or one whose parent is in another namespace.
            Some(0) => return false,
            Some(found) => (below, at) = (at, found),
        }
    }
    true
}

/// Reads the parent in a line of `/proc/PID/stat`, behind a name that may hold anything.
fn parent(line: &str) -> Option<i32> {
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_a_plugin_has_the_daemon_among_its_ancestors() {
        // 1 ─ 10 (the daemon) ─ 20 ─ 30; 1 ─ 40 ─ 50
        let parents = |pid| match pid {
            30 => Some(20),
            20 => Some(10),
            10 | 40 => Some(1),
            50 => Some(40),
            1 => Some(0),
            _ => None,
        };
        let cases = [(30, true), (20, true), (10, false), (50, false), (40, false), (1, false), (60, true)];
        for (pid, is_one) in cases {
            assert_eq!(descends(pid, 10, parents), is_one, "{pid}");
        }
        assert!(descends(7, 10, |_| Some(7)), "a ring is nobody's");
        // Another user's process, which cannot be seen, is no plugin's.
        assert!(!descends(70, 10, |pid| (pid == 70).then_some(80)));
    }

    #[test]
    fn a_parent_that_dies_while_it_is_looked_at_hides_nobody() {
        let looks = std::cell::Cell::new(0);
        let parents = |pid| match pid {
            30 => {
                looks.set(looks.get() + 1);
                Some(if looks.get() == 1 { 20 } else { 10 })
            }
            10 => Some(1),
            1 => Some(0),
            _ => None,
        };
        assert!(descends(30, 10, parents));
    }

    #[test]
    fn a_parent_is_read_past_any_name() {
        assert_eq!(parent("30 (a) b) S 20 30 30 0"), Some(20));
        assert_eq!(parent("30 (a"), None);
        assert_eq!(parent(""), None);
        assert_eq!(parent("30 (a) S x"), None);
    }
}
