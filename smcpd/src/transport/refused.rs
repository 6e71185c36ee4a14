//! Why a request does not pass, and how that is said: in the answer, in the log and among the figures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::reply;
use crate::auth::{AuthError, ProfileError};
use crate::events::{Event, Field, Kind};
use crate::metrics::Reason;
use crate::oauth::TokenError;
use crate::throttle::Throttle;

/// Refusals of one kind that are told of in a second.
const TOLD: u32 = 5;
const CHALLENGE: &str = "Bearer realm=\"smcp\"";

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    Host(String),
    Origin(String),
    /// A key in the URL: it would be written down wherever the request came by.
    KeyInUrl,
    Key(AuthError),
    Token(TokenError),
    /// The name in a certificate, and not in `tls.callers`.
    Caller,
    /// The same for the first time in a while: somebody should know.
    Guessing(AuthError),
    Profile(ProfileError),
    /// It comes from a container, and whoever does not show who it is gets in from the host alone.
    Container,
}

impl Refused {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Host(_) => Reason::Host,
            Self::Origin(_) => Reason::Origin,
            Self::Caller => Reason::Caller,
            Self::Token(TokenError::NoKeys) => Reason::TokenKeys,
            Self::Token(TokenError::Scope) => Reason::TokenScope,
            Self::Token(_) => Reason::TokenWrong,
            Self::Key(AuthError::Missing) => Reason::KeyMissing,
            Self::Container => Reason::Container,
            Self::Key(AuthError::Wrong | AuthError::Ended) => Reason::KeyWrong,
            Self::Key(AuthError::Expired) => Reason::KeyExpired,
            Self::Key(AuthError::TooMany { .. }) | Self::Guessing(_) => Reason::KeyAttempts,
            Self::KeyInUrl => Reason::KeyInUrl,
            Self::Profile(_) => Reason::Profile,
        }
    }

    /// Returns what a challenge for tokens says of it: of a request without one nothing. `None`: no token would help.
    pub(super) fn challenged(&self) -> Option<Option<TokenError>> {
        match self {
            Self::Key(AuthError::Missing) => Some(None),
            Self::Key(AuthError::Wrong | AuthError::Expired | AuthError::Ended) => {
                Some(Some(TokenError::Malformed))
            }
            Self::Token(error) => Some(Some(*error)),
            Self::Key(AuthError::TooMany { .. })
            | Self::Guessing(_)
            | Self::KeyInUrl
            | Self::Host(_)
            | Self::Origin(_)
            | Self::Profile(_)
            | Self::Caller
            | Self::Container => None,
        }
    }

    /// The event that it is, and its place among the throttles.
    fn kind(&self) -> (Kind, usize) {
        match self {
            Self::Key(
                AuthError::Wrong | AuthError::Ended | AuthError::Expired | AuthError::TooMany { .. },
            )
            | Self::Guessing(_) => (Kind::KeyWrong, 0),
            Self::Container => (Kind::KeyMissing, 3),
            Self::Key(AuthError::Missing) => (Kind::KeyMissing, 1),
            Self::Token(TokenError::NoKeys | TokenError::Scope) => (Kind::RequestRefused, 2),
            Self::Token(_) => (Kind::KeyWrong, 0),
            Self::Host(_) | Self::Origin(_) | Self::Caller | Self::KeyInUrl | Self::Profile(_) => {
                (Kind::RequestRefused, 2)
            }
        }
    }
}

/// Tells the log of refusals, a few a second of each kind: whoever is refused decides how many there are.
#[derive(Debug)]
pub(super) struct Refusals {
    throttles: [Throttle; 4],
}

impl Default for Refusals {
    fn default() -> Self {
        let few = || Throttle::new(TOLD);
        // Said once: what is to be done about it is the operator's, and stays the same.
        Self { throttles: [few(), few(), few(), Throttle::every(Duration::MAX, 1)] }
    }
}

