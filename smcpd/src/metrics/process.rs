//! The figures of the daemon's own process, as the kernel shows them.

/// What is known of the process; 0 where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// Bytes.
    pub(super) resident: usize,
    pub(super) descriptors: usize,
}

pub(super) fn read() -> Figures {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // The one that lists the directory is among them.
    let descriptors =
        std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1));
    Figures { resident: resident(&status), descriptors }
}

/// `VmRSS` of `/proc/self/status`, which is in kilobytes.
fn resident(status: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok());
    number.unwrap_or_default().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_read_in_bytes() {
        assert_eq!(resident("Name:\tsmcpd\nVmRSS:\t    9312 kB\nThreads:\t4\n"), 9312 * 1024);
        assert_eq!(resident("VmRSS:\tmuch\n"), 0);
    }
}
