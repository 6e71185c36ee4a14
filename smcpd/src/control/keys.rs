//! The keys that operators make: each change is carried out and audited, whether or not its client waits for it.

use std::sync::Arc;

use smcp_control::{KeyChanged, KeyInfo, KeySource, KeyState, RefusalCode, Reply, SecretText};

use super::requests::refused;
use super::{Control, Operator, shown};
use crate::auth::{self, KeyChange, KeyError, Keys, Record};
use crate::config::{self, Config, KeyRefused};

impl Control {
    pub(super) fn keys(&self) -> Reply {
        let config = self.current.get();
        let (keys, now) = (&config.keys, auth::now());
        let configured = keys.configured().map(|name| KeyInfo {
            name: name.to_owned(),
            source: KeySource::Configured,
            state: KeyState::Active,
            created: None,
            expires: None,
            last_used: keys.used(name).map(shown::time),
            previous_until: None,
            agent: None,
            profiles: keys.profiles_of(name),
        });
        let created = keys.created().keys.iter().map(|record| created(record, keys, now));
        Reply::Keys { keys: configured.chain(created).collect() }
    }

    /// In a task of its own: a client that goes away at once is audited too.
    pub(super) async fn change_key(&self, operator: Operator, change: KeyChange) -> Reply {
        let (reloads, current, audit) = (self.reloads.clone(), self.current.clone(), Arc::clone(&self.audit));
        let changing = self.service.tasks().spawn(async move {
            let (action, object) = named(&change);
            let reply = match reloads.change_key(change.clone()).await {
                Ok(changed) => Reply::KeyChanged(told(&change, changed, &current.get())),
                Err(error) => key_refused(&error),
            };
            let outcome = match &reply {
                Reply::Refused(refusal) => refusal.message.as_str(),
                _ => "ok",
            };
            audit.note(operator.uid, operator.pid, action, &object, outcome);
            reply
        });
        let lost = |_| refused(RefusalCode::Failed, "the daemon is stopping".to_owned(), None);
        changing.await.unwrap_or_else(lost)
    }
}

fn created(record: &Record, keys: &Keys, now: u64) -> KeyInfo {
    let previous = record.previous.as_ref().filter(|previous| previous.until > now);
    KeyInfo {
        name: record.name.clone(),
        source: KeySource::Created,
        state: match (record.expires, previous) {
            (Some(expires), _) if expires <= now => KeyState::Expired,
            (_, Some(_)) => KeyState::Rotating,
            (_, None) => KeyState::Active,
        },
        created: Some(shown::time(record.created)),
        expires: record.expires.map(shown::time),
        last_used: keys.used(&record.name).map(shown::time),
        previous_until: previous.map(|previous| shown::time(previous.until)),
        agent: record.agent.clone(),
        profiles: keys.profiles_of(&record.name),
    }
}

/// What is audited of a change.
fn named(change: &KeyChange) -> (&'static str, String) {
    let short = |name: &str| name.chars().filter(|one| !one.is_control()).take(80).collect::<String>();
    match change {
        // A secret given as a name is no name, and is not written down.
        KeyChange::Create { name, .. } | KeyChange::Revoke { name } | KeyChange::Rotate { name, .. }
            if name.contains(auth::PREFIX) =>
        {
            ("key", "***".to_owned())
        }
        KeyChange::Create { name, profiles, agent, expires } => {
            let profiles: String = profiles.iter().map(|one| format!(" profile={}", short(one))).collect();
            let agent = agent.as_ref().map(|agent| format!(" agent={}", short(agent))).unwrap_or_default();
            let expires = expires.map(|seconds| format!(" expires={seconds}s")).unwrap_or_default();
            ("key-create", format!("{}{profiles}{agent}{expires}", short(name)))
        }
        KeyChange::Revoke { name } => ("key-revoke", short(name)),
        KeyChange::Rotate { name, overlap } => ("key-rotate", format!("{} overlap={overlap}s", short(name))),
    }
}

fn told(change: &KeyChange, changed: config::KeyChanged, config: &Config) -> KeyChanged {
    let config::KeyChanged { record, secret, was_open } = changed;
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    if config.auth_disabled {
        note("authentication is disabled (MCP_AUTH_DISABLED): nobody needs a key, this one included");
    } else if was_open {
        note(
            "until now nobody needed a key: from now on whoever comes over HTTP without one is refused, and what was open \
             has been closed",
        );
    }
    let is_revoked = matches!(change, KeyChange::Revoke { .. });
    if is_revoked && config.keys.count() == 0 && !config.auth_disabled {
        note("that was the last key: nobody is let in over HTTP until one is created");
    }
    KeyChanged {
        key: created(&record, &config.keys, auth::now()),
        secret: secret.map(|secret| SecretText(secret.0)),
        notes,
    }
}

fn key_refused(error: &KeyRefused) -> Reply {
    let with = |code, hint| refused(code, error.to_string(), hint);
    match error {
        KeyRefused::Change(KeyError::Unknown(_)) => {
            with(RefusalCode::NotFound, Some("see `smcpctl keys list`"))
        }
        KeyRefused::Change(KeyError::Profile(_)) => {
            with(RefusalCode::NotFound, Some("see `smcpctl profiles list`"))
        }
        KeyRefused::Change(KeyError::Exists(_)) => {
            with(RefusalCode::Failed, Some("take another name, or `smcpctl keys rotate` it"))
        }
        KeyRefused::Change(KeyError::Expired) => {
            with(RefusalCode::Failed, Some("revoke it, and create it anew"))
        }
        KeyRefused::Change(KeyError::TooMany) => {
            with(RefusalCode::Failed, Some("revoke those that have expired"))
        }
        KeyRefused::Change(KeyError::Name(_) | KeyError::Reserved(_) | KeyError::Agent(_)) => {
            with(RefusalCode::Failed, None)
        }
        KeyRefused::Store(error) => {
            let message = match std::error::Error::source(error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            refused(RefusalCode::Failed, message, Some("nothing was changed"))
        }
        KeyRefused::Busy => with(RefusalCode::Busy, Some("try again")),
        KeyRefused::Stopping => with(RefusalCode::Failed, None),
    }
}
