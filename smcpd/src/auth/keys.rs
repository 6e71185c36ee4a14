//! API keys, and the grant that each one is.
//!
//! Keys are held only as digests, so that a comparison takes the same time whatever was presented, and
//! nothing that prints or dumps this module can give a key away.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::grant::{Caller, Grant};

/// When a request needs a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A client on a loopback address needs none (`MCP_AUTH_ALLOW_LOOPBACK`).
    pub(crate) allow_loopback: bool,
    /// There are other ways to say who one is, and so a need to, where there is no key.
    pub(crate) required: bool,
}

/// The configured keys. Empty means that no request needs one.
#[derive(Clone)]
pub(crate) struct Keys {
    known: Vec<([u8; 32], Arc<Grant>)>,
    policy: Policy,
    /// That of whoever needs no key.
    anonymous: Arc<Grant>,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new([], Policy::default())
    }
}

/// Two are equal where they let the same in.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.known.len() == other.known.len()
            && self
                .known
                .iter()
                .zip(&other.known)
                .all(|(ours, theirs)| ours.0 == theirs.0 && ours.1.is_same(&theirs.1))
            && self.policy == other.policy
            && self.anonymous.is_same(&other.anonymous)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({} of them)", self.known.len())
    }
}

/// Why a request was refused at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("an API key is needed: send `Authorization: Bearer KEY` or `X-API-Key: KEY`")]
    Missing,
    #[error("the API key is not one of ours")]
    Wrong,
    /// While the request was being answered.
    #[error("the API key is not valid any more")]
    Ended,
}

impl Keys {
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>, policy: Policy) -> Self {
        let mut known: Vec<([u8; 32], Arc<Grant>)> = Vec::new();
        for secret in secrets {
            let digest = Sha256::digest(secret.as_bytes()).into();
            if known.iter().all(|(other, _)| *other != digest) {
                let name = format!("key-{}", known.len() + 1);
                known.push((digest, Grant::whole(Caller::Key(name.into()))));
            }
        }
        Self { known, policy, anonymous: Grant::whole(Caller::Anonymous) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    /// Takes the place of `old`: who is let in by both goes on undisturbed, and the grants of all others end.
    pub(crate) fn succeed(&mut self, old: &Self) {
        for (digest, grant) in &mut self.known {
            let before = old.known.iter().find(|(known, theirs)| known == digest && theirs.is_same(grant));
            if let Some((_, before)) = before {
                *grant = Arc::clone(before);
            }
        }
        let is_kept = |grant: &Arc<Grant>| self.known.iter().any(|(_, kept)| Arc::ptr_eq(kept, grant));
        old.known.iter().filter(|(_, grant)| !is_kept(grant)).for_each(|(_, grant)| grant.ended().cancel());
        let is_as_open = self.is_empty() == old.is_empty() && self.policy == old.policy;
        if is_as_open && self.anonymous.is_same(&old.anonymous) {
            self.anonymous = Arc::clone(&old.anonymous);
        } else {
            old.anonymous.ended().cancel();
        }
    }

    /// The grant of whoever needs no key.
    pub(crate) fn anonymous(&self) -> Arc<Grant> {
        Arc::clone(&self.anonymous)
    }

    /// Decides who asks, from the two headers as they came and from whether the peer is on a loopback address.
    pub(crate) fn admit(
        &self,
        authorization: &[&str],
        api_key: &[&str],
        from_loopback: bool,
    ) -> Result<Arc<Grant>, AuthError> {
        if self.is_empty() && !self.policy.required {
            return Ok(self.anonymous());
        }
        let bearer = authorization.iter().filter_map(|header| bearer(header));
        let plain = api_key.iter().map(|header| header.trim()).filter(|key| !key.is_empty());
        let mut presented = bearer.chain(plain).peekable();
        if presented.peek().is_none() {
            return match self.policy.allow_loopback && from_loopback {
                true => Ok(self.anonymous()),
                false => Err(AuthError::Missing),
            };
        }
        presented.find_map(|key| self.find(key)).ok_or(AuthError::Wrong)
    }

    /// Compares with every key, found or not, so that the time says nothing about which one came near.
    fn find(&self, presented: &str) -> Option<Arc<Grant>> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for (known, grant) in &self.known {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(Arc::clone(grant));
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
        Keys::new(["one".to_owned(), "two".to_owned()], Policy { allow_loopback, required: false })
    }

    fn admit(
        keys: &Keys,
        authorization: &[&str],
        api_key: &[&str],
        from_loopback: bool,
    ) -> Result<Caller, AuthError> {
        keys.admit(authorization, api_key, from_loopback).map(|grant| grant.caller().clone())
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
                &admit(&keys(false), authorization, api_key, true),
                expected,
                "{authorization:?} {api_key:?}"
            );
        }
    }

    #[test]
    fn loopback_skips_the_key_only_where_configured_and_a_wrong_key_is_still_wrong() {
        assert_eq!(admit(&keys(true), &[], &[], true), Ok(Caller::Anonymous));
        assert_eq!(admit(&keys(true), &[], &[], false), Err(AuthError::Missing));
        assert_eq!(admit(&keys(true), &["Bearer nine"], &[], true), Err(AuthError::Wrong));
    }

    #[test]
    fn without_keys_everyone_is_anonymous_and_debug_shows_no_key() {
        assert_eq!(admit(&Keys::default(), &["Bearer x"], &[], false), Ok(Caller::Anonymous));
        assert_eq!(format!("{:?}", keys(false)), "Keys(2 of them)");
    }

    #[test]
    fn a_key_that_leaves_ends_its_grant_and_one_that_stays_keeps_it() {
        let keys = |secrets: &[&str]| {
            Keys::new(secrets.iter().map(|secret| (*secret).to_owned()), Policy::default())
        };
        let ended = |keys: &Keys| -> Vec<bool> {
            keys.known.iter().map(|(_, grant)| grant.ended().is_cancelled()).collect()
        };
        let (none, two) = (keys(&[]), keys(&["one", "two"]));
        let mut now = keys(&["one", "two"]);
        now.succeed(&two);
        assert!(two.known.iter().zip(&now.known).all(|((_, one), (_, other))| Arc::ptr_eq(one, other)));
        // `two` becomes the first, under another name: whoever had that name before is not followed.
        let mut left = keys(&["two"]);
        left.succeed(&now);
        assert_eq!(ended(&two), [true, true]);
        assert_eq!(ended(&left), [false]);
        let mut first = keys(&["one"]);
        first.succeed(&none);
        assert!(none.anonymous.ended().is_cancelled() && !first.anonymous.ended().is_cancelled());
    }
}
