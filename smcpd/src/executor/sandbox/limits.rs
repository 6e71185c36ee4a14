//! Bounds on what each process takes.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::SandboxError;
use crate::config::Limits;

/// The kernel, when it runs out of memory, ends a plugin's process before the daemon.
const OUT_OF_MEMORY: &str = "500";

pub(super) fn confine(limits: &Limits) -> Result<(), SandboxError> {
    let bounds = [
        (Resource::As, limits.memory, "memory"),
        (Resource::Cpu, limits.cpu, "processor time"),
        (Resource::Nofile, limits.files, "open files"),
        (Resource::Nproc, limits.processes, "processes"),
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
