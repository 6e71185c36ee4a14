//! `[oauth]`: whose tokens are taken, for what, and what each scope opens.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::check::Key;
use super::file::Seconds;
use super::profiles;
use crate::auth::Profiles;
use crate::oauth;

/// The issuer whose tokens are taken, and what they open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuth {
    /// As tokens have it in `iss`, letter by letter.
    pub(crate) issuer: String,
    /// The address of this server as clients know it, which tokens are to be for.
    pub(crate) resource: String,
    /// What tokens may have in `aud`.
    pub(crate) audience: Vec<String>,
    pub(crate) jwks: KeySource,
    pub(crate) algorithms: Vec<Algorithm>,
    /// The profiles of each scope; empty: every token opens everything.
    pub(crate) scopes: BTreeMap<String, Vec<String>>,
    /// How far clocks may be apart.
    pub(crate) leeway: Duration,
}

impl OAuth {
    /// The path of the resource, without a slash at its end.
    pub(crate) fn path(&self) -> &str {
        let rest = self.resource.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| rest[at..].trim_end_matches('/'))
    }

    /// Where a client reads what it has to know (RFC 9728, section 3.1).
    pub(crate) fn metadata_url(&self) -> String {
        let base = self.resource.trim_end_matches('/');
        let base = base.strip_suffix(self.path()).unwrap_or(base);
        format!("{base}{}{}", oauth::METADATA, self.path())
    }
}

/// Where the issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    Url(String),
    File(PathBuf),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => formatter.write_str(url),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Given {
    pub(super) issuer: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) audience: Vec<String>,
    pub(super) jwks: Option<String>,
    pub(super) algorithms: Vec<String>,
    pub(super) scopes: BTreeMap<String, Vec<String>>,
    pub(super) leeway: Seconds,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            issuer: None,
            resource: None,
            audience: Vec::new(),
            jwks: None,
            algorithms: Vec::new(),
            scopes: BTreeMap::new(),
            leeway: Seconds(30.0),
        }
    }
}

/// Without an issuer there is none of it.
pub(super) fn check(key: &Key<'_>, known: &Profiles) -> Result<Option<OAuth>, ConfigError> {
    let given = &key.layers.file.oauth;
    let leeway = key.seconds("oauth.leeway", given.leeway)?;
    if leeway > Duration::from_secs(300) {
        return Err(key.refuse("oauth.leeway", "is more than 300 seconds: set the clocks instead"));
    }
    let Some(issuer) = &given.issuer else {
        let stray = [
            ("resource", given.resource.is_some()),
            ("audience", !given.audience.is_empty()),
            ("jwks", given.jwks.is_some()),
            ("algorithms", !given.algorithms.is_empty()),
            ("scopes", !given.scopes.is_empty()),
        ];
        return match stray.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => {
                Err(key.refuse(&format!("oauth.{name}"), "is set, and `oauth.issuer` is not: set it too"))
            }
            None => Ok(None),
        };
    };
    let lacks =
        |name: &str| key.refuse("oauth.issuer", format!("is set, and `oauth.{name}` is not: set it too"));
    let address = |name: &str, url: &str| {
        let wrong = "must be an https address without user, query and fragment, or an http one of this host";
        is_safe(url).then(|| url.to_owned()).ok_or_else(|| key.refuse(&format!("oauth.{name}"), wrong))
    };
    let issuer = address("issuer", issuer)?;
    let resource = address("resource", given.resource.as_deref().ok_or_else(|| lacks("resource"))?)?;
    let jwks = given.jwks.as_deref().ok_or_else(|| lacks("jwks"))?;
    let jwks = match jwks.starts_with('/') {
        false => KeySource::Url(address("jwks", jwks)?),
        true => {
            let path = PathBuf::from(jwks);
            oauth::read_keys(Path::new(jwks)).map_err(|reason| {
                key.refuse("oauth.jwks", format!("is `{jwks}`, which has no keys: {reason}"))
            })?;
            KeySource::File(path)
        }
    };
    let algorithms = match given.algorithms.as_slice() {
        [] => oauth::ALGORITHMS.to_vec(),
        names => names.iter().map(|name| algorithm(key, name)).collect::<Result<_, _>>()?,
    };
    let is_scope = |scope: &str| {
        // RFC 6749, section 3.3.
        !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    if let Some((scope, _)) = given.scopes.iter().find(|(scope, opens)| !is_scope(scope) || opens.is_empty())
    {
        let message =
            format!("has `{scope}`, which is no scope with profiles: name some, or \"*\" for everything");
        return Err(key.refuse("oauth.scopes", message));
    }
    for (scope, opens) in &given.scopes {
        let names = opens.iter().filter(|name| *name != oauth::EVERYTHING);
        profiles::check_named(key, known, &format!("oauth.scopes.{scope}"), names)?;
    }
    let audience = match given.audience.is_empty() {
        true => vec![resource.clone()],
        false => given.audience.clone(),
    };
    Ok(Some(OAuth { issuer, resource, audience, jwks, algorithms, scopes: given.scopes.clone(), leeway }))
}

fn algorithm(key: &Key<'_>, name: &str) -> Result<Algorithm, ConfigError> {
    let known = oauth::ALGORITHMS.into_iter().find(|algorithm| format!("{algorithm:?}") == name);
    known.ok_or_else(|| {
        let all: Vec<String> = oauth::ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        key.refuse("oauth.algorithms", format!("has `{name}`: one of {} is taken", all.join(", ")))
    })
}

/// Keys that somebody on the way could change would let anybody in.
fn is_safe(url: &str) -> bool {
    let Ok(parsed) = url.parse::<Uri>() else { return false };
    let Some(host) = parsed.host() else { return false };
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_scheme = match parsed.scheme_str() {
        Some("https") => true,
        Some("http") => is_here,
        _ => false,
    };
    let is_plain = |letter: char| letter.is_ascii_graphic() && !['"', '\\', '@', '#', '?'].contains(&letter);
    is_scheme && !host.is_empty() && url.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_nobody_on_the_way_can_change_are_taken() {
        for (url, expected) in [
            ("https://login.example", true),
            ("https://login.example/realms/one", true),
            ("http://127.0.0.1:9000/jwks", true),
            ("http://[::1]:9000/jwks", true),
            ("http://localhost/jwks", true),
            ("http://login.example", false),
            ("http://localhost.evil.example", false),
            ("https://user@login.example", false),
            ("https://login.example/?q", false),
            ("https://login.example/#f", false),
            ("https://login.example/\"x", false),
            ("file:///etc/passwd", false),
            ("login.example", false),
            ("", false),
        ] {
            assert_eq!(is_safe(url), expected, "{url}");
        }
    }

    #[test]
    fn the_metadata_stands_between_host_and_path_of_the_resource() {
        for (resource, path, url) in [
            ("https://a.example", "", "https://a.example/.well-known/oauth-protected-resource"),
            ("https://a.example/", "", "https://a.example/.well-known/oauth-protected-resource"),
            ("https://a.example/mcp", "/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
            (
                "http://[::1]:80/x/mcp/",
                "/x/mcp",
                "http://[::1]:80/.well-known/oauth-protected-resource/x/mcp",
            ),
        ] {
            let settings = OAuth {
                issuer: String::new(),
                resource: resource.to_owned(),
                audience: Vec::new(),
                jwks: KeySource::File(PathBuf::new()),
                algorithms: Vec::new(),
                scopes: BTreeMap::new(),
                leeway: Duration::ZERO,
            };
            assert_eq!((settings.path(), settings.metadata_url()), (path, url.to_owned()));
        }
    }
}
