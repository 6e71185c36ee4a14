//! Has a connection speak TLS, within a time; one that speaks plain HTTP is told so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::events::{Event, Field, Kind};
use crate::throttle::Throttle;
use crate::tls::{Client, Loaded};

/// The first byte of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// Failures that are told of in a second.
const TOLD: u32 = 5;
/// What is read of a request in plain HTTP, so that its answer is not lost with it.
const READ: usize = 64 << 10;
/// How long it may take to come.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that requests may come on.
#[derive(Debug)]
pub(super) enum Accepted {
    Plain(TcpStream),
    /// With whoever showed a certificate that is trusted and names somebody.
    Secured(Box<TlsStream<TcpStream>>, Option<Arc<Client>>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcceptError {
    /// Nothing was said; probes of a balancer do that.
    #[error("it said nothing")]
    Silent,
    #[error("it took longer than `tls.handshake_timeout`")]
    Late,
    #[error("it speaks plain HTTP, and this port speaks TLS")]
    Plain,
    #[error("it speaks no TLS")]
    Other,
    #[error("{0}")]
    Handshake(std::io::Error),
}

/// Dropping it ends the connection.
pub(super) async fn accept(stream: TcpStream, server: &Arc<Loaded>) -> Result<Accepted, AcceptError> {
    let handshake = tokio::time::timeout(server.handshake_timeout(), shake_hands(stream, server));
    handshake.await.unwrap_or(Err(AcceptError::Late))
}

async fn shake_hands(stream: TcpStream, server: &Arc<Loaded>) -> Result<Accepted, AcceptError> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(AcceptError::Silent),
        Ok(_) => {}
    }
    match first[0] {
        HANDSHAKE => {}
        letter if letter.is_ascii_alphabetic() => {
            tell_plain(stream).await;
            return Err(AcceptError::Plain);
        }
        _ => return Err(AcceptError::Other),
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&server.server));
    let stream = acceptor.accept(stream).await.map_err(AcceptError::Handshake)?;
    let shown = stream.get_ref().1.peer_certificates();
    let client = shown.and_then(|chain| Client::of(chain, server)).map(Arc::new);
    Ok(Accepted::Secured(Box::new(stream), client))
}

/// Says so, and reads what was sent: closed with a word of it unread, the connection would take the answer along.
async fn tell_plain(mut stream: TcpStream) {
    let body = json!({
        "error": "https_needed",
        "message": "this port speaks TLS: write `https://` in the address",
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let rest = async {
        let (mut room, mut left) = ([0; 4096], READ);
        while let Ok(length @ 1..) = stream.read(&mut room).await {
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    let _late = tokio::time::timeout(PATIENCE, rest).await;
}

/// Tells the log of connections that failed, a few a second: clients decide how many there are.
#[derive(Debug)]
pub(super) struct Handshakes(Throttle);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Throttle::new(TOLD))
    }
}

impl Handshakes {
    pub(super) fn tell(&self, reason: &AcceptError, peer: SocketAddr, now: Instant) {
        if matches!(reason, AcceptError::Silent) {
            return;
        }
        let Some(dropped) = self.0.pass(now) else { return };
        Event::of(Kind::HandshakeFailed)
            .text(Field::Reason, reason.to_string())
            .text(Field::Peer, peer.to_string())
            .dropped(dropped)
            .write();
    }
}
