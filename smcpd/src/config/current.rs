//! The configuration of this moment, and the way to a new one.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Config, ConfigError, Origin};
use crate::auth::{self, KeyChange, KeyError, NewSecret, Record, StoreError};

/// Reloads that may wait to be done.
const WAITING: usize = 16;

/// What the daemon was told, the latest that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    receiver: watch::Receiver<Arc<Config>>,
}

impl Current {
    /// Returns the configuration of this moment; it never changes.
    pub(crate) fn get(&self) -> Arc<Config> {
        Arc::clone(&self.receiver.borrow())
    }

    /// Waits for the next one; `false` where there will be none.
    pub(crate) async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// The defaults with these changes, for tests.
    #[cfg(test)]
    pub(crate) fn of(changes: &[(&'static str, toml::Value)]) -> Self {
        let config = for_tests(changes).expect("a test's configuration is valid");
        Self { receiver: watch::channel(Arc::new(config)).1 }
    }
}

/// One value that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) key: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) origin: Origin,
}

impl Difference {
    pub(crate) fn needs_restart(&self) -> bool {
        needs_restart(&self.key)
    }
}

/// Returns whether a value is read at the start alone.
pub(crate) fn needs_restart(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    section == "control"
        || matches!(
            key,
            "http.host"
                | "http.port"
                | "http.allow_external"
                | "plugins.startup_wait"
                | "log.format"
                | "log.file"
                | "log.keep"
        )
}

/// Lists the values that differ, in the order of their keys.
pub(crate) fn differences(old: &Config, new: &Config) -> Vec<Difference> {
    let unset = || "unset".to_owned();
    let value = |config: &Config, key: &str| {
        config.effective.iter().find(|(name, _, _)| name == key).map(|(_, value, _)| value.clone())
    };
    let mut found: Vec<Difference> = Vec::new();
    for (key, to, origin) in &new.effective {
        let from = value(old, key);
        if from.as_ref() != Some(to) {
            let from = from.unwrap_or_else(unset);
            found.push(Difference { key: key.clone(), from, to: to.clone(), origin: origin.clone() });
        }
    }
    for (key, from, _) in &old.effective {
        if value(new, key).is_none() {
            let (key, from) = (key.clone(), from.clone());
            found.push(Difference { key, from, to: unset(), origin: Origin::Default });
        }
    }
    if old.keys != new.keys {
        let (from, to) = (format!("{} keys", old.keys.count()), format!("{} keys", new.keys.count()));
        found.push(Difference { key: "auth.keys".to_owned(), from, to, origin: Origin::Default });
    }
    // What the earlier system's files hold is no value of ours.
    let is_profile = |one: &Difference| one.key.starts_with("profile");
    if old.profiles != new.profiles && !found.iter().any(is_profile) {
        let count = |config: &Config| format!("{} profiles", config.profiles.named.len());
        let (from, to) = (count(old), count(new));
        found.push(Difference { key: "profiles".to_owned(), from, to, origin: Origin::Default });
    }
    // A secret's value is not shown, but that it changed is.
    let letta_key = |config: &Config| config.letta.as_ref().and_then(|letta| letta.key.clone());
    if let (Some(before), Some(now)) = (letta_key(old), letta_key(new))
        && before != now
        && value(old, "letta.key") == value(new, "letta.key")
    {
        let (from, to) = ("***".to_owned(), "another".to_owned());
        found.push(Difference { key: "letta.key".to_owned(), from, to, origin: Origin::Default });
    }
    let state_key = "auth.state_key";
    if old.state_keys != new.state_keys && value(old, state_key) == value(new, state_key) {
        let (key, from, to) = (state_key.to_owned(), "***".to_owned(), "another".to_owned());
        found.push(Difference { key, from, to, origin: Origin::Default });
    }
    for (name, plugin) in &new.plugin {
        let granted = &plugin.environment;
        let before = old.plugin.get(name).map(|plugin| &plugin.environment);
        for (variable, _) in granted.iter().filter(|(name, value)| {
            before.and_then(|before| before.get(*name)).is_some_and(|before| before != *value)
        }) {
            found.push(Difference {
                key: format!("plugin.{name}.env.{variable}"),
                from: "***".to_owned(),
                to: "another".to_owned(),
                origin: Origin::Default,
            });
        }
    }
    found.sort_by(|one, other| one.key.cmp(&other.key));
    found
}

/// What reading the configuration again brought, or why the old one stays.
pub(crate) type Answer = Result<Vec<Difference>, ReloadError>;

#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error("the configuration was refused, and the old one stays: {0}")]
    Refused(String),
    #[error("too many reloads are waiting")]
    Busy,
    #[error("the daemon is stopping")]
    Stopping,
}

