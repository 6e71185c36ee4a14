//! The keys that operators made: what is kept of each, and how a change changes them.

use crate::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every secret of ours begins with, so that whoever scans for leaked ones knows it.
pub(crate) const PREFIX: &str = "smcp_";
/// Keys at once: each request is compared with all of them.
const MOST: usize = 1_000;
/// Letters of a name.
const LONGEST: usize = 64;

/// What is kept of a key: its secret is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// SHA-256 of the secret.
    pub(super) digest: Hex,
    /// Seconds since 1970, as every time here.
    pub(crate) created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
    /// Empty: whatever a caller without profiles reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) profiles: Vec<String>,
    /// The agent that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// The secret before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Previous>,
}

/// A secret that was replaced and still opens for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Previous {
    pub(super) digest: Hex,
    pub(crate) until: u64,
}

/// A digest, written in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hex(pub(super) [u8; 32]);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hexadecimal::write(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hexadecimal::read(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a digest has 64 hexadecimal digits"))
    }
}

/// Every key that was made and not revoked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Created {
    /// Of the format.
    version: Version,
    /// A key was made once. From then on the door is shut to whoever has none, also where the last one is revoked.
    pub(crate) required: bool,
    pub(crate) keys: Vec<Record>,
}

/// The only one there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            1 => Ok(Self),
            other => {
                Err(serde::de::Error::custom(format!("version {other} is not known: it is a newer smcpd's")))
            }
        }
    }
}

/// What an operator wants of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyChange {
    Create {
        name: String,
        profiles: Vec<String>,
        agent: Option<String>,
        /// In seconds from now.
        expires: Option<u64>,
    },
    Revoke {
        name: String,
    },
    Rotate {
        name: String,
        /// How long the old secret goes on, in seconds.
        overlap: u64,
    },
}

/// Why the keys stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("a key is called `{0}` already")]
    Exists(String),
    #[error("no key is called `{0}`")]
    Unknown(String),
    #[error(
        "`{0}` is no name for a key: it has 1 to {LONGEST} of the letters a-z, A-Z, 0-9, `.`, `_` and `-`"
    )]
    Name(String),
    #[error("`{0}` is what the daemon calls others")]
    Reserved(String),
    #[error("`{0}` is no agent: it has 1 to 256 letters, and none that could break a line")]
    Agent(String),
    #[error("no profile is called `{0}`")]
    Profile(String),
    #[error("there are {MOST} keys, which is the most")]
    TooMany,
    #[error("the key would have expired already")]
    Expired,
}

