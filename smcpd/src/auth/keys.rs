//! The keys that open the door, and the grant that each one is.
//!
//! A secret is held as its digest alone, so that a comparison takes the same time whatever was presented, and nothing that
//! prints or dumps this module can give a key away.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::created::{Created, PREFIX, Record};
use super::grant::{Caller, Grant, Scope};

/// A key of the configuration with fewer letters may be a word: whoever tries words has to be slowed down.
const GUESSED: usize = 24;

/// When a request needs a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// A client on a loopback address needs none (`MCP_AUTH_ALLOW_LOOPBACK`).
    pub(crate) allow_loopback: bool,
    /// There are other ways to say who one is, and so a need to, where there is no key.
    pub(crate) required: bool,
}

/// Every key: those of the configuration, and those that operators made.
#[derive(Clone)]
pub(crate) struct Keys {
    known: Vec<Known>,
    created: Arc<Created>,
    policy: Policy,
    /// What is reached without a profile of one's own.
    usual: Scope,
    /// That of whoever needs no key.
    anonymous: Arc<Grant>,
}

/// A secret, and what it opens.
#[derive(Debug, Clone)]
struct Known {
    digest: [u8; 32],
    grant: Arc<Grant>,
    /// Seconds since 1970.
    expires: Option<u64>,
    is_guessable: bool,
    is_created: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new([], Created::default(), Policy::default(), Scope::Everything)
    }
}

/// Two are equal where they let the same in.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(ours, theirs): (&Known, &Known)| {
            ours.digest == theirs.digest
                && ours.expires == theirs.expires
                && ours.grant.is_same(&theirs.grant)
        };
        self.known.len() == other.known.len()
            && self.known.iter().zip(&other.known).all(is_same)
            && self.created == other.created
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
    #[error("the API key has expired")]
    Expired,
    /// While the request was being answered.
    #[error("the API key is not valid any more")]
    Ended,
    /// Of one peer, within a minute.
    #[error("too many wrong keys came from there: wait {} s", wait.as_secs())]
    TooMany { wait: Duration },
}

impl Keys {
    pub(crate) fn new(
        secrets: impl IntoIterator<Item = String>,
        created: Created,
        policy: Policy,
        usual: Scope,
    ) -> Self {
        let mut known: Vec<Known> = Vec::new();
        for secret in secrets {
            let digest = Sha256::digest(secret.as_bytes()).into();
            if known.iter().all(|other| other.digest != digest) {
                let caller = Caller::Key(format!("key-{}", known.len() + 1).into());
                let grant = Arc::new(Grant::new(caller, usual.clone()));
                let is_guessable = secret.len() < GUESSED;
                known.push(Known { digest, grant, expires: None, is_guessable, is_created: false });
            }
        }
        let anonymous = Arc::new(Grant::new(Caller::Anonymous, usual.clone()));
        Self { known, created: Arc::default(), policy, usual, anonymous }.with_created(created)
    }

    /// The same with other keys of operators.
    pub(crate) fn with_created(&self, created: Created) -> Self {
        let mut known = self.known.clone();
        known.retain(|key| !key.is_created);
        for record in &created.keys {
            let grant = |digest, expires| {
                let grant = Arc::new(granted(record, &self.usual));
                Known { digest, grant, expires, is_guessable: false, is_created: true }
            };
            known.push(grant(record.digest.0, record.expires));
            if let Some(previous) = &record.previous {
                let until = record.expires.map_or(previous.until, |expires| expires.min(previous.until));
                known.push(grant(previous.digest.0, Some(until)));
            }
        }
        Self { known, created: Arc::new(created), ..self.clone() }
    }

    /// Whether nobody needs a key.
    pub(crate) fn is_open(&self) -> bool {
        self.known.is_empty() && !self.created.required && !self.policy.required
    }

    /// How many keys there are, used or not.
    pub(crate) fn count(&self) -> usize {
        self.known.iter().filter(|key| !key.is_created).count() + self.created.keys.len()
    }

    /// Those that operators made.
    pub(crate) fn created(&self) -> &Created {
        &self.created
    }

    /// The names of those that the configuration has.
    pub(crate) fn configured(&self) -> impl Iterator<Item = &str> {
        self.known.iter().filter(|key| !key.is_created).filter_map(|key| match key.grant.caller() {
            Caller::Key(name) => Some(&**name),
            Caller::Anonymous
            | Caller::Certificate(_)
            | Caller::Token(_)
            | Caller::Stdio
            | Caller::User(_) => None,
        })
    }

    /// The grant of the key of this name, and when it expires.
    pub(crate) fn named(&self, name: &str) -> Option<(&Arc<Grant>, Option<u64>)> {
        let is_named = |key: &&Known| matches!(key.grant.caller(), Caller::Key(known) if **known == *name);
        self.known.iter().find(is_named).map(|key| (&key.grant, key.expires))
    }