/// What is wanted of the configuration, one after the other.
#[derive(Debug)]
pub(crate) enum Wish {
    Reload(Reload),
    Keys(Keys),
}

/// One change of the keys that operators made.
#[derive(Debug)]
pub(crate) struct Keys {
    change: KeyChange,
    answer: oneshot::Sender<Result<KeyChanged, KeyRefused>>,
}

/// A key that was made, rotated or revoked.
#[derive(Debug)]
pub(crate) struct KeyChanged {
    pub(crate) record: Record,
    /// What the holder presents from now on; nobody is told again.
    pub(crate) secret: Option<NewSecret>,
    /// Until now nobody needed a key.
    pub(crate) was_open: bool,
}

/// Why the keys stay as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyRefused {
    #[error(transparent)]
    Change(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("too many changes are waiting")]
    Busy,
    #[error("the daemon is stopping")]
    Stopping,
}

impl Keys {
    /// Changes the file, and then what the door knows: a key that is not kept opens nothing. The rest of the
    /// configuration stays, also where its file cannot be read at the moment: a revocation waits for nothing.
    pub(crate) fn carry_out(self, publisher: &Publisher) {
        let change = || {
            let old = publisher.current();
            let path = old.paths.state.join(auth::FILE);
            let mut created = auth::read_created(&path)?;
            let secret = NewSecret::make();
            if let KeyChange::Create { profiles, .. } = &self.change
                && let Some(name) = profiles.iter().find(|name| !old.profiles.named.contains_key(*name))
            {
                let name = name.chars().filter(|one| !one.is_control()).take(64).collect();
                return Err(KeyError::Profile(name).into());
            }
            let record = created.change(&self.change, auth::now(), &secret)?;
            auth::write_created(&path, &created)?;
            let was_open = old.keys.is_open();
            let mut new = Config::clone(&old);
            // Where nobody needs a key, a new one changes nothing.
            if !old.auth_disabled {
                new.keys = old.keys.with_created(created);
                new.keys.succeed(&old.keys);
            }
            publisher.sender.send_replace(Arc::new(new));
            let secret = match self.change {
                KeyChange::Create { .. } | KeyChange::Rotate { .. } => Some(secret),
                KeyChange::Revoke { .. } => None,
            };
            Ok(KeyChanged { record, secret, was_open })
        };
        let result = change();
        // Whoever asked may have gone away.
        let _gone = self.answer.send(result);
    }
}

/// One request to read the configuration again.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Only check it, and say what would change.
    pub(crate) plan: bool,
    answer: oneshot::Sender<Answer>,
}

impl Reload {
    /// Reads with `load`, and publishes what was accepted; the error is the reason for refusing.
    pub(crate) fn carry_out(
        self,
        publisher: &Publisher,
        load: impl FnOnce() -> Result<Config, ConfigError>,
    ) -> Result<(), String> {
        let result = match load() {
            Ok(new) => {
                let found = differences(&publisher.current(), &new);
                // What is the same stays the same, so that nobody is told of a change that is none.
                if !self.plan && !found.is_empty() {
                    publisher.publish(new);
                }
                Ok(found)
            }
            Err(error) => Err(in_full(&error)),
        };
        let refused = result.as_ref().map(drop).map_err(String::clone);
        // Whoever asked may have gone away.
        let _gone = self.answer.send(result.map_err(ReloadError::Refused));
        refused
    }
}

