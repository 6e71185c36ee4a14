//! What somebody was let in with: who they are, which tools they reach, and until when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

/// Whoever asks for a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// No key was needed.
    Anonymous,
    /// The holder of a key, by the key's name.
    Key(Arc<str>),
    /// The holder of a certificate that is trusted, by the name in it.
    Certificate(Arc<str>),
    /// The subject of an issuer's token.
    Token(Arc<str>),
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
            // No name in a certificate can look like another kind of caller.
            Self::Certificate(name) => write!(formatter, "cert:{name}"),
            Self::Token(subject) => write!(formatter, "oauth:{subject}"),
            Self::Stdio => formatter.write_str("stdio"),
            Self::User(uid) => write!(formatter, "uid {uid}"),
        }
    }
}

/// Which tools are reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Everything,
    /// Those of any of these profiles, sorted by name. Without a name that is nothing at all.
    Profiles(Arc<[Arc<str>]>),
}

impl Scope {
    /// The tools of these profiles, and of no other.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        names.sort();
        names.dedup();
        Self::Profiles(names.into())
    }
}

/// What somebody was let in with.
///
/// It ends when its key is revoked, expires, or leaves the configuration. Everything that was begun with it hangs on
/// [`Grant::ended`]: requests, streams, sessions and tasks.
#[derive(Debug)]
pub(crate) struct Grant {
    caller: Caller,
    scope: Scope,
    agent: Option<Arc<str>>,
    ended: CancellationToken,
    /// When it was last presented, in seconds since 1970; 0 is never.
    used: AtomicU64,
}

impl Grant {
    pub(crate) fn new(caller: Caller, scope: Scope) -> Self {
        Self { caller, scope, agent: None, ended: CancellationToken::new(), used: AtomicU64::new(0) }
    }

    /// The same, held by one agent.
    pub(super) fn of_agent(self, agent: Option<&str>) -> Self {
        Self { agent: agent.map(Arc::from), ..self }
    }

    /// One that nothing limits, for whoever needs no key.
    pub(crate) fn whole(caller: Caller) -> Arc<Self> {
        Arc::new(Self::new(caller, Scope::Everything))
    }

    /// The same for less; it ends with this one.
    pub(crate) fn narrowed(&self, scope: Scope) -> Arc<Self> {
        let (caller, agent, ended) = (self.caller.clone(), self.agent.clone(), self.ended.clone());
        Arc::new(Self { caller, scope, agent, ended, used: AtomicU64::new(0) })
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The agent that the key was given to, whatever a request claims.
    pub(crate) fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// Is cancelled once the grant is worth nothing any more.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Notes that it is used.
    pub(super) fn touch(&self, now: u64) {
        // Read first: the line of memory stays with every core while the second is the same.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn used(&self) -> Option<u64> {
        Some(self.used.load(Ordering::Relaxed)).filter(|used| *used > 0)
    }

    /// Whether what one of them made is the other's too.
    pub(crate) fn shares_with(&self, other: &Self) -> bool {
        self.caller == other.caller && self.scope == other.scope
    }

    /// Whether the other one lets the same caller do the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.caller == other.caller && self.scope == other.scope && self.agent == other.agent
    }
}
