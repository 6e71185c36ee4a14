//! What the processes of one plugin are held to: what the operator grants, around what is the plugin's own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::config::{self, Config, FILE_SIZE, FILES, Limits, PART_OF_MEMORY, PROCESSES, SandboxMode, WEIGHT};
use crate::executor::Group;
use crate::executor::sandbox::{Files, Sandbox};

/// Where every program expects to write.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// What only root can read. A daemon that is root would hand it on.
const ROOTS_OWN: [&str; 9] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/etc/ssl/private",
    "/run/credentials",
    "/root/.ssh",
];
/// A plugin's sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// `None`: the operator wants none.
    sandbox: Option<Arc<Sandbox>>,
    /// Nothing is granted to this plugin alone.
    is_usual: bool,
}

impl Confinement {
    /// `directory` holds the plugin's code, and `state` is where it runs.
    pub(super) fn choose(config: &Config, name: &str, directory: &Path, state: &Path) -> Self {
        Self::around(config, name, directory, Some(state))
    }

    /// That of an interpreter which many plugins are asked in: the code of each of them can be read, and the state of none.
    pub(super) fn of_many(config: &Config) -> Self {
        Self::around(config, "", &config.plugins.directory, None)
    }

    fn around(config: &Config, name: &str, directory: &Path, state: Option<&Path>) -> Self {
        let usual = config::Plugin::default();
        let plugin = config.plugin.get(name).unwrap_or(&usual);
        let granted = config.sandbox.of(plugin);
        let is_usual = plugin.sandbox == config::Sandbox::default();
        if granted.mode == Some(SandboxMode::Off) {
            return Self { sandbox: None, is_usual };
        }
        let paths = &config.paths;
        let own = [directory.to_owned(), paths.state.join("venv").join(name)];
        let temporary = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let scratch = SCRATCH.iter().map(PathBuf::from).chain(temporary);
        let files = Files {
            hidden: hidden(config),
            read: own.into_iter().chain(plugin.directory.clone()).chain(granted.read).collect(),
            write: state.map(Path::to_owned).into_iter().chain(scratch).chain(granted.write).collect(),
            execute: granted.exec,
        };
        let limits = Limits {
            files: granted.limits.files.or(Some(FILES)),
            file_size: granted.limits.file_size.or(Some(FILE_SIZE)),
            data: granted.limits.data.or_else(|| Some(memory_of_the_machine() / PART_OF_MEMORY)),
            more_processes: granted.limits.processes.is_none().then_some(PROCESSES),
            ..granted.limits
        };
        let group = Group {
            name: name.to_owned(),
            memory: limits.total_memory.unwrap_or_else(|| memory_of_the_machine() / PART_OF_MEMORY),
            processes: limits.total_processes.unwrap_or(PROCESSES),
            weight: limits.cpu_weight.unwrap_or(WEIGHT),
        };
        let sandbox = Sandbox {
            required: granted.mode == Some(SandboxMode::Require),
            files,
            network: granted.network.unwrap_or_default(),
            limits,
            group: Some(group),
        };
        Self { sandbox: Some(Arc::new(sandbox)), is_usual }
    }

    pub(super) fn sandbox(&self) -> Option<&Arc<Sandbox>> {
        self.sandbox.as_ref()
    }

    /// Whether the plugin is held as any other.
    pub(super) fn is_usual(&self) -> bool {
        self.is_usual
    }

    /// The same, where the plugin is asked what it offers: it runs in `scratch`, and reads what asks it.
    pub(super) fn while_asked(&self, probe: &Path, scratch: &Path) -> Option<Arc<Sandbox>> {
        let mut sandbox = Sandbox::clone(self.sandbox.as_deref()?);
        sandbox.files.read.push(probe.to_owned());
        sandbox.files.write.push(scratch.to_owned());
        Some(Arc::new(sandbox))
    }
}

/// Bytes.
fn memory_of_the_machine() -> u64 {
    static FOUND: LazyLock<u64> = LazyLock::new(|| {
        let found = rustix::system::sysinfo();
        found.totalram * u64::from(found.mem_unit)
    });
    *FOUND
}

/// The daemon's own places, and what of other plugins stands in them.
pub(crate) fn private_places(config: &Config) -> Vec<PathBuf> {
    let paths = &config.paths;
    let own = [&paths.config, &paths.state, &paths.cache, &paths.runtime, &config.plugins.directory];
    let mut places: Vec<PathBuf> =
        own.into_iter().chain(&config.log.file).chain(&config.secrets).cloned().collect();
    places.retain(|path| path.is_absolute() && path.as_os_str() != OsStr::new("/"));
    places
}

/// These, and what only root may read where the daemon is root.
fn hidden(config: &Config) -> Vec<PathBuf> {
    let mut hidden = private_places(config);
    if rustix::process::getuid().is_root() {
        hidden.extend(ROOTS_OWN.iter().map(PathBuf::from));
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::for_tests;

    fn choose(changes: &[(&'static str, toml::Value)]) -> Confinement {
        let config = for_tests(changes).unwrap();
        Confinement::choose(&config, "notes", Path::new("/opt/notes"), Path::new("/state/notes"))
    }

    #[test]
    fn a_plugin_reads_the_system_less_what_is_the_daemons_and_writes_its_state() {
        let config = for_tests(&[]).unwrap();
        let confinement = choose(&[]);
        let sandbox = confinement.sandbox().unwrap();
        let paths = &config.paths;
        for path in [&paths.config, &paths.state, &paths.cache, &paths.runtime, &config.plugins.directory] {
            assert!(sandbox.files.hidden.contains(path), "{} is not hidden", path.display());
        }
        assert!(sandbox.files.read.contains(&PathBuf::from("/opt/notes")));
        assert_eq!(sandbox.files.write[..2], ["/state/notes", "/tmp"].map(PathBuf::from));
        assert!(!sandbox.required && confinement.is_usual());
    }

    fn granted(to: &'static str, text: &str) -> Confinement {
        choose(&[(to, toml::Value::Table(text.parse().unwrap()))])
    }

    #[test]
    fn what_is_granted_to_one_plugin_is_its_alone() {
        let confinement = granted("plugin.notes", "sandbox.write = ['/srv']");
        assert!(confinement.sandbox().unwrap().files.write.contains(&PathBuf::from("/srv")));
        assert!(!confinement.is_usual());
        assert_eq!(granted("plugin.other", "sandbox.write = ['/srv']"), choose(&[]));
        assert_eq!(granted("plugin.notes", "sandbox = 'off'").sandbox(), None);
        let required = choose(&[("sandbox.mode", "require".into())]);
        assert!(required.sandbox().unwrap().required && required.is_usual());
    }

    #[test]
    fn those_who_are_asked_together_have_no_plugins_state() {
        let config = for_tests(&[]).unwrap();
        let many = Confinement::of_many(&config);
        let files = &many.sandbox().unwrap().files;
        assert!(files.read.contains(&config.plugins.directory));
        assert!(!files.write.iter().any(|path| path.starts_with(&config.paths.state)), "{:?}", files.write);
    }

    #[test]
    fn who_is_asked_may_use_the_place_where_it_is_asked() {
        let asked =
            choose(&[]).while_asked(Path::new("/cache/probe"), Path::new("/cache/scratch/1")).unwrap();
        assert!(asked.files.read.contains(&PathBuf::from("/cache/probe")));
        assert!(asked.files.write.contains(&PathBuf::from("/cache/scratch/1")));
    }
}
