//! The registry of sessions: opens, finds, closes and forgets them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::outbox::Outbox;
use super::session::{Session, Transport};
use crate::auth::{Caller, Grant};
use crate::config::Current;
use crate::events::{Event, Field, Kind};
use crate::hexadecimal;
use crate::limits::{Exceeded, Limit, Who};

/// Every open session.
#[derive(Debug)]
pub(crate) struct Sessions {
    open: RwLock<Open>,
    count: AtomicUsize,
    current: Current,
    exceeded: Arc<Exceeded>,
    /// What waits for all clients together.
    backlog: Arc<Backlog>,
}

#[derive(Debug, Default)]
struct Open {
    by_id: HashMap<Arc<str>, Arc<Session>>,
    /// How many each has who can be told from others.
    by_caller: HashMap<Caller, usize>,
}

impl Open {
    fn add(&mut self, session: &Arc<Session>) {
        self.by_id.insert(Arc::clone(session.id()), Arc::clone(session));
        if *session.caller() != Caller::Anonymous {
            *self.by_caller.entry(session.caller().clone()).or_default() += 1;
        }
    }

    fn remove(&mut self, session: &Session) -> bool {
        if self.by_id.remove(session.id()).is_none() {
            return false;
        }
        if let Some(count) = self.by_caller.get_mut(session.caller()) {
            *count -= 1;
            if *count == 0 {
                self.by_caller.remove(session.caller());
            }
        }
        true
    }
}

/// No more sessions can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManySessions {
    #[error("{most} sessions are open, which is the most (`sessions.max`)")]
    OfAll { most: usize },
    #[error("this caller has {most} sessions open, which is the most (`sessions.per_caller`)")]
    OfCaller { most: usize },
}

impl TooManySessions {
    pub(crate) fn limit(self) -> Limit {
        match self {
            Self::OfAll { .. } => Limit::Sessions,
            Self::OfCaller { .. } => Limit::SessionsOfCaller,
        }
    }
}

impl Sessions {
    pub(crate) fn new(current: Current, exceeded: Arc<Exceeded>) -> Self {
        let backlog = Arc::new(Backlog::new(current.clone()));
        Self { open: RwLock::default(), count: AtomicUsize::new(0), current, exceeded, backlog }
    }

    /// Opens a session with an id of 128 bits from the operating system.
    pub(crate) fn open(
        &self,
        transport: Transport,
        grant: Arc<Grant>,
    ) -> Result<Arc<Session>, TooManySessions> {
        let limits = &self.current.get().sessions;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let of_caller = open.by_caller.get(grant.caller()).copied().unwrap_or_default();
        let refused = if open.by_id.len() >= limits.max {
            Some(TooManySessions::OfAll { most: limits.max })
        } else if of_caller >= limits.per_caller {
            Some(TooManySessions::OfCaller { most: limits.per_caller })
        } else {
            None
        };
        if let Some(refused) = refused {
            drop(open);
            let who = || Who { caller: Some(grant.caller().to_string()), ..Who::default() };
            self.exceeded.note(refused.limit(), who);
            return Err(refused);
        }
        let id: Arc<str> = hexadecimal::random_id().into();
        let outbox = Outbox::new(limits.outbox, transport != Transport::Http, Arc::clone(&self.backlog));
        let session = Arc::new(Session::new(id, transport, grant, outbox, Arc::clone(&self.exceeded)));
        open.add(&session);
        self.count.store(open.by_id.len(), Ordering::Relaxed);
        drop(open);
        told(Kind::SessionOpened, &session);
        Ok(session)
    }

    /// Finds a session of this caller, with the same reach; another one is as unknown as one that never was.
    pub(crate) fn find(&self, id: &str, transport: Transport, grant: &Grant) -> Option<Arc<Session>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let session = open.by_id.get(id)?;
        let is_theirs = session.caller() == grant.caller() && session.grant().scope() == grant.scope();
        (session.transport() == transport && is_theirs && !session.closed().is_cancelled())
            .then(|| Arc::clone(session))
    }

    pub(crate) fn close(&self, session: &Session) {
        session.close();
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.remove(session) {
            self.count.store(open.by_id.len(), Ordering::Relaxed);
            told(Kind::SessionClosed, session);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).by_id.values().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Forgets sessions of Streamable HTTP that were closed, or that nobody used for `idle`.
    pub(crate) fn forget_idle(&self, now: Instant, idle: Duration) {
        let Some(since) = now.checked_sub(idle) else { return };
        for session in self.all() {
            session.forget_answers(now);
            let gone = session.closed().is_cancelled();
            if gone || session.transport() == Transport::Http && session.is_idle_since(since) {
                self.close(&session);
            }
        }
    }
}

fn told(kind: Kind, session: &Session) {
    Event::of(kind)
        .text(Field::Session, session.short_id())
        .text(Field::Transport, session.transport().to_string())
        .text(Field::Caller, session.caller().to_string())
        .write();
}

#[cfg(test)]
mod tests {
    use super::super::jsonrpc::Id;
    use super::super::session::BeginError;
    use super::*;
    use crate::auth::Scope;
    use crate::metrics::Metrics;

