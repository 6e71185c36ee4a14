//! Turns the merged values into checked types; every refusal names the key and where it was set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::credentials::{self, Credentials};
use super::file::{Listen, Seconds};
use super::layers::{Layers, Origin};
use super::{
    Config, ConfigError, Control, Execution, Http, Log, Plugin, Plugins, Sessions, SocketRights, Tools, Warm,
    confirm, letta, oauth, profiles, sandbox, secrets, state_key, tls,
};
use crate::auth::{self, Keys, Policy, Scope};
use crate::paths::Paths;

/// How long a file system may take to say what there is.
const PATIENCE: Duration = Duration::from_secs(1);

/// No duration of ours is longer; beyond it arithmetic on instants may overflow.
const LONGEST: f64 = 366.0 * 86_400.0;

pub(super) fn check(
    layers: Layers,
    paths: Paths,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, ConfigError> {
    let key = Key { layers: &layers };
    let file = &layers.file;
    let credentials = credentials::read(environment("CREDENTIALS_DIRECTORY"))?;
    let mut plugin = plugin(&key)?;
    secrets::check(&key, environment, &mut plugin)?;
    let mut effective = effective(&layers, &paths);
    let profiles = profiles::check(&key)?;
    let tls = tls::check(&key, &credentials, &profiles, &mut effective)?;
    let oauth = oauth::check(&key, &profiles)?.map(Arc::new);
    let has_other_proofs = oauth.is_some() || tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    let keys = keys(&key, environment, &credentials, has_other_proofs, &paths, profiles.usual())?;
    let letta = letta::check(&key, environment, &credentials, &mut effective)?;
    let state_keys = state_key::check(&key, &credentials, &mut effective)?;
    let handed_over: Vec<(String, String)> = credentials
        .plugins
        .iter()
        .map(|granted| (granted.plugin.clone(), granted.variable.clone()))
        .collect();
    hand_over(credentials, &mut plugin, &mut effective);
    let redactor = Arc::new(secrets::redactor(&key, &handed_over, &plugin, letta.as_ref()));
    Ok(Config {
        http: http(&key, keys.count() > 0 || has_other_proofs, !keys.is_open())?,
        sessions: Sessions {
            max: key.count("sessions.max", file.sessions.max)?.get(),
            per_caller: key.count("sessions.per_caller", file.sessions.per_caller)?.get(),
            idle: key.positive("sessions.idle", file.sessions.idle)?,
            outbox: key.count("sessions.outbox", file.sessions.outbox)?.get(),
            backlog: key.whole("sessions.backlog", file.sessions.backlog, 1 << 20)?,
        },
        plugins: plugins(&key, &paths)?,
        tools: Tools { separator: file.tools.separator },
        warm: Warm {
            mode: file.warm.mode,
            spares: key.count("warm.spares", file.warm.spares)?,
            spare_age: key.positive("warm.spare_age", file.warm.spare_age)?,
            idle: key.positive("warm.idle", file.warm.idle)?,
        },
        sandbox: sandbox::check(&key, "sandbox", &file.sandbox)?,
        pins: file.pins.policy,
        confirm: confirm::check(&key, &file.confirm)?,
        secrets: sandbox::secrets(&key, environment),
        redactor,
        execution: execution(&key)?,
        keys,
        profiles: Arc::new(profiles),
        key_attempts: u32::try_from(key.whole("auth.wrong_keys", file.auth.wrong_keys, 1)?)
            .unwrap_or(u32::MAX),
        auth_disabled: file.auth.disabled && !file.auth.required,
        allow_containers: file.auth.allow_containers && !file.auth.required,
        state_keys,
        oauth,
        tls,
        log: Log {
            level: level(&key)?,
            format: file.log.format,
            file: file.log.file.clone(),
            keep: key.whole("log.keep", file.log.keep, 0)?,
        },
        plugin,
        control: Control {
            control: rights(&key, "mode", &file.control.mode, "group", file.control.group.as_deref())?,
            call: rights(
                &key,
                "call_mode",
                &file.control.call_mode,
                "call_group",
                file.control.call_group.as_deref(),
            )?,
        },
        letta,
        effective,
        pending: BTreeMap::new(),
        paths,
    })
}

/// Reads one value by its key, so that a refusal can name both.
pub(super) struct Key<'a> {
    pub(super) layers: &'a Layers,
}

