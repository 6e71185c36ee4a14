//! The serde mirror of `smcpd.toml`: keys, types and defaults, nothing checked beyond them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    Environment, LogFormat, PinPolicy, Separator, Serialize as Serialization, WarmMode, confirm, oauth,
    profiles, sandbox, secrets, tls,
};

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) http: Http,
    pub(super) sessions: Sessions,
    pub(super) plugins: Plugins,
    pub(super) tools: Tools,
    pub(super) warm: Warm,
    pub(super) sandbox: sandbox::Given,
    pub(super) pins: Pins,
    pub(super) confirm: confirm::Given,
    pub(super) execution: Execution,
    pub(super) auth: Auth,
    pub(super) tls: tls::Given,
    pub(super) oauth: oauth::Given,
    pub(super) sse: Sse,
    pub(super) log: Log,
    pub(super) control: Control,
    pub(super) letta: Letta,
    pub(super) profiles: profiles::Common,
    pub(super) profile: BTreeMap<String, profiles::Given>,
    pub(super) plugin: BTreeMap<String, Plugin>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    pub(super) host: String,
    pub(super) port: i64,
    pub(super) allow_external: bool,
    pub(super) listen: Vec<Listen>,
    pub(super) bridges: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) origins: Vec<String>,
    /// Bytes.
    pub(super) header_limit: i64,
    pub(super) header_count: i64,
    pub(super) body_limit: i64,
    pub(super) body_memory: i64,
    /// Seconds, as every duration in this file.
    pub(super) header_timeout: Seconds,
    pub(super) body_timeout: Seconds,
    pub(super) write_timeout: Seconds,
    pub(super) keep_alive: Seconds,
    pub(super) max_connections: i64,
    pub(super) connections_per_peer: i64,
    pub(super) rate: i64,
    pub(super) loopback_rate: i64,
}

/// Where is listened without an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Listen {
    Loopback,
    Containers,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            allow_external: false,
            listen: vec![Listen::Loopback, Listen::Containers],
            bridges: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            header_limit: 32 << 10,
            header_count: 64,
            body_limit: 4 << 20,
            body_memory: 256 << 20,
            header_timeout: Seconds(10.0),
            body_timeout: Seconds(60.0),
            write_timeout: Seconds(60.0),
            keep_alive: Seconds(15.0),
            max_connections: 20_000,
            connections_per_peer: 1_000,
            rate: 2_000,
            loopback_rate: 0,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sessions {
    pub(super) max: i64,
    pub(super) per_caller: i64,
    pub(super) idle: Seconds,
    pub(super) outbox: i64,
    pub(super) backlog: i64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { max: 10_000, per_caller: 5_000, idle: Seconds(1800.0), outbox: 256, backlog: 256 << 20 }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Plugins {
    pub(super) dir: Option<PathBuf>,
    pub(super) roots: Vec<PathBuf>,
    pub(super) owners: Vec<u32>,
    pub(super) python: Option<PathBuf>,
    pub(super) startup_wait: Seconds,
    pub(super) describe_timeout: Seconds,
    pub(super) describe_parallel: i64,
    pub(super) env: Environment,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: None,
            roots: Vec::new(),
            owners: Vec::new(),
            python: None,
            startup_wait: Seconds(2.0),
            describe_timeout: Seconds(10.0),
            describe_parallel: 8,
            env: Environment::Inherit,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Warm {
    pub(super) mode: WarmMode,
    pub(super) spares: i64,
    pub(super) spare_age: Seconds,
    pub(super) idle: Seconds,
}

impl Default for Warm {
    fn default() -> Self {
        Self { mode: WarmMode::Spare, spares: 4, spare_age: Seconds(60.0), idle: Seconds(900.0) }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tools {
    pub(super) separator: Separator,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Execution {
    pub(super) serialize: Serialization,
    pub(super) max_concurrent: i64,
    pub(super) queue: i64,
    pub(super) queue_per_caller: i64,
    /// 0: no limit.
    pub(super) timeout: Seconds,
    pub(super) grace: Seconds,
    pub(super) drain: Seconds,
    /// Bytes of each of stdout and stderr that are kept.
    pub(super) output_limit: i64,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            serialize: Serialization::Plugin,
            max_concurrent: 32,
            queue: 256,
            queue_per_caller: 192,
            timeout: Seconds(300.0),
            grace: Seconds(5.0),
            drain: Seconds(20.0),
            output_limit: 8 << 20,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    /// Files with one key a line.
    pub(super) key_files: Vec<PathBuf>,
    pub(super) allow_loopback: bool,
    pub(super) allow_containers: bool,
    pub(super) disabled: bool,
    pub(super) required: bool,
    /// Of one peer, within a minute.
    pub(super) wrong_keys: i64,
    /// A file with the keys that daemons share, one a line.
    pub(super) state_key_file: Option<PathBuf>,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            key_files: Vec::new(),
            allow_loopback: false,
            allow_containers: false,
            disabled: false,
            required: false,
            wrong_keys: 10,
            state_key_file: None,
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sse {
    pub(super) manifest: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: String,
    pub(super) format: LogFormat,
    pub(super) file: Option<PathBuf>,
    pub(super) keep: i64,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto, file: None, keep: 7 }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Control {
    /// Octal, as `chmod` has it.
    pub(super) mode: String,
    pub(super) group: Option<String>,
    pub(super) call_mode: String,
    pub(super) call_group: Option<String>,
}

impl Default for Control {
    fn default() -> Self {
        Self { mode: "0600".to_owned(), group: None, call_mode: "0600".to_owned(), call_group: None }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Letta {
    pub(super) url: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) plugins: Vec<String>,
    /// A file with the key alone.
    pub(super) key_file: Option<PathBuf>,
    pub(super) timeout: Seconds,
}

impl Default for Letta {
    fn default() -> Self {
        Self { url: None, agent: None, plugins: Vec::new(), key_file: None, timeout: Seconds(10.0) }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Plugin {
    pub(super) timeout: Option<Seconds>,
    pub(super) concurrency: Option<i64>,
    pub(super) dir: Option<PathBuf>,
    pub(super) python: Option<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, secrets::Given>,
    pub(super) warm: Option<WarmMode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) preload: Vec<String>,
    pub(super) sandbox: sandbox::OfPlugin,
    pub(super) pins: Option<PinPolicy>,
    pub(super) confirm: Option<confirm::OfPlugin>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pins {
    pub(super) policy: PinPolicy,
}

/// A duration in seconds, written `2` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Seconds(pub(super) f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Seconds;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a number of seconds")
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<Seconds, E> {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "`check` refuses what is too long to be exact"
                )]
                Ok(Seconds(seconds as f64))
            }

            fn visit_f64<E>(self, seconds: f64) -> Result<Seconds, E> {
                Ok(Seconds(seconds))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
