//! The figures of the daemon's own process, as the kernel shows them.

/// What is known of the process; 0 where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// Seconds of all processors, in the kernel and outside.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) resident: usize,
    pub(super) descriptors: usize,
}

pub(super) fn read() -> Figures {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    // The one that lists the directory is among them.
    let descriptors =
        std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a daemon is not busy for millions of years")]
    let cpu = ticks(&stat) as f64 / rustix::param::clock_ticks_per_second() as f64;
    Figures { cpu, resident: resident(&status), descriptors }
}

/// `utime` and `stime` of `/proc/self/stat`, the 12th and 13th behind the name, which may have blanks in it.
fn ticks(stat: &str) -> u64 {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_whitespace().skip(11).take(2).filter_map(|number| number.parse::<u64>().ok()).sum()
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
    fn the_time_on_processors_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 21 4 0 0 20 0 3 0 1 2 3";
        assert_eq!((ticks(stat), ticks("")), (25, 0));
    }

    #[test]
    fn the_resident_memory_is_read_in_bytes() {
        assert_eq!(resident("Name:\tsmcpd\nVmRSS:\t    9312 kB\nThreads:\t4\n"), 9312 * 1024);
        assert_eq!(resident("VmRSS:\tmuch\n"), 0);
    }
}
