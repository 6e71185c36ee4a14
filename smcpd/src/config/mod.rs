//! The daemon's configuration: defaults, then the file, then its drop-ins, then the environment, then flags;
//! the last one wins.
//!
//! A [`Config`] that exists is valid. `file` mirrors the file, `layers` lays the sources over one another and
//! remembers where each value came from, `check` turns the result into checked types, `credentials`
//! reads what the service manager hands over, `confirm`, `letta`, `oauth`, `profiles`, `sandbox`, `secrets` and `tls` have the sections of these names, `state_key` the keys
//! that daemons share, `current` swaps the whole while the daemon runs.

mod check;
mod confirm;
mod credentials;
mod current;
mod file;
mod layers;
mod letta;
mod oauth;
mod profiles;
mod sandbox;
mod secrets;
mod state_key;
mod tls;
mod word_or_table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use check::is_module;
pub(crate) use confirm::{Confirm, ConfirmMode, ConfirmOfPlugin};
#[cfg(test)]
pub(crate) use current::for_tests;
pub(crate) use current::{
    Current, Difference, KeyChanged, KeyRefused, Publisher, ReloadError, Reloads, Wish,
};
pub(crate) use layers::{Origin, Override};
pub(crate) use letta::{Letta, Secret};
pub(crate) use oauth::{KeySource, OAuth};
pub(crate) use sandbox::{
    FILE_SIZE, FILES, Limits, Network, PART_OF_MEMORY, PROCESSES, Sandbox, SandboxMode, WEIGHT,
};
pub(crate) use state_key::StateKeys;
pub(crate) use tls::{Tls, TlsClients};

use crate::auth::{Keys, Profiles};
use crate::paths::{Mode, Paths};
use crate::redact::Redactor;

/// Key, value and origin, in the order of the keys.
type Effective = Vec<(String, String, Origin)>;

/// Everything the daemon was told, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) paths: Paths,
    pub(crate) http: Http,
    pub(crate) sessions: Sessions,
    pub(crate) plugins: Plugins,
    pub(crate) tools: Tools,
    pub(crate) warm: Warm,
    /// What all plugins are held to.
    pub(crate) sandbox: Sandbox,
    /// What becomes of plugins that are not what was approved.
    pub(crate) pins: PinPolicy,
    /// Which calls somebody has to confirm.
    pub(crate) confirm: Confirm,
    /// Files and directories with keys, outside of `paths`.
    pub(crate) secrets: Vec<PathBuf>,
    /// Finds values that nobody is to see.
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) execution: Execution,
    pub(crate) keys: Keys,
    pub(crate) profiles: Arc<Profiles>,
    /// Wrong keys of one peer within a minute; one more has to wait.
    pub(crate) key_attempts: u32,
    /// `auth.disabled`: no key and no guard on the address; the daemon warns of it at each start.
    pub(crate) auth_disabled: bool,
    /// Whoever comes over a container bridge needs no key.
    pub(crate) allow_containers: bool,
    pub(crate) state_keys: StateKeys,
    /// `None` where no token is taken.
    pub(crate) oauth: Option<Arc<OAuth>>,
    /// `None` where the port speaks plain HTTP.
    pub(crate) tls: Option<Tls>,
    pub(crate) log: Log,
    /// Settings by plugin name.
    pub(crate) plugin: BTreeMap<String, Plugin>,
    pub(crate) control: Control,
    /// `None` where no plugin is to get the variables of an agent.
    pub(crate) letta: Option<Letta>,
    /// Every effective value with where it came from, for `--check`.
    pub(crate) effective: Effective,
    /// Values that were read since, and that a restart would bring.
    pub(crate) pending: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    /// Listen on the host's container bridges too.
    pub(crate) containers: bool,
    /// Further bridges of containers, by name.
    pub(crate) bridges: Vec<String>,
    /// Further accepted `Host` values.
    pub(crate) hosts: Vec<String>,
    /// Accepted `Origin` values beyond those of the accepted hosts.
    pub(crate) origins: Vec<String>,
    /// Bytes of a request's header.
    pub(crate) header_limit: usize,
    /// Fields of a request's header.
    pub(crate) header_count: usize,
    pub(crate) body_limit: usize,
    /// Bytes of the bodies of all requests that are read or answered at one time.
    pub(crate) body_memory: usize,
    /// How long a client may take to send a request's header.
    pub(crate) header_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub(crate) body_timeout: Duration,
    /// How long a client may leave what it is sent unread.
    pub(crate) write_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) max_connections: usize,
    /// Of one address beyond loopback.
    pub(crate) connections_per_peer: usize,
    /// Requests a second of one caller from beyond loopback; 0 is no limit.
    pub(crate) rate: u32,
    /// The same for one that comes over loopback.
    pub(crate) loopback_rate: u32,
    /// `/sse` opens with the catalog as one `notifications/tools/list` message.
    pub(crate) manifest: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    pub(crate) max: usize,
    /// Of one caller with a key.
    pub(crate) per_caller: usize,
    /// A session without a stream or a request for that long is forgotten.
    pub(crate) idle: Duration,
    /// Messages that may wait for a client that reads slowly.
    pub(crate) outbox: usize,
    /// Bytes of the messages that wait for all clients.
    pub(crate) backlog: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Plugins {
    pub(crate) directory: PathBuf,
    /// Plugins may be linked from below these alone; empty: from anywhere.
    pub(crate) roots: Vec<PathBuf>,
    /// Users besides root, the daemon's and whoever linked a plugin, who may own its files.
    pub(crate) owners: Vec<u32>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) startup_wait: Duration,
    pub(crate) describe_timeout: Duration,
    pub(crate) describe_parallel: NonZeroUsize,
    pub(crate) environment: Environment,
}

