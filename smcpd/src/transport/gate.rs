//! Who passes: `Host`, `Origin`, key, in this order and on every route.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};

use super::containers::FromContainer;
use super::refused::Refused;
use super::visits::Visits;
use super::{Ends, HEALTH, PROFILE, WELL_KNOWN};
use crate::auth::{self, Attempt, Attempts, AuthError, Caller, Grant};
use crate::config::{self, Config};
use crate::oauth::TokenError;

const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The decisions at the door.
#[derive(Debug)]
pub(super) struct Gate {
    config: Arc<Config>,
    attempts: Arc<Attempts>,
    hosts: Vec<String>,
    origins: Vec<String>,
    visits: Arc<Visits>,
}

impl Gate {
    pub(super) fn new(
        config: Arc<Config>,
        address: SocketAddr,
        visits: Arc<Visits>,
        attempts: Arc<Attempts>,
    ) -> Self {
        let http = &config.http;
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "::1", "host.docker.internal"].map(str::to_owned).into();
        if !address.ip().is_unspecified() {
            hosts.push(address.ip().to_string());
        }
        hosts.extend(http.hosts.iter().map(|host| bare(host).to_owned()));
        let origins = http.origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
        Self { hosts, origins: origins.collect(), visits, config, attempts }
    }

    pub(super) fn is_of(&self, config: &Arc<Config>) -> bool {
        Arc::ptr_eq(&self.config, config)
    }

    pub(super) fn http(&self) -> &config::Http {
        &self.config.http
    }

    /// Decides over a request from its head alone.
    pub(super) fn admit(&self, request: &Request) -> Result<Arc<Grant>, Refused> {
        let headers = request.headers();
        self.host(request)?;
        self.origin(headers)?;
        let path = request.uri().path();
        if path == HEALTH || path.starts_with(WELL_KNOWN) {
            return Ok(self.config.keys.anonymous());
        }
        if auth::is_in_url(path, request.uri().query()) {
            return Err(Refused::KeyInUrl);
        }
        let peer = request.extensions().get::<Ends>().map(|ends| ends.peer.ip());
        let all = |name: HeaderName| -> Vec<&str> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
        };
        let most = self.config.key_attempts;
        let wait = || self.attempts.wait(peer?, most, Instant::now());
        let admitted = self.config.keys.admit(
            &all(header::AUTHORIZATION),
            &all(KEY),
            peer.is_some_and(is_loopback),
            auth::now(),
            wait,
        );
        // Nobody guesses a signature. What only looks like a token is a guess as any other.
        let judged = match &admitted {
            Err(AuthError::Wrong | AuthError::TooMany { .. }) => self.visits.by_token(&self.config, headers),
            Ok(_) | Err(AuthError::Missing | AuthError::Expired | AuthError::Ended) => None,
        };
        let looks_like_one = match judged {
            None => false,
            Some(Err(TokenError::Malformed)) => true,
            Some(judged) => return self.chosen(judged.map_err(Refused::Token)?, request),
        };
        let is_of_container = request.extensions().get::<FromContainer>().is_some();
        let admitted = match admitted {
            Err(AuthError::Missing) if is_of_container && self.config.allow_containers => {
                Ok(self.config.keys.anonymous())
            }
            admitted => admitted,
        };
        match (admitted, peer) {
            (Err(AuthError::Wrong | AuthError::TooMany { .. }), Some(peer)) => {
                Err(match self.attempts.note(peer, most, Instant::now()) {
                    Attempt::Counted if looks_like_one => Refused::Token(TokenError::Malformed),
                    Attempt::Counted => Refused::Key(AuthError::Wrong),
                    Attempt::TooMany { wait } => Refused::Key(AuthError::TooMany { wait }),
                    Attempt::FirstTooMany { wait } => Refused::Guessing(AuthError::TooMany { wait }),
                })
            }
            (admitted, _) => {
                let grant = self.visits.admit(&self.config, request, admitted)?;
                let is_open = self.config.allow_containers || self.config.auth_disabled;
                if is_of_container && !is_open && *grant.caller() == Caller::Anonymous {
                    return Err(Refused::Container);
                }
                self.chosen(grant, request)
            }
        }
    }

    /// A URL may choose one of the profiles that the caller has.
    fn chosen(&self, grant: Arc<Grant>, request: &Request) -> Result<Arc<Grant>, Refused> {
        let uri = request.uri();
        let in_query = || {
            let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == "profile").map(|(_, value)| value)
        };
        let Some(name) = uri.path().strip_prefix(PROFILE).or_else(in_query) else { return Ok(grant) };
        let scope = self.config.profiles.choose(grant.scope(), name).map_err(Refused::Profile)?;
        Ok(grant.narrowed(scope))
    }

    /// A page that rebinds its name to our address still sends its own name here.
    fn host(&self, request: &Request) -> Result<(), Refused> {
        let mut given = request.headers().get_all(header::HOST).iter();
        let (first, more) = (given.next(), given.next());
        // A target in absolute form must agree with the header, or name one of ours itself.
        let target = request.uri().authority().map(|authority| authority.as_str());
        let host = match (first, more) {
            (Some(host), None) => host.to_str().unwrap_or("?"),
            (None, _) => return Err(Refused::Host(String::new())),
            (Some(_), Some(_)) => return Err(Refused::Host("given twice".to_owned())),
        };
        let refused = |host: &str| Err(Refused::Host(shown(host)));
        // Bound to every address, the daemon answers to the one that was connected to; a rebound name is no address.
        let local = request.extensions().get::<Ends>().map(|ends| ends.local.ip().to_canonical());
        let is_ours = |host: &str| {
            self.is_ours(host)
                || bare(host).parse().is_ok_and(|named: IpAddr| Some(named.to_canonical()) == local)
        };
        if !is_ours(host) {
            return refused(host);
        }
        match target {
            Some(target) if !is_ours(target) => refused(target),
            _ => Ok(()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = bare(host);
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }

    /// No `Origin` is no browser. A browser's page must come from here, or be configured.
    fn origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("?").to_ascii_lowercase();
            let ours = match origin.split_once("://") {
                Some(("http" | "https", host)) => self.is_ours(host),
                _ => false,
            };
            if !ours && !self.origins.contains(&origin) {
                return Err(Refused::Origin(shown(&origin)));
            }
        }
        Ok(())
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(128).collect()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A host without its port and brackets.
fn bare(host: &str) -> &str {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    host.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Caller, Created, Keys, Policy, Scope};
    use crate::config::for_tests;

    fn gate(keys: Keys) -> Gate {
        let mut config = for_tests(&[]).unwrap();
        config.keys = keys;
        config.http.hosts = vec!["Tools.Example:8000".to_owned()];
        config.http.origins = vec!["https://App.example/".to_owned()];
        let (visits, attempts) = (Arc::new(Visits::nobody()), Arc::default());
        Gate::new(Arc::new(config), SocketAddr::from(([192, 0, 2, 7], 1)), visits, attempts)
    }

    fn request(path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(axum::body::Body::empty()).unwrap()
    }

    fn one_key() -> Keys {
        Keys::new(["k".to_owned()], Created::default(), Policy::default(), Scope::Everything)
    }

    fn caller(gate: &Gate, request: &Request) -> Result<Caller, Refused> {
        gate.admit(request).map(|grant| grant.caller().clone())
    }

    #[test]
    fn only_our_hosts_and_origins_pass() {
        let gate = gate(Keys::default());
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:1",
            "[::1]:8000",
            "192.0.2.7",
            "tools.example",
            "tools.example.",
            "host.docker.internal:8000",
        ] {
            assert!(gate.admit(&request("/mcp", &[("host", host)])).is_ok(), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8",
            "[::2]",
            "127.0.0.1.evil",
            "::",
            "a:b:c",
        ] {
            let refused = gate.admit(&request("/health", &[("host", host)]));
            assert!(matches!(refused, Err(Refused::Host(_))), "{host}");
        }
        let two = request("/mcp", &[("host", "localhost"), ("host", "localhost")]);
        assert_eq!(caller(&gate, &two), Err(Refused::Host("given twice".to_owned())));
        assert_eq!(caller(&gate, &request("/mcp", &[])), Err(Refused::Host(String::new())));
        let mut connected = request("/mcp", &[("host", "198.51.100.4:8000")]);
        assert!(gate.admit(&connected).is_err());
        let ends = |local: [u8; 4]| Ends { peer: ([10, 0, 0, 1], 9).into(), local: (local, 8000).into() };
        connected.extensions_mut().insert(ends([198, 51, 100, 4]));
        assert!(gate.admit(&connected).is_ok());
        connected.extensions_mut().insert(ends([198, 51, 100, 5]));
        assert!(gate.admit(&connected).is_err());
        let absolute = request("http://evil.example/mcp", &[("host", "localhost")]);
        assert_eq!(caller(&gate, &absolute), Err(Refused::Host("evil.example".to_owned())));
        for (origin, passes) in [
            ("http://localhost:3000", true),
            ("https://tools.example", true),
            ("https://app.example", true),
            ("https://app.example:8443", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
            ("file://localhost", false),
        ] {
            let found = gate.admit(&request("/mcp", &[("host", "localhost"), ("origin", origin)]));
            assert_eq!(found.is_ok(), passes, "{origin}: {found:?}");
        }
    }

    #[test]
    fn every_route_but_health_asks_for_a_key_where_there_is_one() {
        let gate = gate(one_key());
        let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"];
        let routes = super::super::routes();
        for (path, _) in &routes {
            assert!(!path.starts_with(WELL_KNOWN), "{path} would be open to everyone");
            for method in methods {
                let mut request = request(path, &[("host", "localhost")]);
                *request.method_mut() = method.parse().unwrap();
                assert_eq!(gate.admit(&request).is_ok(), *path == HEALTH, "{method} {path}");
            }
        }
        assert!(routes.len() > 5);
    }

    #[test]
    fn a_container_needs_a_key_unless_the_operator_says_otherwise() {
        let from_container = |header: Option<&str>| {
            let headers: Vec<_> =
                [("host", "localhost")].into_iter().chain(header.map(|key| ("x-api-key", key))).collect();
            let mut request = request("/mcp", &headers);
            request.extensions_mut().insert(FromContainer);
            request
        };
        let of = |keys: &[&str], allowed: bool, disabled: bool| {
            let mut config = for_tests(&[]).unwrap();
            config.keys = Keys::new(
                keys.iter().map(|key| (*key).to_owned()),
                Created::default(),
                Policy { allow_loopback: true, ..Policy::default() },
                Scope::Everything,
            );
            (config.allow_containers, config.auth_disabled) = (allowed, disabled);
            let (visits, attempts) = (Arc::new(Visits::nobody()), Arc::default());
            let gate = Gate::new(Arc::new(config), SocketAddr::from(([127, 0, 0, 1], 1)), visits, attempts);
            [None, Some("k"), Some("wrong")]
                .map(|key| gate.admit(&from_container(key)).map(|grant| *grant.caller() == Caller::Anonymous))
        };
        let wrong = || Err(Refused::Key(AuthError::Wrong));
        assert_eq!(of(&[], false, false), [(); 3].map(|()| Err(Refused::Container)));
        assert_eq!(of(&[], true, false), [Ok(true), Ok(true), Ok(true)]);
        assert_eq!(of(&[], false, true), [Ok(true), Ok(true), Ok(true)]);
        assert_eq!(of(&["k"], false, false), [Err(Refused::Key(AuthError::Missing)), Ok(false), wrong()]);
        assert_eq!(of(&["k"], true, false), [Ok(true), Ok(false), wrong()]);
    }

    #[test]
    fn health_alone_needs_no_key() {
        let gate = gate(one_key());
        let keyless = |path| caller(&gate, &request(path, &[("host", "localhost")]));
        for path in
            ["/health", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"]
        {
            assert_eq!(keyless(path), Ok(Caller::Anonymous), "{path}");
        }
        for path in ["/mcp", "/health/", "//health", "/nothing", "/.well-known", "/mcp/.well-known/x"] {
            assert_eq!(keyless(path), Err(Refused::Key(AuthError::Missing)), "{path}");
        }
        let with = |name, key| caller(&gate, &request("/mcp", &[("host", "localhost"), (name, key)]));
        assert_eq!(with("x-api-key", "k"), Ok(Caller::Key("key-1".into())));
        assert_eq!(with("authorization", "Bearer j"), Err(Refused::Key(AuthError::Wrong)));
    }

    #[test]
    fn a_key_in_a_url_is_refused_and_wrong_keys_are_slowed_down() {
        let gate = gate(one_key());
        let from = |key: &str| {
            let mut request = request("/mcp", &[("host", "localhost"), ("x-api-key", key)]);
            let ends = Ends { peer: ([192, 0, 2, 9], 9).into(), local: ([127, 0, 0, 1], 8000).into() };
            request.extensions_mut().insert(ends);
            caller(&gate, &request)
        };
        for _ in 0..gate.config.key_attempts {
            assert_eq!(from("j"), Err(Refused::Key(AuthError::Wrong)));
        }
        assert!(from("k").is_ok());
        assert!(matches!(from("j"), Err(Refused::Guessing(_))));
        assert!(matches!(from("j"), Err(Refused::Key(AuthError::TooMany { .. }))));
        assert!(matches!(from("k"), Err(Refused::Key(AuthError::TooMany { .. }))), "it could be a guess");
        let url = request("/mcp?api_key=k", &[("host", "localhost"), ("x-api-key", "k")]);
        assert_eq!(caller(&gate, &url), Err(Refused::KeyInUrl));
    }
}