/// A secret, which is shown once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NewSecret(pub(crate) String);

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl NewSecret {
    /// 256 bits of the operating system's randomness.
    pub(crate) fn make() -> Self {
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).expect("the operating system gives randomness");
        Self(format!("{PREFIX}{}", hexadecimal::write(&random)))
    }

    fn digest(&self) -> Hex {
        Hex(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl Created {
    pub(crate) fn find(&self, name: &str) -> Option<&Record> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Carries out a change at the time `now`; `secret` is that of the key that it makes anew. Returns what is kept of
    /// the key, or was.
    pub(crate) fn change(
        &mut self,
        change: &KeyChange,
        now: u64,
        secret: &NewSecret,
    ) -> Result<Record, KeyError> {
        // What is over is not carried along for ever.
        for key in &mut self.keys {
            key.previous.take_if(|previous| previous.until <= now);
        }
        match change {
            KeyChange::Create { name, profiles, agent, expires } => {
                checked(name)?;
                if self.find(name).is_some() {
                    return Err(KeyError::Exists(name.clone()));
                }
                if let Some(agent) = agent.as_ref().filter(|agent| !is_agent(agent)) {
                    return Err(KeyError::Agent(
                        agent.chars().filter(|one| !one.is_control()).take(80).collect(),
                    ));
                }
                if self.keys.len() >= MOST {
                    return Err(KeyError::TooMany);
                }
                let expires = expires.map(|seconds| now.saturating_add(seconds));
                if expires.is_some_and(|expires| expires <= now) {
                    return Err(KeyError::Expired);
                }
                let (name, profiles, agent) = (name.clone(), profiles.clone(), agent.clone());
                let digest = secret.digest();
                let record = Record { name, digest, created: now, expires, profiles, agent, previous: None };
                self.required = true;
                self.keys.push(record.clone());
                Ok(record)
            }
            KeyChange::Revoke { name } => {
                let at = self.keys.iter().position(|key| key.name == *name);
                Ok(self.keys.remove(at.ok_or_else(|| unknown(name))?))
            }
            KeyChange::Rotate { name, overlap } => {
                let key = self.keys.iter_mut().find(|key| key.name == *name).ok_or_else(|| unknown(name))?;
                if key.expires.is_some_and(|expires| expires <= now) {
                    return Err(KeyError::Expired);
                }
                let until = now.saturating_add(*overlap);
                let old = std::mem::replace(&mut key.digest, secret.digest());
                key.previous = (*overlap > 0).then_some(Previous { digest: old, until });
                Ok(key.clone())
            }
        }
    }
}

fn unknown(name: &str) -> KeyError {
    KeyError::Unknown(name.chars().filter(|one| !one.is_control()).take(LONGEST).collect())
}

/// Who sees a caller's name must know whose it is: none is like that of another kind of caller, or like a secret.
fn checked(name: &str) -> Result<(), KeyError> {
    let is_letter = |one: u8| one.is_ascii_alphanumeric() || b"._-".contains(&one);
    if name.starts_with(PREFIX) {
        return Err(KeyError::Reserved(format!("{PREFIX}…")));
    }
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_letter) {
        return Err(KeyError::Name(name.chars().filter(|one| !one.is_control()).take(LONGEST).collect()));
    }
    let is_configured = |rest: &str| !rest.is_empty() && rest.bytes().all(|one| one.is_ascii_digit());
    if name.strip_prefix("key-").is_some_and(is_configured) || ["anonymous", "stdio"].contains(&name) {
        return Err(KeyError::Reserved(name.to_owned()));
    }
    Ok(())
}

fn is_agent(agent: &str) -> bool {
    !agent.is_empty() && agent.len() <= 256 && !agent.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str, expires: Option<u64>) -> KeyChange {
        KeyChange::Create { name: name.to_owned(), profiles: Vec::new(), agent: None, expires }
    }

    fn secret(text: &str) -> NewSecret {
        NewSecret(text.to_owned())
    }

    #[test]
    fn a_key_is_made_rotated_and_revoked_and_what_is_kept_says_no_secret() {
        let mut keys = Created::default();
        let made = NewSecret::make();
        assert!(made.0.len() == 69 && made.0.starts_with("smcp_") && made != NewSecret::make());
        assert_eq!(format!("{made:?}"), "***");
        keys.change(&create("letta-1", Some(90)), 1_000, &made).unwrap();
        assert!(keys.required && keys.keys[0].expires == Some(1_090));
        assert_eq!(
            keys.change(&create("letta-1", None), 1_001, &made),
            Err(KeyError::Exists("letta-1".to_owned()))
        );
        let first = keys.keys[0].digest;
        let rotate = |overlap| KeyChange::Rotate { name: "letta-1".to_owned(), overlap };
        keys.change(&rotate(60), 1_010, &secret("b")).unwrap();
        assert_eq!(keys.keys[0].previous, Some(Previous { digest: first, until: 1_070 }));
        assert_ne!(keys.keys[0].digest, first);
        // The one before the last opens no longer than the last.
        keys.change(&rotate(0), 1_020, &secret("c")).unwrap();
        assert_eq!(keys.keys[0].previous, None);
        assert_eq!(keys.change(&rotate(9), 1_090, &secret("d")), Err(KeyError::Expired));
        let text = serde_json::to_string(&keys).unwrap();
        assert!(!text.contains(&made.0[5..]) && text.contains(&hexadecimal::write(&keys.keys[0].digest.0)));
        assert_eq!(serde_json::from_str::<Created>(&text).unwrap(), keys);
        let revoke = KeyChange::Revoke { name: "letta-1".to_owned() };
        keys.change(&revoke, 2_000, &made).unwrap();
        assert_eq!(keys.change(&revoke, 2_000, &made), Err(KeyError::Unknown("letta-1".to_owned())));
        assert!(keys.required && keys.keys.is_empty(), "the door stays shut");
    }

    #[test]
    fn a_name_is_nobody_elses() {
        for name in ["a", "letta-1", "Key-1", "key-", "key-1a", "a.b_c"] {
            assert_eq!(checked(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert!(matches!(checked(name), Err(KeyError::Name(_))), "{name}");
        }
        for name in ["key-1", "key-12", "anonymous", "stdio", "smcp_0123"] {
            assert!(matches!(checked(name), Err(KeyError::Reserved(_))), "{name}");
        }
        let error = checked("smcp_0123").unwrap_err().to_string();
        assert!(!error.contains("0123"), "{error}");
    }

    #[test]
    fn a_file_of_another_make_is_refused() {
        for text in [
            "{}",
            r#"{"version":2,"required":true,"keys":[]}"#,
            r#"{"version":1,"required":true,"keys":[],"more":1}"#,
            r#"{"version":1,"required":true,"keys":[{"name":"a","digest":"00","created":1}]}"#,
        ] {
            assert!(serde_json::from_str::<Created>(text).is_err(), "{text}");
        }
    }
}
