//! Gets the issuer's keys from where the configuration says, within a size and a time.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, Uri};

use super::keys::KeySet;
use crate::config::KeySource;
use crate::outbound::{self, OutboundError};

/// A set of keys is a few kilobytes.
const LARGEST: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

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
            KeySet::read(&got.map_err(|error| error.to_string())?)
        }
    }
}

async fn body(url: &str) -> Result<Bytes, OutboundError> {
    let address: Uri = url.parse().expect("the configuration was checked");
    let authority = address.authority().expect("the configuration was checked").as_str();
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(USER_AGENT, concat!("smcpd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .expect("the configuration was checked");
    outbound::body(address, request, LARGEST).await
}