/// What a plugin inherits of the daemon's environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Environment {
    /// All but the daemon's keys and what systemd gave it.
    #[default]
    Inherit,
    /// A base set and the names that the plugin's contract declares.
    Declared,
}

#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) separator: Separator,
}

/// What stands between plugin and command in a tool's name on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Separator {
    #[default]
    #[serde(rename = "__")]
    DoubleUnderscore,
    #[serde(rename = ".")]
    Dot,
    #[serde(rename = "_")]
    Underscore,
}

impl Separator {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DoubleUnderscore => "__",
            Self::Dot => ".",
            Self::Underscore => "_",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) serialize: Serialize,
    pub(crate) max_concurrent: NonZeroUsize,
    /// Calls that may wait in one lane.
    pub(crate) queue: usize,
    /// Those of one caller among them.
    pub(crate) queue_per_caller: usize,
    /// `None`: a call may take as long as it likes.
    pub(crate) timeout: Option<Duration>,
    /// Between asking a call's processes to end and killing them.
    pub(crate) grace: Duration,
    /// Between the daemon's own end being asked and running calls being ended.
    pub(crate) drain: Duration,
    pub(crate) output_limit: usize,
}

/// What is kept ready for calls of Python plugins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warm {
    pub(crate) mode: WarmMode,
    /// Spares of one plugin, at most.
    pub(crate) spares: NonZeroUsize,
    /// A spare that waited for so long is replaced.
    pub(crate) spare_age: Duration,
    /// A plugin that was not called for so long starts cold again.
    pub(crate) idle: Duration,
}

/// How much is kept ready for a plugin; each has what stands before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WarmMode {
    /// Each call starts the interpreter.
    Off,
    /// A resident parent, which forks for each call; from the first call on.
    Fork,
    /// And children that have run the plugin's code up to its first look at the call.
    #[default]
    Spare,
    /// From the start on.
    Always,
}

impl WarmMode {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Fork => "fork",
            Self::Spare => "spare",
            Self::Always => "always",
        }
    }
}

