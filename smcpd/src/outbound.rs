//! One request of the daemon's own: to the address that the configuration has and nowhere else, within a size.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

/// Why there is no answer; nothing in it is a secret or a word of the other side's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the certificates that this host trusts cannot be read: {0}")]
    Certificates(String),
    #[error("it broke off: {0}")]
    Broken(String),
    #[error("it answered with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its answer is longer than {0} bytes")]
    Long(usize),
}

/// Sends the request on a connection of its own, over TLS where the address says so, and returns what came with status 200,
/// at most `largest` bytes. An answer that points elsewhere is not followed. Dropping it ends the connection.
pub(crate) async fn body(
    address: Uri,
    request: Request<Empty<Bytes>>,
    largest: usize,
) -> Result<Bytes, OutboundError> {
    let failed = |error: &dyn Error| OutboundError::Connect(in_full(error));
    if address.scheme_str() == Some("https") {
        let stream = https().await?.call(address).await.map_err(|error| failed(&*error))?;
        exchange(stream, request, largest).await
    } else {
        let stream = HttpConnector::new().call(address).await.map_err(|error| failed(&error))?;
        exchange(stream, request, largest).await
    }
}

async fn https() -> Result<HttpsConnector<HttpConnector>, OutboundError> {
    let build = || {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        Ok::<_, std::io::Error>(connector.https_only().enable_http1().build())
    };
    let built = tokio::task::spawn_blocking(build).await;
    built
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| OutboundError::Certificates(in_full(&error)))
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    largest: usize,
) -> Result<Bytes, OutboundError>
where
    S: Read + Write + Unpin,
{
    let broken = |error: hyper::Error| OutboundError::Broken(in_full(&error));
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(OutboundError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), largest).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
            true => OutboundError::Long(largest),
            false => OutboundError::Broken(in_full(&*error)),
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
