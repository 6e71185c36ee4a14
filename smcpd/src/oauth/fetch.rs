//! Gets the issuer's keys from where the configuration says, within a size and a time.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

use super::keys::KeySet;
use crate::config::KeySource;

/// A set of keys is a few kilobytes.
const LARGEST: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// What tells one state of a file from another; a link is followed.
pub(super) type Identity = Option<(u64, u64, u64, i64, i64)>;

pub(super) fn identity(path: &Path) -> Identity {
    let is = fs::metadata(path).ok()?;
    Some((is.dev(), is.ino(), is.size(), is.ctime(), is.ctime_nsec()))
}

/// Reads a file of keys; the error is the reason.
pub(crate) fn file(path: &Path) -> Result<KeySet, String> {
    let is = fs::metadata(path).map_err(|error| error.to_string())?;
    if is.mode() & 0o002 != 0 {
        return Err("every user of this host can write it: `chmod o-w` it".to_owned());
    }
    if is.size() > LARGEST as u64 {
        return Err(format!("it is longer than {LARGEST} bytes"));
    }
    KeySet::read(&fs::read(path).map_err(|error| error.to_string())?)
}

/// Gets the keys; the error is the reason. Dropping it ends the connection.
pub(super) async fn get(source: &KeySource) -> Result<KeySet, String> {
    match source {
        KeySource::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || file(&path)).await;
            read.map_err(|error| error.to_string()).flatten()
        }
        KeySource::Url(url) => {
            let got = tokio::time::timeout(PATIENCE, body(url)).await;
            let got = got.map_err(|_| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
            KeySet::read(&got?)
        }
    }
}

async fn body(url: &str) -> Result<Bytes, String> {
    let address: Uri = url.parse().expect("the configuration was checked");
    let authority = address.authority().expect("the configuration was checked").as_str().to_owned();
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("smcpd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .expect("the configuration was checked");
    let failed = |error: &dyn Error| format!("cannot connect: {}", in_full(error));
    if address.scheme_str() == Some("https") {
        let build = || {
            let connector = HttpsConnectorBuilder::new().with_native_roots()?;
            Ok::<_, std::io::Error>(connector.https_only().enable_http1().build())
        };
        let built = tokio::task::spawn_blocking(build).await.map_err(std::io::Error::other).flatten();
        let mut connector = built.map_err(|error| {
            format!("the certificates that this host trusts cannot be read: {}", in_full(&error))
        })?;
        exchange(connector.call(address).await.map_err(|error| failed(&*error))?, request).await
    } else {
        let stream = HttpConnector::new().call(address).await.map_err(|error| failed(&error))?;
        exchange(stream, request).await
    }
}

/// One request on a connection of its own; an answer that points elsewhere is not followed.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Bytes, String>
where
    S: Read + Write + Unpin,
{
    let broken = |error: hyper::Error| format!("it broke off: {}", in_full(&error));
    let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered with status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| in_full(&*error))
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