/// Which calls may overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Serialize {
    /// One call at a time in the whole daemon.
    All,
    /// One lane a plugin.
    #[default]
    Plugin,
    /// Full concurrency.
    None,
}

#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    /// Rotated daily; `keep` old ones stay.
    pub(crate) file: Option<PathBuf>,
    pub(crate) keep: usize,
}

/// How log lines look.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// journald where it is our stderr, else for people.
    #[default]
    Auto,
    Pretty,
    Json,
    Journald,
}

/// Who may open the sockets.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) control: SocketRights,
    pub(crate) call: SocketRights,
}

/// The file mode of a socket, and the group it is given to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketRights {
    pub(crate) mode: u32,
    /// A name or a number; `None` leaves the daemon's own.
    pub(crate) group: Option<u32>,
}

/// What the operator grants one plugin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plugin {
    /// `Some(None)` lifts the limit.
    pub(crate) timeout: Option<Option<Duration>>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) warm: Option<WarmMode>,
    /// Modules that its warm parent imports ahead.
    pub(crate) preload: Vec<String>,
    pub(crate) sandbox: Sandbox,
    /// In place of that of all.
    pub(crate) pins: Option<PinPolicy>,
    pub(crate) confirm: Option<ConfirmOfPlugin>,
}

/// What becomes of a plugin that is not what was approved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PinPolicy {
    /// It is told of.
    #[default]
    Warn,
    /// Tools that are new or changed are withheld.
    Hold,
    /// The plugin is withheld, and not run.
    Block,
}

impl PinPolicy {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Block => "block",
        }
    }
}

/// Where `Config::load` reads from.
pub(crate) struct Sources<'a> {
    pub(crate) mode: Mode,
    /// `--config`: this file must exist; its drop-ins stand beside it in `FILE.d/`.
    pub(crate) file: Option<&'a Path>,
    pub(crate) environment: &'a dyn Fn(&str) -> Option<std::ffi::OsString>,
    pub(crate) flags: Vec<Override>,
}

/// Why a configuration was refused; the daemon exits with 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Paths(#[from] crate::paths::PathsError),
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is no TOML, or has an unknown key or a wrong type.
    #[error("{}:{line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error("{name}: {message}")]
    Environment { name: &'static str, message: String },
    /// A value that can be read but not meant.
    #[error("{origin}: `{key}` {message}")]
    Value { key: String, origin: Origin, message: String },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Keys(#[from] crate::auth::StoreError),
}

impl Config {
    /// Whether anyone has to show who they are.
    pub(crate) fn is_guarded(&self) -> bool {
        !self.keys.is_open()
            || self.oauth.is_some()
            || self.tls.as_ref().is_some_and(|tls| tls.clients.is_some())
    }

    /// Returns what becomes of a plugin that is not what was approved.
    pub(crate) fn pin_policy(&self, plugin: &str) -> PinPolicy {
        self.plugin.get(plugin).and_then(|granted| granted.pins).unwrap_or(self.pins)
    }

    /// Returns the address to listen on where anyone chose one, and where they did.
    pub(crate) fn chosen_address(&self) -> Option<(std::net::SocketAddr, &Origin)> {
        let is_chosen = |key: &str| {
            let line = self.effective.iter().find(|(name, _, _)| name == key)?;
            (line.2 != Origin::Default).then_some(&line.2)
        };
        let origin = is_chosen("http.port").or_else(|| is_chosen("http.host"))?;
        Some((std::net::SocketAddr::new(self.http.host, self.http.port), origin))
    }

    /// Reads and checks every source; nothing is created and nothing is bound.
    pub(crate) fn load(sources: Sources<'_>) -> Result<Self, ConfigError> {
        let paths = Paths::find(sources.mode, sources.environment)?;
        let layers = layers::read(&sources, &paths)?;
        check::check(layers, paths, sources.environment)
    }
}