fn in_full(error: &ConfigError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Hands out new configurations.
#[derive(Debug)]
pub(crate) struct Publisher {
    sender: watch::Sender<Arc<Config>>,
}

impl Publisher {
    pub(crate) fn new(config: Config) -> (Self, Current) {
        let (sender, receiver) = watch::channel(Arc::new(config));
        (Self { sender }, Current { receiver })
    }

    fn current(&self) -> Arc<Config> {
        Arc::clone(&self.sender.borrow())
    }

    /// What needs a restart keeps the look of the old value, with the new one beside it.
    fn publish(&self, mut new: Config) {
        let old = self.current();
        new.pending.clear();
        new.keys.succeed(&old.keys);
        for (key, value, origin) in &mut new.effective {
            let used = old.effective.iter().find(|(name, _, _)| name == key);
            if let Some((_, used, was)) = used.filter(|(_, used, _)| needs_restart(key) && used != value) {
                new.pending.insert(key.clone(), std::mem::replace(value, used.clone()));
                *origin = was.clone();
            }
        }
        self.sender.send_replace(Arc::new(new));
    }
}

/// Asks for the configuration to be read again.
#[derive(Debug, Clone)]
pub(crate) struct Reloads {
    requests: mpsc::Sender<Wish>,
}

impl Reloads {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (requests, receiver) = mpsc::channel(WAITING);
        (Self { requests }, receiver)
    }

    /// Reads, checks, and swaps or keeps; with `plan` it only reads and checks.
    pub(crate) async fn request(&self, plan: bool) -> Answer {
        let (answer, result) = oneshot::channel();
        self.requests.try_send(Wish::Reload(Reload { plan, answer })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReloadError::Busy,
            mpsc::error::TrySendError::Closed(_) => ReloadError::Stopping,
        })?;
        result.await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// Changes the keys that operators made.
    pub(crate) async fn change_key(&self, change: KeyChange) -> Result<KeyChanged, KeyRefused> {
        let (answer, result) = oneshot::channel();
        self.requests.try_send(Wish::Keys(Keys { change, answer })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => KeyRefused::Busy,
            mpsc::error::TrySendError::Closed(_) => KeyRefused::Stopping,
        })?;
        result.await.unwrap_or(Err(KeyRefused::Stopping))
    }
}

/// The defaults of a user's daemon with these changes.
#[cfg(test)]
pub(crate) fn for_tests(changes: &[(&'static str, toml::Value)]) -> Result<Config, ConfigError> {
    let change = |(key, value): &(&'static str, toml::Value)| super::Override {
        key,
        value: value.clone(),
        origin: Origin::Flag("--x"),
    };
    let environment = |name: &str| (name == "HOME").then(|| "/nonexistent".into());
    let flags = changes.iter().map(change).collect();
    Config::load(super::Sources {
        mode: crate::paths::Mode::User,
        file: None,
        environment: &environment,
        flags,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reload_swaps_keeps_or_plans() {
        let (publisher, current) = Publisher::new(for_tests(&[]).unwrap());
        let (reloads, mut requests) = Reloads::new();
        let ask = async |plan: bool,
                         changes: &[(&'static str, toml::Value)],
                         requests: &mut mpsc::Receiver<Wish>| {
            let (answer, ()) = tokio::join!(reloads.request(plan), async {
                let Wish::Reload(reload) = requests.recv().await.unwrap() else { panic!("a reload") };
                let _told = reload.carry_out(&publisher, || for_tests(changes));
            });
            answer.map(|found| {
                let line =
                    |one: &Difference| format!("{} {} {} {}", one.key, one.from, one.to, one.needs_restart());
                found.iter().map(line).collect::<Vec<_>>().join(", ")
            })
        };
        let new = [("execution.queue", 7.into()), ("http.port", 9.into())];
        let said = "execution.queue 256 7 false, http.port 8000 9 true";
        assert_eq!(ask(true, &new, &mut requests).await.unwrap(), said);
        assert_eq!(current.get().execution.queue, 256);
        assert_eq!(ask(false, &new, &mut requests).await.unwrap(), said);
        assert_eq!(current.get().execution.queue, 7);
        // What the daemon goes on with is shown, and what waits for a restart beside it.
        let shown = current.get();
        assert!(shown.effective.iter().any(|(key, value, _)| key == "http.port" && value == "8000"));
        assert_eq!(shown.pending["http.port"], "9");
        let refused = ask(false, &[("execution.queue", toml::Value::Integer(-1))], &mut requests).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the old one stays") && refused.contains("execution.queue"), "{refused}");
        assert_eq!(current.get().execution.queue, 7);
        assert_eq!(ask(false, &[], &mut requests).await.unwrap(), "execution.queue 7 256 false");
        drop(requests);
        assert!(matches!(reloads.request(false).await, Err(ReloadError::Stopping)));
    }
}
