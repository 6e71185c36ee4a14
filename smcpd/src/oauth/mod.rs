//! OAuth 2.1 as a resource server: tokens that an issuer elsewhere signed, and what tells clients where to get one.
//!
//! What is built to: MCP 2025-06-18 and 2025-11-25, "authorization"; RFC 9728 (metadata), RFC 6750 (bearer tokens), RFC 7519
//! and 9068 (tokens), RFC 8725 (their traps). `keys` reads the issuer's keys, `token` judges, `check` does the
//! arithmetic of signatures, `follow` keeps the keys fresh. No token leaves this module: neither a log nor a plugin sees it.

mod check;
mod fetch;
mod follow;
mod keys;
mod token;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::{Notify, watch};

pub(crate) use fetch::file as read_keys;
pub(crate) use follow::Following;
pub(crate) use keys::KeySet;
pub(crate) use token::{ALGORITHMS, EVERYTHING, TokenError};

use crate::auth::{Caller, Scope};
use crate::config::{self, Current};

/// Where clients look for [`metadata`] (RFC 9728, section 3).
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource";

/// The keys of this moment, and why there are no newer ones.
#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    failure: Option<String>,
}

/// Judges tokens by the configuration and the keys of this moment.
#[derive(Debug, Clone)]
pub(crate) struct OAuth {
    current: Current,
    state: watch::Receiver<State>,
    again: Arc<Notify>,
    /// A token names a key that is not known.
    wanted: Arc<Notify>,
}

/// Whom a token lets in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    pub(crate) until: SystemTime,
}

impl OAuth {
    /// Decides over a token, of the issuer that the configuration names.
    pub(crate) fn judge(
        &self,
        settings: &config::OAuth,
        presented: &str,
        now: SystemTime,
    ) -> Result<Bearer, TokenError> {
        let keys = self.state.borrow().keys.clone().ok_or(TokenError::NoKeys)?;
        let judged = token::judge(settings, &keys, presented, now);
        if matches!(judged, Err(TokenError::UnknownKey)) {
            self.wanted.notify_one();
        }
        judged
    }

    /// Has the keys read again, under the configuration of this moment.
    pub(crate) fn refresh(&self) {
        self.again.notify_one();
    }

    /// Returns why the last attempt to get the keys failed, and whether earlier ones are there.
    pub(crate) fn failure(&self) -> Option<(String, bool)> {
        self.current.get().oauth.as_ref()?;
        let state = self.state.borrow();
        state.failure.clone().map(|reason| (reason, state.keys.is_some()))
    }
}

/// What a client is told about us (RFC 9728, section 2), where `path` is one that it may ask.
pub(crate) fn metadata(settings: &config::OAuth, path: &str) -> Option<serde_json::Value> {
    let suffix = path.strip_prefix(METADATA)?;
    if !suffix.is_empty() && suffix != settings.path() {
        return None;
    }
    let mut told = json!({
        "resource": settings.resource,
        "authorization_servers": [settings.issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "smcp",
    });
    if !settings.scopes.is_empty() {
        told["scopes_supported"] = settings.scopes.keys().cloned().collect();
    }
    Some(told)
}

/// The value of `WWW-Authenticate` (RFC 6750, section 3; RFC 9728, section 5.1). Nothing in it comes from the request.
pub(crate) fn challenge(settings: &config::OAuth, refused: Option<&TokenError>) -> String {
    let error = match refused {
        None | Some(TokenError::NoKeys) => None,
        Some(TokenError::Scope) => Some("insufficient_scope"),
        Some(_) => Some("invalid_token"),
    };
    let mut parts = vec![format!("Bearer resource_metadata=\"{}\"", settings.metadata_url())];
    parts.extend(error.map(|error| format!("error=\"{error}\"")));
    // What to ask the issuer for (MCP 2025-11-25, authorization, "scope selection strategy").
    if !settings.scopes.is_empty() {
        let scopes: Vec<&str> = settings.scopes.keys().map(String::as_str).collect();
        parts.push(format!("scope=\"{}\"", scopes.join(" ")));
    }
    parts.join(", ")
}