impl Key<'_> {
    pub(super) fn refuse(&self, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::Value { key: key.to_owned(), origin: self.layers.origin(key), message: message.into() }
    }

    pub(super) fn whole(&self, key: &str, value: i64, least: usize) -> Result<usize, ConfigError> {
        usize::try_from(value)
            .ok()
            .filter(|value| (least..=1 << 40).contains(value))
            .ok_or_else(|| self.refuse(key, format!("is {value}: it must be at least {least}")))
    }

    fn between(&self, key: &str, value: i64, range: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        let (least, most) = (*range.start(), *range.end());
        usize::try_from(value)
            .ok()
            .filter(|value| range.contains(value))
            .ok_or_else(|| self.refuse(key, format!("is {value}: it must be between {least} and {most}")))
    }

    pub(super) fn count(&self, key: &str, value: i64) -> Result<NonZeroUsize, ConfigError> {
        let value = self.whole(key, value, 1)?;
        Ok(NonZeroUsize::new(value).expect("`whole` refuses less than 1"))
    }

    pub(super) fn seconds(&self, key: &str, value: Seconds) -> Result<Duration, ConfigError> {
        if (0.0..=LONGEST).contains(&value.0) {
            return Ok(Duration::from_secs_f64(value.0));
        }
        Err(self.refuse(key, format!("is {}: it must be between 0 and {LONGEST} seconds", value.0)))
    }

    pub(super) fn positive(&self, key: &str, value: Seconds) -> Result<Duration, ConfigError> {
        match self.seconds(key, value)? {
            Duration::ZERO => Err(self.refuse(key, "is 0: it must be more")),
            duration => Ok(duration),
        }
    }

    fn timeout(&self, key: &str, value: Seconds) -> Result<Option<Duration>, ConfigError> {
        Ok(Some(self.seconds(key, value)?).filter(|timeout| !timeout.is_zero()))
    }
}

/// `has_any` says that somebody can be let in, `is_guarded` that nobody is who shows nothing.
fn http(key: &Key<'_>, has_any: bool, is_guarded: bool) -> Result<Http, ConfigError> {
    let file = &key.layers.file;
    let http = &file.http;
    let port = u16::try_from(http.port)
        .map_err(|_| key.refuse("http.port", format!("is {}: a port is 0 to 65535", http.port)))?;
    let mut host = match http.host.as_str() {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        text => text.trim_matches(['[', ']']).parse().map_err(|_| {
            key.refuse("http.host", format!("is `{text}`: it must be an IP address or `localhost`"))
        })?,
    };
    if http.allow_external && key.layers.origin("http.host") == Origin::Default {
        host = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    }
    let open = file.auth.disabled && !file.auth.required;
    if file.auth.required && !has_any {
        return Err(ConfigError::Refused(
            "a key is required (--require-auth) and there is none: make one with `smcpctl keys create` while the \
             daemon listens on 127.0.0.1 without it, or set MCP_API_KEY or `auth.key_files`"
                .to_owned(),
        ));
    }
    if !host.is_loopback() && !is_guarded && !open {
        return Err(ConfigError::Refused(format!(
            "refusing to listen on {host} without an API key: \
             set MCP_API_KEY (or `auth.key_files`, or `smcpctl keys create`), or listen on 127.0.0.1"
        )));
    }
    if !http.listen.contains(&Listen::Loopback) {
        let message =
            "has no \"loopback\": it is always listened on, unless `http.host` names another address";
        return Err(key.refuse("http.listen", message));
    }
    if let Some(name) = http.bridges.iter().find(|name| !is_interface(name)) {
        return Err(key.refuse("http.bridges", format!("has `{name}`, which is no interface's name")));
    }
    // Who names an address means that one alone.
    let is_named = http.allow_external || key.layers.origin("http.host") != Origin::Default;
    let body_limit = key.whole("http.body_limit", http.body_limit, 1024)?;
    Ok(Http {
        host,
        port,
        containers: !is_named && http.listen.contains(&Listen::Containers),
        bridges: http.bridges.clone(),
        hosts: http.hosts.clone(),
        origins: http.origins.clone(),
        header_limit: key.between("http.header_limit", http.header_limit, 1024..=64 << 10)?,
        header_count: key.between("http.header_count", http.header_count, 8..=96)?,
        body_limit,
        body_memory: key.whole("http.body_memory", http.body_memory, 1024)?.max(body_limit),
        header_timeout: key.positive("http.header_timeout", http.header_timeout)?,
        body_timeout: key.positive("http.body_timeout", http.body_timeout)?,
        write_timeout: key.positive("http.write_timeout", http.write_timeout)?,
        keep_alive: key.positive("http.keep_alive", http.keep_alive)?,
        max_connections: key.count("http.max_connections", http.max_connections)?.get(),
        connections_per_peer: key.count("http.connections_per_peer", http.connections_per_peer)?.get(),
        rate: rate(key, "http.rate", http.rate)?,
        loopback_rate: rate(key, "http.loopback_rate", http.loopback_rate)?,
        manifest: file.sse.manifest,
    })
}

