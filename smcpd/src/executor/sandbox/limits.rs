//! Bounds on what each process takes.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::SandboxError;
use crate::config::Limits;

/// The kernel, when it runs out of memory, ends a plugin's process before the daemon.
const OUT_OF_MEMORY: &str = "500";

pub(super) fn confine(limits: &Limits) -> Result<(), SandboxError> {
    let more = limits.more_processes.map(|more| running() + more);
    let bounds = [
        (Resource::As, limits.memory, "memory"),
        (Resource::Data, limits.data, "memory of its own"),
        (Resource::Cpu, limits.cpu, "processor time"),
        (Resource::Nofile, limits.files, "open files"),
        (Resource::Nproc, limits.processes.or(more), "processes"),
        (Resource::Fsize, limits.file_size, "the size of a file"),
        // A core holds what the process had in memory, its secrets among it.
        (Resource::Core, Some(0), "cores"),
    ];
    for (resource, bound, name) in bounds {
        let Some(bound) = bound else { continue };
        // What the daemon itself is held to cannot be widened.
        let most = getrlimit(resource).maximum.map_or(bound, |most| most.min(bound));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| SandboxError::Limit(name, error.into()))?;
    }
    // A container may forbid it; the plugin is then as likely to be ended as the daemon.
    let _forbidden = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY);
    Ok(())
}

/// Processes and threads of the whole machine: at least as many as the user has, whose number nobody says.
fn running() -> u64 {
    // A field of 16 bits; the file has them all, where it can be seen.
    let counted = u64::from(rustix::system::sysinfo().procs);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let told = load.split(' ').nth(3).and_then(|field| field.split_once('/')?.1.parse().ok());
    counted.max(told.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_runs_is_counted_with_this_test_among_it() {
        assert!(super::running() > 1);
    }
}
