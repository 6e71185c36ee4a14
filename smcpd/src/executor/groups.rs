//! A control group for each plugin, where the unit delegates one: ceilings for all of a plugin's processes together, their
//! figures, and an end that nothing slips away from.
//!
//! The kernel lets processes be in leaves alone, so the daemon moves itself into a leaf of its own, and makes another for
//! each plugin beside it. A process enters as the launcher, before anything holds it, and all that it starts is in there
//! too: moving one later takes the kernel longer than a warm call. What the unit does not delegate, such as the processors,
//! is left out.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// The daemon's own leaf, and what the leaves of plugins begin with.
const OWN: &str = "daemon";
const PLUGIN: &str = "plugin-";
/// What systemd marks a group with that is for its processes to divide.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The group that a plugin's processes are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// Bytes of memory of all its processes together.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
    /// Its share of busy processors, beside others that have 100.
    pub(crate) weight: u64,
}

/// What the kernel says of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct GroupFigures {
    pub(crate) processes: usize,
    /// `None` where nobody counts it.
    pub(crate) memory: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
}

/// The groups of this daemon.
#[derive(Debug)]
pub(super) struct Groups {
    place: PathBuf,
}

impl Groups {
    /// Takes the group that was delegated to this process; `None` where none was.
    pub(super) fn take() -> io::Result<Option<Self>> {
        let Some(place) = delegated() else { return Ok(None) };
        let own = place.join(OWN);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::write(own.join("cgroup.procs"), "0")?;
        for controller in CONTROLLERS {
            // What is not delegated cannot be had.
            let _lacking = fs::write(place.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        Ok(Some(Self { place }))
    }

    fn of(&self, name: &str) -> PathBuf {
        self.place.join(format!("{PLUGIN}{name}"))
    }

    /// Makes a plugin's group and sets its ceilings; returns the file that a process enters by.
    pub(super) fn prepare(&self, group: &Group) -> io::Result<PathBuf> {
        let place = self.of(&group.name);
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let ceilings = [
            ("memory.max", group.memory),
            ("pids.max", group.processes),
            ("cpu.weight", group.weight.clamp(1, 10_000)),
        ];
        for (file, value) in ceilings {
            let file = place.join(file);
            // Without its controller there is no such file.
            if file.exists() {
                fs::write(file, value.to_string())?;
            }
        }
        Ok(place.join("cgroup.procs"))
    }

    /// Who is in a plugin's group.
    pub(super) fn members(&self, name: &str) -> HashSet<Pid> {
        let told = fs::read_to_string(self.of(name).join("cgroup.procs")).unwrap_or_default();
        told.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()
    }

    /// Kills all of a plugin's processes but these; returns how many there were.
    ///
    /// Where none is to live the kernel does it at once. Else the group stands still meanwhile, so that nobody forks.
    pub(super) fn end(&self, name: &str, but: &HashSet<Pid>) -> usize {
        let place = self.of(name);
        let found = self.members(name);
        let strangers = found.difference(but).count();
        if strangers == 0 {
            return 0;
        }
        if strangers == found.len() && fs::write(place.join("cgroup.kill"), "1").is_ok() {
            return strangers;
        }
        let freeze = |how| fs::write(place.join("cgroup.freeze"), how);
        // A kernel that cannot lets them run while they are killed.
        let _unfrozen = freeze("1");
        for stranger in self.members(name).difference(but) {
            // Gone already is as good.
            let _gone = kill_process(*stranger, Signal::KILL);
        }
        let _unfrozen = freeze("0");
        strangers
    }

    /// The figures of a plugin; `None` where nothing of it ran yet.
    pub(super) fn figures(&self, name: &str) -> Option<GroupFigures> {
        let place = self.of(name);
        let read = |file: &str| fs::read_to_string(place.join(file)).ok();
        read("cgroup.procs")?;
        let usage = read("cpu.stat").and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
            line.parse::<u32>().map(f64::from).or_else(|_| line.parse::<f64>()).ok()
        });
        Some(GroupFigures {
            processes: self.members(name).len(),
            memory: read("memory.current").and_then(|text| text.trim().parse().ok()),
            cpu_seconds: usage.map(|microseconds| microseconds / 1e6),
        })
    }
}

/// Enters a group; for the launcher.
pub(super) fn enter(procs: &Path) -> io::Result<()> {
    fs::write(procs, "0")
}

/// The group that is this process's to divide, if any: the one that it is in, or, where it was moved to its leaf before, the
/// one above.
fn delegated() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = place(&groups, &mounts)?;
    let above = own.parent().filter(|_| own.file_name().is_some_and(|name| name == OWN));
    let found = [Some(own.as_path()), above].into_iter().flatten().find(|place| is_delegated(place));
    found.map(Path::to_owned)
}

fn is_delegated(place: &Path) -> bool {
    let mut value = [0u8; 8];
    DELEGATED.iter().any(|name| {
        rustix::fs::getxattr(place, *name, &mut value[..]).is_ok_and(|length| value[..length] == *b"1")
    })
}

/// Where in the file system a process's group of version 2 is.
fn place(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        (after.split(' ').next() == Some("cgroup2")).then(|| Path::new(at).join(below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_below_where_its_tree_is_mounted() {
        let v2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let hybrid = "33 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n31 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let inner = "29 23 0:26 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let cases = [
            ("0::/system.slice/smcpd.service\n", v2, Some("/sys/fs/cgroup/system.slice/smcpd.service")),
            ("8:pids:/\n0::/a\n", hybrid, Some("/sys/fs/cgroup/unified/a")),
            ("0::/outer/unit\n", inner, Some("/sys/fs/cgroup/unit")),
            ("0::/elsewhere\n", inner, None),
            ("8:pids:/\n", v2, None),
            ("0::/a\n", "", None),
        ];
        for (groups, mounts, expected) in cases {
            assert_eq!(place(groups, mounts).as_deref(), expected.map(Path::new), "{groups} {mounts}");
        }
    }

    #[test]
    fn ceilings_are_written_where_the_kernel_has_a_file_for_them() {
        let tree = tempfile::tempdir().unwrap();
        let groups = Groups { place: tree.path().to_owned() };
        let group = Group { name: "notes".to_owned(), memory: 1 << 30, processes: 64, weight: 0 };
        let place = tree.path().join("plugin-notes");
        assert_eq!(groups.prepare(&group).unwrap(), place.join("cgroup.procs"));
        assert!(!place.join("memory.max").exists());
        for file in ["memory.max", "pids.max", "cpu.weight"] {
            fs::write(place.join(file), "max").unwrap();
        }
        groups.prepare(&group).unwrap();
        let written = ["memory.max", "pids.max", "cpu.weight"]
            .map(|file| fs::read_to_string(place.join(file)).unwrap());
        assert_eq!(written, ["1073741824", "64", "1"]);
        assert_eq!(groups.figures("notes"), None);
        fs::write(place.join("cgroup.procs"), "7\n8\n").unwrap();
        fs::write(place.join("memory.current"), "4096\n").unwrap();
        fs::write(place.join("cpu.stat"), "usage_usec 1500000\nuser_usec 1\n").unwrap();
        let expected = GroupFigures { processes: 2, memory: Some(4096), cpu_seconds: Some(1.5) };
        assert_eq!(groups.figures("notes"), Some(expected));
    }
}