/// As the kernel has it: short, and no path.
fn is_interface(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'))
}

/// Beyond a million a second there is nothing to count.
fn rate(key: &Key<'_>, name: &str, value: i64) -> Result<u32, ConfigError> {
    let rate = key.between(name, value, 0..=1_000_000)?;
    Ok(u32::try_from(rate).expect("a million fits"))
}

fn plugins(key: &Key<'_>, paths: &Paths) -> Result<Plugins, ConfigError> {
    let plugins = &key.layers.file.plugins;
    let directory = plugins.dir.clone().unwrap_or_else(|| paths.plugins.clone());
    if plugins.dir.is_some() {
        directory_exists(&directory).map_err(|message| key.refuse("plugins.dir", message))?;
    }
    if let Some(python) = &plugins.python {
        executable(python).map_err(|message| key.refuse("plugins.python", message))?;
    }
    if let Some(root) = plugins.roots.iter().find(|root| !root.is_absolute()) {
        let message = format!("has `{}`: it must be an absolute path", root.display());
        return Err(key.refuse("plugins.roots", message));
    }
    Ok(Plugins {
        roots: plugins.roots.clone(),
        owners: plugins.owners.clone(),
        directory: std::path::absolute(&directory).unwrap_or(directory),
        python: plugins.python.clone(),
        startup_wait: key.seconds("plugins.startup_wait", plugins.startup_wait)?,
        describe_timeout: key.positive("plugins.describe_timeout", plugins.describe_timeout)?,
        describe_parallel: key.count("plugins.describe_parallel", plugins.describe_parallel)?,
        environment: plugins.env,
    })
}

/// Looks at what one plugin alone is given. Where its file system does not answer, the plugin's calls will say so: the others
/// are not to wait for it.
fn in_time(path: &Path, look: fn(&Path) -> Result<(), String>) -> Result<(), String> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    thread::spawn(move || sender.send(look(&path)));
    receiver.recv_timeout(PATIENCE).unwrap_or(Ok(()))
}

fn directory_exists(directory: &Path) -> Result<(), String> {
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("is `{}`, which is not a directory", directory.display())),
        Err(error) => Err(format!("is `{}`: {error}", directory.display())),
    }
}

fn executable(program: &Path) -> Result<(), String> {
    if !program.is_absolute() {
        return Err(format!("is `{}`: it must be an absolute path", program.display()));
    }
    rustix::fs::access(program, rustix::fs::Access::EXEC_OK)
        .map_err(|error| format!("is `{}`: {error}", program.display()))
}

