//! The section `[sandbox]`, and `sandbox` in the section of a plugin: what plugins are held to.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use super::check::Key;
use super::layers::Layers;
use super::{ConfigError, Origin, Plugin, word_or_table};

/// Bounds where nothing is said: what no honest call comes near.
pub(crate) const FILES: u64 = 4096;
pub(crate) const FILE_SIZE: u64 = 4 << 30;
pub(crate) const PROCESSES: u64 = 512;
/// The share of a control group beside others.
pub(crate) const WEIGHT: u64 = 100;
/// The part of the machine's memory that one process may make its own, and a plugin in all: one half.
pub(crate) const PART_OF_MEMORY: u64 = 2;

/// What is asked of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SandboxMode {
    /// A plugin does not start where rules for files or the filter of system calls are lacking.
    Require,
    /// What the kernel lacks is left out, and said.
    #[default]
    BestEffort,
    /// Nothing holds the plugin but the unit.
    Off,
}

impl SandboxMode {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }
}

/// Whom the plugin may talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Network {
    #[default]
    Any,
    /// TCP connections to these ports, and no listening. Datagrams, such as those of DNS, are not held.
    Ports(Vec<u16>),
    /// Nothing but Unix sockets.
    None,
}

/// Bounds of each process; without one, what the daemon itself has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Bytes of address space.
    pub(crate) memory: Option<u64>,
    /// Bytes of memory that are the process's own: what it writes and shares with nobody.
    pub(crate) data: Option<u64>,
    /// Seconds of processor time.
    pub(crate) cpu: Option<u64>,
    /// Open descriptors.
    pub(crate) files: Option<u64>,
    /// Processes and threads of the daemon's user, all plugins together.
    pub(crate) processes: Option<u64>,
    /// The same, beyond all that run on the machine when the process starts.
    pub(crate) more_processes: Option<u64>,
    /// Bytes of one file.
    pub(crate) file_size: Option<u64>,
    /// Of all processes of the plugin together, where it has a control group: bytes of memory, processes and threads, and a
    /// share of busy processors.
    pub(crate) total_memory: Option<u64>,
    pub(crate) total_processes: Option<u64>,
    pub(crate) cpu_weight: Option<u64>,
}

/// The keys as they stand in the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    mode: Option<SandboxMode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write: Vec<PathBuf>,
    exec: Option<Vec<PathBuf>>,
    connect: Option<Vec<i64>>,
    network: Option<bool>,
    memory: Option<i64>,
    data: Option<i64>,
    cpu: Option<i64>,
    files: Option<i64>,
    processes: Option<i64>,
    file_size: Option<i64>,
    total_memory: Option<i64>,
    total_processes: Option<i64>,
    cpu_weight: Option<i64>,
}

#[cfg(test)]
impl Given {
    /// Every key, which would not be written where it is not set.
    pub(super) fn full() -> Self {
        Self {
            mode: Some(SandboxMode::Off),
            read: vec!["/".into()],
            write: vec!["/".into()],
            exec: Some(Vec::new()),
            connect: Some(Vec::new()),
            network: Some(true),
            memory: Some(0),
            data: Some(0),
            cpu: Some(0),
            files: Some(0),
            processes: Some(0),
            file_size: Some(0),
            total_memory: Some(0),
            total_processes: Some(0),
            cpu_weight: Some(0),
        }
    }
}

/// A plugin's: the same, or the mode alone.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct OfPlugin(pub(super) Given);

impl<'de> Deserialize<'de> for OfPlugin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "`require`, `best-effort`, `off`, or a table with what the plugin may do";
        word_or_table::read(
            deserializer,
            expected,
            |mode| Self(Given { mode: Some(mode), ..Given::default() }),
            Self,
        )
    }
}

/// What is granted, to all plugins or to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) mode: Option<SandboxMode>,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) exec: Option<Vec<PathBuf>>,
    pub(crate) network: Option<Network>,
    pub(crate) limits: Limits,
}

