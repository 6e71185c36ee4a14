//! One request to Letta: `GET /v1/agents/ID`, within a time and a size, to the configured address and nowhere else.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

use super::answer::{self, Answer};
use crate::config;

/// An agent comes with its tools, their source code among them.
const LARGEST: usize = 16 << 20;

/// Why there is no answer; nothing in it is a secret or a word of Letta's.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("it did not answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the certificates that this host trusts cannot be read: {0}")]
    Certificates(String),
    #[error("it broke off: {0}")]
    Broken(String),
    #[error("it refused the key ({})", .0.as_u16())]
    Key(StatusCode),
    #[error("it knows no such agent (404)")]
    Agent,
    #[error("it points elsewhere ({}): set `letta.url` to where it answers", .0.as_u16())]
    Elsewhere(StatusCode),
    #[error("it answered with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its answer is longer than {LARGEST} bytes")]
    Long,
    #[error("{0}")]
    Answer(String),
}

/// Asks for the variables of the configured agent. Dropping it ends the connection.
pub(super) async fn ask(settings: &config::Letta) -> Result<Answer, AskError> {
    let asked = tokio::time::timeout(settings.timeout, body(settings));
    let body = asked.await.map_err(|_| AskError::Late(settings.timeout))??;
    answer::read(&body, &settings.agent).map_err(AskError::Answer)
}

async fn body(settings: &config::Letta) -> Result<Bytes, AskError> {
    let address: Uri = settings.url.parse().expect("the configuration was checked");
    let failed = |error: &dyn Error| AskError::Connect(in_full(error));
    let request = request(settings, &address);
    if address.scheme_str() == Some("https") {
        let stream = https().await?.call(address).await.map_err(|error| failed(&*error))?;
        exchange(stream, request).await
    } else {
        let stream = HttpConnector::new().call(address).await.map_err(|error| failed(&error))?;
        exchange(stream, request).await
    }
}

async fn https() -> Result<HttpsConnector<HttpConnector>, AskError> {
    let build = || {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok::<_, std::io::Error>(connector.https_only().enable_http1().build())
    };
    let built = tokio::task::spawn_blocking(build).await;
    built.map_err(std::io::Error::other).flatten().map_err(|error| AskError::Certificates(in_full(&error)))
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

/// Sends the request on a connection of its own; an answer that points elsewhere is not followed, for the key goes along.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Bytes, AskError>
where
    S: Read + Write + Unpin,
{
    let broken = |error: hyper::Error| AskError::Broken(in_full(&error));
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Err(AskError::Key(status)),
            StatusCode::NOT_FOUND => return Err(AskError::Agent),
            status if status.is_redirection() => return Err(AskError::Elsewhere(status)),
            status => return Err(AskError::Status(status)),
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
            true => AskError::Long,
            false => AskError::Broken(in_full(&*error)),
        })
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // Why it ended is said by the exchange.
        _ = connection => exchange.await,
    }
}

/// The error and its causes, as one short line.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
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
