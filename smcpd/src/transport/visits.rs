//! Who is let in without a key, by a token of the issuer or the certificate of their connection, and until when.
//!
//! Streams and sessions hang on a grant. One visitor has one grant over all of its connections, which ends once what it
//! showed last is no longer good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use tokio::sync::Notify;

use super::refused::Refused;
use crate::auth::{AuthError, Caller, Grant, Scope};
use crate::config::{self, Config, Current};
use crate::oauth::{OAuth, TokenError};
use crate::shutdown::Shutdown;
use crate::tls::{Client, Loaded, Tls};

/// Visitors at once; one more takes the place of another, whose streams end.
const MOST: usize = 10_000;
/// How often it is looked at what they showed.
const LOOK: Duration = Duration::from_secs(1);

/// Those who were let in by what they showed.
#[derive(Debug)]
pub(crate) struct Visits {
    tls: Tls,
    oauth: OAuth,
    known: Mutex<HashMap<(Caller, Scope), Visit>>,
    came: Notify,
}

#[derive(Debug)]
struct Visit {
    grant: Arc<Grant>,
    /// What was shown last.
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Certificate(Arc<Client>),
    /// One that is good until then, under these settings.
    Token(SystemTime, Arc<config::OAuth>),
}

impl Visits {
    pub(crate) fn new(tls: Tls, oauth: OAuth) -> Self {
        Self { tls, oauth, known: Mutex::default(), came: Notify::new() }
    }

    #[cfg(test)]
    pub(super) fn nobody() -> Self {
        let (_, oauth) = crate::oauth::Following::new(Current::of(&[]));
        Self::new(Tls::none(), oauth)
    }

    pub(super) fn tls(&self) -> Option<Arc<Loaded>> {
        self.tls.get()
    }

    /// Decides over a token, where the request has one and any are taken.
    pub(super) fn by_token(
        &self,
        config: &Config,
        headers: &HeaderMap,
    ) -> Option<Result<Arc<Grant>, TokenError>> {
        let (settings, token) = (config.oauth.as_ref()?, token(headers)?);
        Some(self.oauth.judge(settings, token, SystemTime::now()).map(|bearer| {
            self.welcome(bearer.caller, bearer.scope, Shown::Token(bearer.until, Arc::clone(settings)))
        }))
    }

    /// Decides over whoever showed neither key nor token: these say more, for whoever passes on the requests of others has
    /// one certificate.
    pub(super) fn admit(
        &self,
        config: &Config,
        request: &Request,
        by_key: Result<Arc<Grant>, AuthError>,
    ) -> Result<Arc<Grant>, Refused> {
        let is_nobody = match &by_key {
            Ok(grant) => *grant.caller() == Caller::Anonymous,
            Err(error) => *error == AuthError::Missing,
        };
        let client = request.extensions().get::<Arc<Client>>().filter(|_| is_nobody);
        let named = client.and_then(|client| Some((client, self.named(client, SystemTime::now())?)));
        let Some((client, name)) = named else { return by_key.map_err(Refused::Key) };
        let scope = scope(config, &name).ok_or(Refused::Caller)?;
        Ok(self.welcome(Caller::Certificate(name), scope, Shown::Certificate(Arc::clone(client))))
    }

    fn named(&self, client: &Client, now: SystemTime) -> Option<Arc<str>> {
        client.name(self.tls.get().as_ref(), now)
    }

    /// Returns the grant that the visitor has, or a new one.
    fn welcome(&self, caller: Caller, scope: Scope, shown: Shown) -> Arc<Grant> {
        let mut known = self.known();
        let key = (caller, scope);
        if let Some(visit) = known.get_mut(&key) {
            visit.shown.renew(shown);
            return Arc::clone(&visit.grant);
        }
        if known.len() >= MOST
            && let Some(any) = known.keys().next().cloned()
            && let Some(visit) = known.remove(&any)
        {
            visit.grant.ended().cancel();
        }
        let grant = Arc::new(Grant::new(key.0.clone(), key.1.clone()));
        known.insert(key, Visit { grant: Arc::clone(&grant), shown });
        drop(known);
        self.came.notify_one();
        grant
    }

    /// Ends the grants of those whose proof is no longer good, or who are no longer let in as they were.
    fn sweep(&self, config: &Config, now: SystemTime) {
        self.known().retain(|(caller, granted), visit| {
            let stays = match &visit.shown {
                Shown::Certificate(client) => self.named(client, now).is_some_and(|name| {
                    *caller == Caller::Certificate(Arc::clone(&name))
                        && scope(config, &name).as_ref() == Some(granted)
                }),
                Shown::Token(until, settings) => now < *until && config.oauth.as_ref() == Some(settings),
            };
            if !stays {
                visit.grant.ended().cancel();
            }
            stays
        });
    }

    /// Looks after them until everything is to end; without any it waits for the first.
    pub(crate) async fn look_after(self: Arc<Self>, current: Current, shutdown: Shutdown) {
        loop {
            let is_empty = self.known().is_empty();
            tokio::select! {
                () = self.came.notified() => {}
                () = tokio::time::sleep(LOOK), if !is_empty => {}
                () = shutdown.ending() => return,
            }
            self.sweep(&current.get(), SystemTime::now());
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Caller, Scope), Visit>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// Whoever has several tokens is let in until the last one has expired.
    fn renew(&mut self, new: Self) {
        match (&*self, &new) {
            (Self::Token(until, of), Self::Token(later, now)) if until >= later && of == now => {}
            _ => *self = new,
        }
    }
}

/// The one bearer token of a request (RFC 6750, section 2.1); one in its address is never looked at.
fn token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (only, more) = (given.next()?, given.next());
    let (scheme, token) = only.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (more.is_none() && scheme.eq_ignore_ascii_case("bearer") && token.split('.').count() == 3)
        .then_some(token)
}

/// Which tools the holder of a certificate reaches; `None` where others are named and this one is not.
fn scope(config: &Config, name: &str) -> Option<Scope> {
    let callers = &config.tls.as_ref()?.callers;
    if callers.is_empty() {
        return Some(config.profiles.usual());
    }
    match callers.get(name)? {
        None => Some(config.profiles.usual()),
        Some(profiles) => Some(Scope::of(profiles.iter().map(String::as_str))),
    }
}
