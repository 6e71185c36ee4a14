//! Judges one token (RFC 9068, section 4; RFC 8725).

use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::keys::KeySet;
use super::{Bearer, check};
use crate::auth::{Caller, Scope};
use crate::config;

/// A longer one is not looked at.
const LONGEST: usize = 16 << 10;
/// Of a subject; OpenID Connect has no longer ones.
const SUBJECT: usize = 255;
/// Stands among the profiles of a scope for all tools.
pub(crate) const EVERYTHING: &str = "*";

/// What a token is signed with: never a secret that both sides know, and never nothing.
pub(crate) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token lets nobody in. Nothing in it is of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the keys of the issuer are not here yet: try again")]
    NoKeys,
    #[error("the token is not well made")]
    Malformed,
    #[error("the token is signed in a way that is not taken")]
    Algorithm,
    #[error("the token is signed by a key that the issuer does not name")]
    UnknownKey,
    #[error("the token is not signed by its issuer")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another server")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Early,
    #[error("the token names nobody")]
    Subject,
    #[error("the token has none of the scopes that open a tool")]
    Scope,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(default)]
    scope: Option<String>,
    /// The same, as some issuers have it: a text or a list.
    #[serde(default)]
    scp: Option<Value>,
}

pub(super) fn judge(
    settings: &config::OAuth,
    keys: &KeySet,
    presented: &str,
    now: SystemTime,
) -> Result<Bearer, TokenError> {
    if presented.len() > LONGEST {
        return Err(TokenError::Malformed);
    }
    let header = decode_header(presented).map_err(|error| refused(&error))?;
    if !is_plain(&header) {
        return Err(TokenError::Malformed);
    }
    if !settings.algorithms.contains(&header.alg) {
        return Err(TokenError::Algorithm);
    }
    let key = keys.find(header.kid.as_deref(), header.alg).ok_or(TokenError::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&settings.audience);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // Times are judged here, by the clock that was given.
    validation.validate_exp = false;
    check::install();
    let claims = decode::<Claims>(presented, key, &validation).map_err(|error| refused(&error))?.claims;
    if claims.iss != settings.issuer {
        return Err(TokenError::Issuer);
    }
    let until = in_time(&claims, settings.leeway, now)?;
    if !is_subject(&claims.sub) {
        return Err(TokenError::Subject);
    }
    let scope = scope(settings, &claims).ok_or(TokenError::Scope)?;
    Ok(Bearer { caller: Caller::Token(claims.sub.into()), scope, until })
}

/// A token that asks for what we do not know, or is of another kind, is not for us (RFC 7515, section 4.1.11; RFC 8725,
/// section 3.11). Keys that it brings along are never looked at.
fn is_plain(header: &Header) -> bool {
    let kinds = ["jwt", "at+jwt", "application/at+jwt"];
    let is_known =
        header.typ.as_deref().is_none_or(|kind| kinds.contains(&kind.to_ascii_lowercase().as_str()));
    is_known && header.crit.is_none() && header.enc.is_none() && header.zip.is_none()
}

fn in_time(claims: &Claims, leeway: Duration, now: SystemTime) -> Result<SystemTime, TokenError> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let leeway = leeway.as_secs_f64();
    // A time that is no number of seconds compares with nothing.
    let is_time = |time: f64| (0.0..1e12).contains(&time);
    let times = [Some(claims.exp), claims.nbf, claims.iat];
    if !times.into_iter().flatten().all(is_time) {
        return Err(TokenError::Malformed);
    }
    if claims.exp + leeway <= now {
        return Err(TokenError::Expired);
    }
    if [claims.nbf, claims.iat].into_iter().flatten().any(|time| time > now + leeway) {
        return Err(TokenError::Early);
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(claims.exp + leeway))
}

/// What can stand in a log and be compared.
fn is_subject(subject: &str) -> bool {
    let is_seen = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic();
    (1..=SUBJECT).contains(&subject.len()) && subject.chars().all(is_seen)
}

/// The profiles of all scopes that the token has; without a mapping every token of ours opens everything.
fn scope(settings: &config::OAuth, claims: &Claims) -> Option<Scope> {
    if settings.scopes.is_empty() {
        return Some(Scope::Everything);
    }
    let mut has: Vec<&str> = claims.scope.as_deref().unwrap_or_default().split(' ').collect();
    match &claims.scp {
        Some(Value::String(text)) => has.extend(text.split(' ')),
        Some(Value::Array(list)) => has.extend(list.iter().filter_map(Value::as_str)),
        Some(_) | None => {}
    }
    let profiles: Vec<&str> =
        has.iter().filter_map(|scope| settings.scopes.get(*scope)).flatten().map(String::as_str).collect();
    match profiles.as_slice() {
        [] => None,
        some if some.contains(&EVERYTHING) => Some(Scope::Everything),
        some => Some(Scope::of(some.iter().copied())),
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            TokenError::Algorithm
        }
        // The library's list is open.
        _ => TokenError::Malformed,
    }
}