impl Sandbox {
    /// What holds for a plugin: files that are granted to all are granted to it, and in all else its own word counts.
    pub(crate) fn of(&self, plugin: &Plugin) -> Self {
        let (all, own) = (self, &plugin.sandbox);
        let both = |all: &[PathBuf], own: &[PathBuf]| all.iter().chain(own).cloned().collect();
        Self {
            mode: own.mode.or(all.mode),
            read: both(&all.read, &own.read),
            write: both(&all.write, &own.write),
            exec: own.exec.clone().or_else(|| all.exec.clone()),
            network: own.network.clone().or_else(|| all.network.clone()),
            limits: Limits {
                memory: own.limits.memory.or(all.limits.memory),
                data: own.limits.data.or(all.limits.data),
                cpu: own.limits.cpu.or(all.limits.cpu),
                files: own.limits.files.or(all.limits.files),
                processes: own.limits.processes.or(all.limits.processes),
                more_processes: None,
                file_size: own.limits.file_size.or(all.limits.file_size),
                total_memory: own.limits.total_memory.or(all.limits.total_memory),
                total_processes: own.limits.total_processes.or(all.limits.total_processes),
                cpu_weight: own.limits.cpu_weight.or(all.limits.cpu_weight),
            },
        }
    }
}

/// Checks the keys below `at`.
pub(super) fn check(key: &Key<'_>, at: &str, given: &Given) -> Result<Sandbox, ConfigError> {
    let at = |field: &str| format!("{at}.{field}");
    let lists = [("read", Some(&given.read)), ("write", Some(&given.write)), ("exec", given.exec.as_ref())];
    for (field, paths) in lists {
        let relative = paths.into_iter().flatten().find(|path| !path.is_absolute());
        if let Some(path) = relative {
            return Err(key.refuse(&at(field), format!("has `{}`: a path begins with /", path.display())));
        }
    }
    let limit = |field: &str, value: Option<i64>, least: usize| {
        let checked = value.map(|value| key.whole(&at(field), value, least)).transpose()?;
        Ok::<_, ConfigError>(checked.map(|value| value as u64))
    };
    let network = match (given.network, &given.connect) {
        (Some(false), Some(_)) => {
            return Err(key.refuse(&at("connect"), "names ports, and `network = false` closes all of them"));
        }
        (Some(false), None) => Some(Network::None),
        (_, Some(ports)) => {
            let port = |port: &i64| u16::try_from(*port).ok().filter(|port| *port > 0).ok_or(*port);
            let ports =
                ports.iter().map(port).collect::<Result<_, _>>().map_err(|wrong| {
                    key.refuse(&at("connect"), format!("has {wrong}: a port is 1 to 65535"))
                })?;
            Some(Network::Ports(ports))
        }
        (Some(true), None) => Some(Network::Any),
        (None, None) => None,
    };
    Ok(Sandbox {
        mode: given.mode,
        read: given.read.clone(),
        write: given.write.clone(),
        exec: given.exec.clone(),
        network,
        limits: Limits {
            // Less and no interpreter starts.
            memory: limit("memory", given.memory, 16 << 20)?,
            data: limit("data", given.data, 16 << 20)?,
            cpu: limit("cpu", given.cpu, 1)?,
            files: limit("files", given.files, 16)?,
            processes: limit("processes", given.processes, 1)?,
            more_processes: None,
            file_size: limit("file_size", given.file_size, 0)?,
            total_memory: limit("total_memory", given.total_memory, 16 << 20)?,
            total_processes: limit("total_processes", given.total_processes, 1)?,
            cpu_weight: limit("cpu_weight", given.cpu_weight, 1)?,
        },
    })
}

/// What holds where `[sandbox]` does not say it; a file would not show it.
pub(super) fn defaults(layers: &Layers) -> Vec<(String, String, Origin)> {
    let given = &layers.file.sandbox;
    let mode = format!("\"{}\"", SandboxMode::default().as_str());
    let all = [
        ("mode", given.mode.is_none(), mode),
        ("files", given.files.is_none(), FILES.to_string()),
        ("file_size", given.file_size.is_none(), FILE_SIZE.to_string()),
        ("network", given.network.is_none(), "true".to_owned()),
    ];
    let unset = all.into_iter().filter(|(_, is_unset, _)| *is_unset);
    unset.map(|(key, _, value)| (format!("sandbox.{key}"), value, Origin::Default)).collect()
}

/// Files of the daemon beyond its directories, which hold keys.
pub(super) fn secrets(key: &Key<'_>, environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let file = &key.layers.file;
    let given = environment("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    file.auth
        .key_files
        .iter()
        .chain(&file.auth.state_key_file)
        .chain(&file.letta.key_file)
        .chain(&file.tls.key)
        .chain(
            file.plugin
                .values()
                .flat_map(|plugin| plugin.secrets.values())
                .filter_map(|secret| secret.file.as_ref()),
        )
        .cloned()
        .chain(given)
        .collect()
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