/// The owner always has both rights, and nobody may ever execute a socket.
fn rights(
    key: &Key<'_>,
    mode_key: &str,
    mode: &str,
    group_key: &str,
    group: Option<&str>,
) -> Result<SocketRights, ConfigError> {
    let at = |name: &str| format!("control.{name}");
    let parsed = u32::from_str_radix(mode, 8).ok().filter(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600);
    let mode = parsed.ok_or_else(|| {
        key.refuse(&at(mode_key), format!("is `{mode}`: it must be octal, such as \"0660\", and within 0666"))
    })?;
    let group = match group {
        None => None,
        Some(name) => Some(
            group_id(name, &std::fs::read_to_string("/etc/group").unwrap_or_default())
                .ok_or_else(|| key.refuse(&at(group_key), format!("is `{name}`: there is no such group")))?,
        ),
    };
    Ok(SocketRights { mode, group })
}

/// Finds a group by its name, or takes its number.
fn group_id(name: &str, groups: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn execution(key: &Key<'_>) -> Result<Execution, ConfigError> {
    let execution = &key.layers.file.execution;
    Ok(Execution {
        serialize: execution.serialize,
        max_concurrent: key.count("execution.max_concurrent", execution.max_concurrent)?,
        queue: key.whole("execution.queue", execution.queue, 0)?,
        queue_per_caller: key.whole("execution.queue_per_caller", execution.queue_per_caller, 0)?,
        timeout: key.timeout("execution.timeout", execution.timeout)?,
        grace: key.seconds("execution.grace", execution.grace)?,
        drain: key.seconds("execution.drain", execution.drain)?,
        output_limit: key.whole("execution.output_limit", execution.output_limit, 1024)?,
    })
}

fn level(key: &Key<'_>) -> Result<String, ConfigError> {
    let level = &key.layers.file.log.level;
    tracing_subscriber::EnvFilter::try_new(level)
        .map(|_| level.clone())
        .map_err(|error| key.refuse("log.level", format!("is `{level}`: {error}")))
}

fn plugin(key: &Key<'_>) -> Result<BTreeMap<String, Plugin>, ConfigError> {
    let settings = key.layers.file.plugin.iter().map(|(name, given)| {
        let at = |field: &str| format!("plugin.{name}.{field}");
        let timeout = given.timeout.map(|seconds| key.timeout(&at("timeout"), seconds)).transpose()?;
        let concurrency = given.concurrency.map(|count| key.count(&at("concurrency"), count)).transpose()?;
        if let Some(directory) = &given.dir {
            in_time(directory, directory_exists).map_err(|message| key.refuse(&at("dir"), message))?;
        }
        if let Some(python) = &given.python {
            in_time(python, executable).map_err(|message| key.refuse(&at("python"), message))?;
        }
        if let Some(name) = given.env.keys().find(|name| !is_variable(name)) {
            return Err(key.refuse(&at("env"), format!("names `{name}`, which is no variable")));
        }
        if let Some(module) = given.preload.iter().find(|module| !is_module(module)) {
            return Err(key.refuse(&at("preload"), format!("has `{module}`, which is no module's name")));
        }
        let plugin = Plugin {
            timeout,
            concurrency,
            directory: given.dir.clone(),
            python: given.python.clone(),
            environment: given.env.clone(),
            warm: given.warm,
            preload: given.preload.clone(),
            sandbox: sandbox::check(key, &at("sandbox"), &given.sandbox.0)?,
            pins: given.pins,
            confirm: given.confirm.as_ref().map(confirm::OfPlugin::checked),
        };
        Ok((name.clone(), plugin))
    });
    settings.collect()
}

/// Returns whether Python could import it: words with dots between them.
pub(crate) fn is_module(name: &str) -> bool {
    name.split('.').all(|word| {
        !word.is_empty()
            && !word.starts_with(|first: char| first.is_ascii_digit())
            && word.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
    })
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// What a plugin is handed over wins over what the files grant it, and its value is shown nowhere.
fn hand_over(
    credentials: Credentials,
    plugins: &mut BTreeMap<String, Plugin>,
    effective: &mut Vec<(String, String, Origin)>,
) {
    for granted in credentials.plugins {
        let key = format!("plugin.{}.env.{}", granted.plugin, granted.variable);
        effective.retain(|(known, _, _)| *known != key);
        effective.push((key, "***".to_owned(), Origin::Credential(granted.credential)));
        plugins.entry(granted.plugin).or_default().environment.insert(granted.variable, granted.value);
    }
    for (name, _) in credentials.keys {
        effective.push((format!("auth.keys.{name}"), "***".to_owned(), Origin::Credential(name)));
    }
    effective.sort_by(|one, other| one.0.cmp(&other.0));
}

fn keys(
    key: &Key<'_>,
    environment: &dyn Fn(&str) -> Option<OsString>,
    credentials: &Credentials,
    has_other_proofs: bool,
    paths: &Paths,
    usual: Scope,
) -> Result<Keys, ConfigError> {
    let settings = &key.layers.file.auth;
    if settings.disabled && !settings.required {
        return Ok(Keys::new([], auth::Created::default(), Policy::default(), usual));
    }
    let mut secrets = Vec::new();
    for name in ["MCP_API_KEY", "MCP_API_KEYS"] {
        let Some(value) = environment(name) else { continue };
        let value = value
            .into_string()
            .map_err(|_| ConfigError::Environment { name, message: "is not UTF-8".to_owned() })?;
        secrets.extend(split_keys(&value, if name == "MCP_API_KEYS" { ',' } else { '\n' }));
    }
    for path in &settings.key_files {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: PathBuf::from(path), source })?;
        secrets.extend(split_keys(&text, '\n'));
    }
    secrets.extend(credentials.keys.iter().flat_map(|(_, text)| split_keys(text, '\n')));
    let created = auth::read_created(&paths.state.join(auth::FILE))?;
    let allow_loopback = settings.allow_loopback && !settings.required;
    let policy = Policy { allow_loopback, required: has_other_proofs };
    Ok(Keys::new(secrets, created, policy, usual))
}