impl Refusals {
    pub(super) fn tell(&self, refused: &Refused, peer: Option<SocketAddr>, now: Instant) {
        let (kind, place) = refused.kind();
        let Some(dropped) = self.throttles[place].pass(now) else { return };
        let event = Event::of(kind)
            .text(Field::Reason, refused.reason().as_str())
            .maybe(Field::Peer, peer.map(|peer| peer.to_string()))
            .dropped(dropped);
        match refused {
            Refused::Container => event.write_as(
                "a container's request was refused, and every further one is: set a key for it, or let containers in \
                 without one (`auth.allow_containers = true`)",
            ),
            Refused::Host(_)
            | Refused::Origin(_)
            | Refused::KeyInUrl
            | Refused::Key(_)
            | Refused::Caller
            | Refused::Guessing(_)
            | Refused::Token(_)
            | Refused::Profile(_) => event.write(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let forbidden = |error: &str, message: String| {
            reply::json(StatusCode::FORBIDDEN, &json!({"error": error, "message": message}))
        };
        match self {
            Self::Host(host) => forbidden(
                "host_not_allowed",
                format!("Host `{host}` is not one this server answers to: add it to `http.hosts`"),
            ),
            Self::Origin(origin) => forbidden(
                "origin_not_allowed",
                format!("Origin `{origin}` may not call this server: add it to `http.origins`"),
            ),
            Self::Caller => forbidden(
                "caller_not_allowed",
                "the name in your certificate is not one of `tls.callers`".to_owned(),
            ),
            Self::Token(TokenError::NoKeys) => reply::unavailable(&TokenError::NoKeys.to_string()),
            Self::Token(TokenError::Scope) => forbidden("insufficient_scope", TokenError::Scope.to_string()),
            Self::Token(error) => reply::json(
                StatusCode::UNAUTHORIZED,
                &json!({"error": "invalid_token", "message": error.to_string()}),
            ),
            Self::KeyInUrl => {
                let message = "a key in a URL is written down wherever the request comes by: send it as \
                               `Authorization: Bearer KEY` or `X-API-Key: KEY`, and take this one for known to others";
                reply::json(StatusCode::BAD_REQUEST, &json!({"error": "key_in_url", "message": message}))
            }
            Self::Container => {
                let message = "a request from a container needs a key, and this daemon has none for it: set one \
                               (MCP_API_KEY or `auth.key_files`) and send `Authorization: Bearer KEY`, or let \
                               containers in without one (`auth.allow_containers = true`)";
                let response = reply::json(
                    StatusCode::UNAUTHORIZED,
                    &json!({"error": "unauthorized", "message": message}),
                );
                reply::with_header(response, header::WWW_AUTHENTICATE, CHALLENGE)
            }
            Self::Key(error) | Self::Guessing(error) => unauthorized(error),
            Self::Profile(error @ ProfileError::NotAllowed) => {
                forbidden("profile_not_allowed", error.to_string())
            }
            Self::Profile(ProfileError::Unknown { known }) => {
                let message = match known.is_empty() {
                    true => "no profile is configured: leave it out of the URL".to_owned(),
                    false => "no profile has this name".to_owned(),
                };
                let body = json!({"error": "unknown_profile", "message": message, "profiles": known});
                reply::json(StatusCode::NOT_FOUND, &body)
            }
        }
    }
}

/// RFC 6750, "the WWW-Authenticate response header field": without a key there is no error to name.
fn unauthorized(error: AuthError) -> Response {
    let text = error.to_string();
    let challenge = match error {
        AuthError::Missing => CHALLENGE.to_owned(),
        AuthError::Wrong | AuthError::Expired | AuthError::Ended => {
            format!("{CHALLENGE}, error=\"invalid_token\", error_description=\"{text}\"")
        }
        AuthError::TooMany { wait } => {
            let body = json!({"error": "too_many_attempts", "message": text});
            let response = reply::json(StatusCode::TOO_MANY_REQUESTS, &body);
            return reply::with_header(response, header::RETRY_AFTER, &wait.as_secs().max(1).to_string());
        }
    };
    let response = reply::json(StatusCode::UNAUTHORIZED, &json!({"error": "unauthorized", "message": text}));
    reply::with_header(response, header::WWW_AUTHENTICATE, &challenge)
}