    /// The profiles of the key of this name; `None` where it reaches everything.
    pub(crate) fn profiles_of(&self, name: &str) -> Option<Vec<String>> {
        let (grant, _) = self.named(name)?;
        match grant.scope() {
            Scope::Everything => None,
            Scope::Profiles(names) => Some(names.iter().map(|name| name.to_string()).collect()),
        }
    }

    /// When a key of this name was presented last, since the daemon's start.
    pub(crate) fn used(&self, name: &str) -> Option<u64> {
        let is_named = |key: &&Known| matches!(key.grant.caller(), Caller::Key(known) if **known == *name);
        self.known.iter().filter(is_named).filter_map(|key| key.grant.used()).max()
    }

    /// Takes the place of `old`: who is let in by both goes on undisturbed, and the grants of all others end.
    pub(crate) fn succeed(&mut self, old: &Self) {
        for key in &mut self.known {
            let is_it = |known: &&Known| known.digest == key.digest && known.grant.is_same(&key.grant);
            if let Some(before) = old.known.iter().find(is_it) {
                key.grant = Arc::clone(&before.grant);
            }
        }
        let is_kept = |grant: &Arc<Grant>| self.known.iter().any(|kept| Arc::ptr_eq(&kept.grant, grant));
        old.known.iter().filter(|key| !is_kept(&key.grant)).for_each(|key| key.grant.ended().cancel());
        let is_as_open = self.is_open() == old.is_open() && self.policy == old.policy;
        if is_as_open && self.anonymous.is_same(&old.anonymous) {
            self.anonymous = Arc::clone(&old.anonymous);
        } else {
            old.anonymous.ended().cancel();
        }
    }

    /// Ends what was opened with keys that have expired by `now`.
    pub(crate) fn end_expired(&self, now: u64) {
        let expired = self.known.iter().filter(|key| key.has_expired(now));
        expired.for_each(|key| key.grant.ended().cancel());
    }

    /// The grant of whoever needs no key.
    pub(crate) fn anonymous(&self) -> Arc<Grant> {
        Arc::clone(&self.anonymous)
    }

    /// Decides who asks at the time `now`, from the two headers as they came and from whether the peer is on a loopback
    /// address. `wait` says how long the peer has to wait because of wrong keys; that holds for keys alone that somebody
    /// could guess, so that nobody can shut the door to others who come from the same address.
    pub(crate) fn admit(
        &self,
        authorization: &[&str],
        api_key: &[&str],
        from_loopback: bool,
        now: u64,
        wait: impl Fn() -> Option<Duration>,
    ) -> Result<Arc<Grant>, AuthError> {
        if self.is_open() {
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
        let mut refused = AuthError::Wrong;
        for key in presented.filter_map(|presented| self.find(presented)) {
            if key.has_expired(now) {
                refused = AuthError::Expired;
            } else if let Some(wait) = key.is_guessable.then(&wait).flatten() {
                refused = AuthError::TooMany { wait };
            } else {
                key.grant.touch(now);
                return Ok(Arc::clone(&key.grant));
            }
        }
        match (refused, wait()) {
            (AuthError::Wrong, Some(wait)) => Err(AuthError::TooMany { wait }),
            (refused, _) => Err(refused),
        }
    }

    /// Compares with every key, found or not, so that the time says nothing about which one came near.
    fn find(&self, presented: &str) -> Option<&Known> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for known in &self.known {
            if bool::from(known.digest.ct_eq(&digest)) {
                found = Some(known);
            }
        }
        found
    }
}

impl Known {
    fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn granted(record: &Record, usual: &Scope) -> Grant {
    let scope = match record.profiles.as_slice() {
        [] => usual.clone(),
        names => Scope::of(names.iter().map(String::as_str)),
    };
    Grant::new(Caller::Key(record.name.as_str().into()), scope).of_agent(record.agent.as_deref())
}

/// What names a key in the query of a URL, where it would be logged on its way.
const NAMES: [&str; 9] =
    ["api_key", "apikey", "key", "token", "access_token", "auth", "authorization", "bearer", "x_api_key"];

/// Returns whether a URL carries what looks like a key.
pub(crate) fn is_in_url(path: &str, query: Option<&str>) -> bool {
    let is_key = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.to_ascii_lowercase().replace('-', "_");
        !value.is_empty() && NAMES.contains(&name.as_str())
    };
    path.contains(PREFIX) || query.is_some_and(|query| query.contains(PREFIX) || query.split('&').any(is_key))
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
    use super::super::created::{KeyChange, NewSecret};
    use super::*;