fn split_keys(text: &str, separator: char) -> Vec<String> {
    text.split(separator).map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// Every value as it will be used, in the order of the keys.
fn effective(layers: &Layers, paths: &Paths) -> Vec<(String, String, Origin)> {
    let mut lines = Vec::new();
    let table = toml::Table::try_from(&layers.file).unwrap_or_default();
    flatten(&toml::Value::Table(table), "", &mut |key, value| {
        // What a plugin is granted may be a secret.
        let is_granted = key.starts_with("plugin.") && key.contains(".env.");
        let shown = match is_granted || (key == "letta.url" && letta::may_hold_a_secret(value)) {
            true => "***".to_owned(),
            false => value.to_string(),
        };
        lines.push((key.to_owned(), shown, layers.origin(key)));
    });
    if layers.file.plugins.dir.is_none() {
        let shown = toml::Value::String(paths.plugins.display().to_string()).to_string();
        lines.push(("plugins.dir".to_owned(), shown, Origin::Default));
    }
    if layers.file.http.allow_external && layers.origin("http.host") == Origin::Default {
        for line in lines.iter_mut().filter(|(key, _, _)| key == "http.host") {
            *line = ("http.host".to_owned(), "\"0.0.0.0\"".to_owned(), layers.origin("http.allow_external"));
        }
    }
    lines.extend(sandbox::defaults(layers));
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

fn flatten(value: &toml::Value, prefix: &str, emit: &mut impl FnMut(&str, &toml::Value)) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(value, &key, emit);
            }
        }
        leaf => emit(prefix, leaf),
    }
}

#[cfg(test)]
#[path = "documented_tests.rs"]
mod documented_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
