//! One request to Letta: `GET /v1/agents/ID`, within a time and a size, to the configured address and nowhere else.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};

use super::answer::{self, Answer};
use crate::config;
use crate::outbound::{self, OutboundError};

/// An agent comes with its tools, their source code among them.
const LARGEST: usize = 16 << 20;

/// Why there is no answer; nothing in it is a secret or a word of Letta's.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("it did not answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    #[error("it refused the key ({})", .0.as_u16())]
    Key(StatusCode),
    #[error("it knows no such agent (404)")]
    Agent,
    #[error("it points elsewhere ({}): set `letta.url` to where it answers", .0.as_u16())]
    Elsewhere(StatusCode),
    #[error(transparent)]
    Outbound(OutboundError),
    #[error("{0}")]
    Answer(String),
}

impl From<OutboundError> for AskError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                Self::Key(status)
            }
            OutboundError::Status(StatusCode::NOT_FOUND) => Self::Agent,
            OutboundError::Status(status) if status.is_redirection() => Self::Elsewhere(status),
            error @ (OutboundError::Status(_)
            | OutboundError::Connect(_)
            | OutboundError::Certificates(_)
            | OutboundError::Broken(_)
            | OutboundError::Long(_)) => Self::Outbound(error),
        }
    }
}

/// Asks for the variables of the configured agent. Dropping it ends the connection.
pub(super) async fn ask(settings: &config::Letta) -> Result<Answer, AskError> {
    let asked = tokio::time::timeout(settings.timeout, body(settings));
    let body = asked.await.map_err(|_| AskError::Late(settings.timeout))??;
    answer::read(&body, &settings.agent).map_err(AskError::Answer)
}

/// An answer that points elsewhere is not followed, for the key goes along.
async fn body(settings: &config::Letta) -> Result<Bytes, AskError> {
    let address: Uri = settings.url.parse().expect("the configuration was checked");
    let request = request(settings, &address);
    Ok(outbound::body(address, request, LARGEST).await?)
}

/// The newest servers send variables only to those who ask for them; older ones do not know `include` and send all.
fn request(settings: &config::Letta, address: &Uri) -> Request<Empty<Bytes>> {
    let path = address.path().trim_end_matches('/');
    let authority = address.authority().expect("the configuration was checked");
    let mut request = Request::get(format!("{path}/v1/agents/{}?include=agent.secrets", settings.agent))
        .header(HOST, authority.as_str())
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("smcpd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .expect("the configuration was checked");
    if let Some(key) = &settings.key {
        let header = |scheme: &str| {
            let mut value = HeaderValue::try_from(format!("{scheme} {}", key.reveal()))
                .expect("the configuration was checked");
            value.set_sensitive(true);
            value
        };
        request.headers_mut().insert(AUTHORIZATION, header("Bearer"));
        // The only one that the oldest servers look at; newer ones take either.
        request.headers_mut().insert("x-bare-password", header("password"));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn settings(url: &str, key: Option<&str>) -> config::Letta {
        config::Letta {
            url: url.to_owned(),
            agent: "agent-1".to_owned(),
            plugins: ["p".to_owned()].into(),
            key: key.map(Secret::new),
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn the_request_has_the_key_in_both_ways_and_keeps_a_path() {
        for (url, path, host) in [
            ("http://127.0.0.1:8283", "/v1/agents/agent-1?include=agent.secrets", "127.0.0.1:8283"),
            ("https://letta.example/api", "/api/v1/agents/agent-1?include=agent.secrets", "letta.example"),
        ] {
            let request = request(&settings(url, Some("hush hush")), &url.parse().unwrap());
            assert_eq!(request.uri().to_string(), path);
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.headers()[AUTHORIZATION], "Bearer hush hush");
            assert_eq!(request.headers()["x-bare-password"], "password hush hush");
            assert!(!format!("{request:?}").contains("hush"));
        }
        let url = "http://127.0.0.1:8283";
        let request = request(&settings(url, None), &url.parse().unwrap());
        assert!(
            !request.headers().contains_key(AUTHORIZATION)
                && !request.headers().contains_key("x-bare-password")
        );
    }

    #[test]
    fn settings_show_no_key() {
        assert!(!format!("{:?}", settings("http://[::1]:8283", Some("hush"))).contains("hush"));
    }
}