    fn of(secrets: &[&str], policy: Policy) -> Keys {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned());
        Keys::new(secrets, Created::default(), policy, Scope::Everything)
    }

    fn keys(allow_loopback: bool) -> Keys {
        of(&["one", "two"], Policy { allow_loopback, required: false })
    }

    fn admit(
        keys: &Keys,
        authorization: &[&str],
        api_key: &[&str],
        from_loopback: bool,
    ) -> Result<Caller, AuthError> {
        keys.admit(authorization, api_key, from_loopback, 0, || None).map(|grant| grant.caller().clone())
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
        let keys = |secrets: &[&str]| of(secrets, Policy::default());
        let ended = |keys: &Keys| -> Vec<bool> {
            keys.known.iter().map(|key| key.grant.ended().is_cancelled()).collect()
        };
        let (none, two) = (keys(&[]), keys(&["one", "two"]));
        let mut now = keys(&["one", "two"]);
        now.succeed(&two);
        assert!(two.known.iter().zip(&now.known).all(|(one, other)| Arc::ptr_eq(&one.grant, &other.grant)));
        // `two` becomes the first, under another name: whoever had that name before is not followed.
        let mut left = keys(&["two"]);
        left.succeed(&now);
        assert_eq!(ended(&two), [true, true]);
        assert_eq!(ended(&left), [false]);
        let mut first = keys(&["one"]);
        first.succeed(&none);
        assert!(none.anonymous.ended().is_cancelled() && !first.anonymous.ended().is_cancelled());
    }

    fn change(keys: &Keys, change: &KeyChange, now: u64, secret: &str) -> Keys {
        let mut created = keys.created().clone();
        created.change(change, now, &NewSecret(secret.to_owned())).unwrap();
        let mut changed = keys.with_created(created);
        changed.succeed(keys);
        changed
    }

    #[test]
    fn a_created_key_opens_until_it_expires_is_rotated_or_revoked() {
        let create = KeyChange::Create {
            name: "letta".to_owned(),
            profiles: vec!["ops".to_owned()],
            agent: Some("agent-1".to_owned()),
            expires: Some(100),
        };
        let open = Keys::default();
        let one = change(&open, &create, 1_000, "first");
        let asks = |keys: &Keys, secret: &str, now| keys.admit(&[], &[secret], true, now, || None);
        assert!(open.anonymous().ended().is_cancelled(), "the door has shut");
        assert_eq!(admit(&one, &[], &[], true), Err(AuthError::Missing));
        let grant = asks(&one, "first", 1_000).unwrap();
        assert_eq!((grant.scope(), grant.agent()), (&Scope::of(["ops"]), Some("agent-1")));
        assert_eq!((one.used("letta"), one.used("other"), one.count()), (Some(1_000), None, 1));
        assert_eq!(asks(&one, "first", 1_100).unwrap_err(), AuthError::Expired);
        let two = change(&one, &KeyChange::Rotate { name: "letta".to_owned(), overlap: 10 }, 1_050, "second");
        assert!(Arc::ptr_eq(&asks(&two, "first", 1_059).unwrap(), &grant));
        assert_eq!(asks(&two, "first", 1_060).unwrap_err(), AuthError::Expired);
        assert_eq!(asks(&two, "second", 1_060).unwrap().caller(), grant.caller());
        two.end_expired(1_059);
        assert!(!grant.ended().is_cancelled());
        two.end_expired(1_060);
        assert!(grant.ended().is_cancelled());
        let second = asks(&two, "second", 1_060).unwrap();
        let none = change(&two, &KeyChange::Revoke { name: "letta".to_owned() }, 1_070, "");
        assert!(second.ended().is_cancelled() && !none.is_open() && none.count() == 0);
        assert_eq!(asks(&none, "second", 1_070).unwrap_err(), AuthError::Wrong);
        assert_eq!(admit(&none, &[], &[], true), Err(AuthError::Missing));
    }

    #[test]
    fn whoever_presented_wrong_keys_waits_with_a_key_that_could_be_guessed_and_with_no_other() {
        let strong = "0123456789abcdef0123456789abcdef";
        let keys = of(&["weak", strong], Policy::default());
        let wait = Some(Duration::from_secs(9));
        let asks = |secret: &str, wait: Option<Duration>| {
            keys.admit(&[], &[secret], false, 0, || wait).map(|grant| grant.caller().to_string())
        };
        assert_eq!(asks("weak", None), Ok("key-1".to_owned()));
        assert_eq!(asks("weak", wait), Err(AuthError::TooMany { wait: Duration::from_secs(9) }));
        assert_eq!(asks("wrong", wait), Err(AuthError::TooMany { wait: Duration::from_secs(9) }));
        assert_eq!(asks(strong, wait), Ok("key-2".to_owned()));
    }

    #[test]
    fn what_looks_like_a_key_in_a_url_is_seen() {
        for (url, is_seen) in [
            ("/mcp", false),
            ("/sse?manifest=true", false),
            ("/messages/?session_id=0123&monkey=1", false),
            ("/mcp?api_key=x", true),
            ("/mcp?a=1&X-API-Key=x", true),
            ("/mcp?token=", false),
            ("/mcp?Access_Token=x", true),
            ("/mcp?session_id=smcp_01", true),
            ("/mcp/smcp_01", true),
        ] {
            let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
            assert_eq!(is_in_url(path, query), is_seen, "{url}");
        }
    }
}