    fn anonymous() -> Arc<Grant> {
        Grant::whole(Caller::Anonymous)
    }

    fn open(max: i64, outbox: i64) -> Sessions {
        let changes = [("sessions.max", max.into()), ("sessions.outbox", outbox.into())];
        limited(&changes)
    }

    fn limited(changes: &[(&'static str, toml::Value)]) -> Sessions {
        Sessions::new(Current::of(changes), Arc::new(Exceeded::new(Arc::new(Metrics::new()))))
    }

    fn id(text: &str) -> Id {
        Id::from_value(&serde_json::value::RawValue::from_string(text.to_owned()).unwrap()).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_caller_alone_and_their_number_is_bounded() {
        let sessions = open(2, 8);
        let key = Grant::whole(Caller::Key("a".into()));
        let one = sessions.open(Transport::Http, anonymous()).unwrap();
        let other = sessions.open(Transport::Http, Arc::clone(&key)).unwrap();
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 32);
        assert!(sessions.open(Transport::Http, anonymous()).is_err());
        assert!(sessions.find(one.id(), Transport::Http, &anonymous()).is_some());
        assert!(sessions.find(one.id(), Transport::Http, &key).is_none());
        assert!(sessions.find(one.id(), Transport::Sse, &anonymous()).is_none());
        let narrow = Grant::new(Caller::Anonymous, Scope::of(["p"]));
        assert!(sessions.find(one.id(), Transport::Http, &narrow).is_none());
        key.ended().cancel();
        assert!(other.closed().is_cancelled() && sessions.find(other.id(), Transport::Http, &key).is_none());
        sessions.close(&one);
        assert!(sessions.find(one.id(), Transport::Http, &anonymous()).is_none());
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn one_caller_cannot_have_all_sessions() {
        let sessions = limited(&[("sessions.max", 5.into()), ("sessions.per_caller", 2.into())]);
        let open = |name: &str| sessions.open(Transport::Http, Grant::whole(Caller::Key(name.into())));
        let first = open("a").unwrap();
        open("a").unwrap();
        assert_eq!(open("a").unwrap_err(), TooManySessions::OfCaller { most: 2 });
        open("b").unwrap();
        sessions.close(&first);
        sessions.close(&first);
        open("a").unwrap();
        assert!(open("a").is_err());
        // Those without a key are not one caller.
        let nameless = || sessions.open(Transport::Http, anonymous());
        nameless().unwrap();
        nameless().unwrap();
        assert_eq!(nameless().unwrap_err(), TooManySessions::OfAll { most: 5 });
        sessions.all().iter().for_each(|session| sessions.close(session));
        assert!(sessions.open.read().unwrap().by_caller.is_empty());
    }

    #[test]
    fn ids_of_one_session_are_unique_in_flight_and_cancelled_with_it() {
        let sessions = open(9, 8);
        let session = sessions.open(Transport::Http, anonymous()).unwrap();
        let first = session.begin(id("1")).unwrap();
        assert_eq!(session.begin(id("1")).unwrap_err(), BeginError::IdInUse);
        let text = session.begin(id("\"1\"")).unwrap();
        session.cancel(&id("1"));
        session.cancel(&id("99"));
        assert!(first.token().is_cancelled() && !text.token().is_cancelled());
        drop(first);
        let again = session.begin(id("1")).unwrap();
        session.close();
        assert!(again.token().is_cancelled() && text.token().is_cancelled());
    }

    #[test]
    fn only_an_unused_session_is_idle() {
        let sessions = open(9, 8);
        let busy = sessions.open(Transport::Http, anonymous()).unwrap();
        let running = busy.begin(id("1")).unwrap();
        let sse = sessions.open(Transport::Sse, anonymous()).unwrap();
        let idle = sessions.open(Transport::Http, anonymous()).unwrap();
        let later = Instant::now() + Duration::from_secs(10);
        sessions.forget_idle(later, Duration::from_secs(20));
        assert_eq!(sessions.count(), 3);
        sessions.forget_idle(later, Duration::from_secs(5));
        assert!(
            idle.closed().is_cancelled() && !busy.closed().is_cancelled() && !sse.closed().is_cancelled()
        );
        drop(running);
        sessions.forget_idle(later, Duration::from_secs(5));
        assert_eq!(sessions.count(), 1);
    }

    #[tokio::test]
    async fn one_stream_listens_and_a_client_that_does_not_read_is_let_go() {
        let sessions = open(9, 1);
        let session = sessions.open(Transport::Http, anonymous()).unwrap();
        session.send("nobody listens".into());
        let listening = session.listen(None).unwrap();
        assert!(session.listen(None).is_none());
        session.send("one".into());
        assert!(!session.closed().is_cancelled());
        session.send("two".into());
        assert!(session.closed().is_cancelled());
        assert_eq!(listening.next().await.unwrap(), (1, "one".into()));
        assert_eq!(listening.next().await, None);
        drop(listening);
        assert!(session.listen(None).is_some());
    }
}
