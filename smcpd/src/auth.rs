//! Who asks: API keys, and the caller that a key stands for.
//!
//! Keys are held only as digests, so that a comparison takes the same time whatever was presented, and
//! nothing that prints or dumps this module can give a key away.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whoever asks for a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// No key was needed.
    Anonymous,
    /// One of the configured keys, by its place in the list.
    Key(Arc<str>),
    /// The process at the other end of our standard input.
    Stdio,
    /// A local user at the control socket.
    User(u32),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("anonymous"),
            Self::Key(name) => formatter.write_str(name),
            Self::Stdio => formatter.write_str("stdio"),
            Self::User(uid) => write!(formatter, "uid {uid}"),
        }
    }
}

/// When a request needs a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A client on a loopback address needs none (`MCP_AUTH_ALLOW_LOOPBACK`).
    pub(crate) allow_loopback: bool,
}

/// The configured keys. Empty means that no request needs one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    digests: Vec<(Arc<str>, [u8; 32])>,
    policy: Policy,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({} of them)", self.digests.len())
    }
}

/// Why a request was refused at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("an API key is needed: send `Authorization: Bearer KEY` or `X-API-Key: KEY`")]
    Missing,
    #[error("the API key is not one of ours")]
    Wrong,
}

impl Keys {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>, policy: Policy) -> Self {
        let mut digests: Vec<(Arc<str>, [u8; 32])> = Vec::new();
        for secret in secrets {
            let digest = Sha256::digest(secret.as_bytes()).into();
            if digests.iter().all(|(_, known)| *known != digest) {
                digests.push((format!("key-{}", digests.len() + 1).into(), digest));
            }
        }
        Self { digests, policy }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.digests.len()
    }

    /// Decides who asks, from the two headers as they came and from whether the peer is on a loopback address.
    pub(crate) fn admit(
        &self,
        authorization: &[&str],
        api_key: &[&str],
        from_loopback: bool,
    ) -> Result<Caller, AuthError> {
        if self.is_empty() {
            return Ok(Caller::Anonymous);
        }
        let bearer = authorization.iter().filter_map(|header| bearer(header));
        let plain = api_key.iter().map(|header| header.trim()).filter(|key| !key.is_empty());
        let mut presented = bearer.chain(plain).peekable();
        if presented.peek().is_none() {
            return match self.policy.allow_loopback && from_loopback {
                true => Ok(Caller::Anonymous),
                false => Err(AuthError::Missing),
            };
        }
        presented.find_map(|key| self.find(key)).ok_or(AuthError::Wrong)
    }

    /// Compares with every key, found or not, so that the time says nothing about which one came near.
    fn find(&self, presented: &str) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for (name, known) in &self.digests {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(Caller::Key(Arc::clone(name)));
            }
        }
        found
    }
}

/// Reads `Bearer KEY`, and `Bearer KEY, Bearer KEY` of one and the same key, which Letta Code sends over SSE.
fn bearer(header: &str) -> Option<&str> {
    let mut keys = header.split(',').map(|part| {
        let (scheme, key) = part.trim().split_once(' ')?;
        let key = key.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
    });
    let first = keys.next()??;
    keys.all(|key| key == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(allow_loopback: bool) -> Keys {
        Keys::new(["one".to_owned(), "two".to_owned()], Policy { allow_loopback })
    }

    #[test]
    fn a_request_is_admitted_by_any_key_in_either_header() {
        let key = |name: &str| Ok(Caller::Key(name.into()));
        type Case<'a> = (&'a [&'a str], &'a [&'a str], Result<Caller, AuthError>);
        let cases: &[Case<'_>] = &[
            (&["Bearer one"], &[], key("key-1")),
            (&["bearer  two "], &[], key("key-2")),
            (&[], &["two"], key("key-2")),
            (&["Bearer one, Bearer one"], &[], key("key-1")),
            (&["Bearer one, Bearer two"], &[], Err(AuthError::Missing)),
            (&["Bearer stale"], &["one"], key("key-1")),
            (&["Bearer three"], &[], Err(AuthError::Wrong)),
            (&["Basic one"], &[], Err(AuthError::Missing)),
            (&["Bearer"], &[], Err(AuthError::Missing)),
            (&["Bearer "], &[" "], Err(AuthError::Missing)),
            (&[","], &[], Err(AuthError::Missing)),
            (&[], &[], Err(AuthError::Missing)),
            (&["one"], &["ONE"], Err(AuthError::Wrong)),
        ];
        for (authorization, api_key, expected) in cases {
            assert_eq!(
                &keys(false).admit(authorization, api_key, true),
                expected,
                "{authorization:?} {api_key:?}"
            );
        }
    }

    #[test]
    fn loopback_skips_the_key_only_where_configured_and_a_wrong_key_is_still_wrong() {
        assert_eq!(keys(true).admit(&[], &[], true), Ok(Caller::Anonymous));
        assert_eq!(keys(true).admit(&[], &[], false), Err(AuthError::Missing));
        assert_eq!(keys(true).admit(&["Bearer nine"], &[], true), Err(AuthError::Wrong));
    }

    #[test]
    fn without_keys_everyone_is_anonymous_and_debug_shows_no_key() {
        assert_eq!(Keys::default().admit(&["Bearer x"], &[], false), Ok(Caller::Anonymous));
        assert_eq!(format!("{:?}", keys(false)), "Keys(2 of them)");
    }
}
