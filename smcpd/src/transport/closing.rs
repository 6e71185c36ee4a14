//! Closes a port without losing whoever is connecting to it.
//!
//! To a client, a connection is made before the daemon accepts it. One that is not accepted when the port closes is reset,
//! with its first request, and the client cannot know whether that was heard. So nobody new is let in first, and whoever has
//! a connection by then is accepted and told that the daemon stops. The others are not refused either: what they sent is
//! dropped, and sent again after a second, when the port is closed or the next daemon's.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET};
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a handshake that has begun may take. On loopback it is over before the client is heard of.
const HANDSHAKE: Duration = Duration::from_millis(100);
const HANDSHAKE_ON_LOOPBACK: Duration = Duration::from_millis(10);
/// When to try again whom we could not accept: out of descriptors, most likely, until an answer has left.
const AGAIN: Duration = Duration::from_millis(1);

/// Lets nobody else in, hands over who was let in already, and closes the port.
///
/// Not for a socket that was passed to us: it would let nobody in for the next daemon either.
pub(super) async fn close(listener: TcpListener, mut enter: impl FnMut(TcpStream, SocketAddr)) {
    if let Err(error) = let_nobody_in(&listener) {
        tracing::debug!(%error, "whoever connects while the port closes may be reset");
    }
    let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let end = Instant::now() + if is_loopback { HANDSHAKE_ON_LOOPBACK } else { HANDSHAKE };
    loop {
        tokio::select! {
            // In this order: at the end too, all are taken who are there.
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => enter(stream, peer),
                Err(_) if Instant::now() < end => sleep(AGAIN).await,
                Err(_) => break,
            },
            () = sleep_until(end) => break,
        }
    }
}

/// Has the kernel drop segments that ask for a connection, and only those.
fn let_nobody_in(listener: &TcpListener) -> io::Result<()> {
    /// Where the flags are in the header of TCP, and which of them ask for a connection: SYN without ACK.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let statement = |code: u32, value| SockFilter::new(code as u16, 0, 0, value);
    SockRef::from(listener).attach_filter(&[
        statement(BPF_LD | BPF_B | BPF_ABS, FLAGS),
        statement(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        SockFilter::new((BPF_JMP | BPF_JEQ | BPF_K) as u16, 0, 1, SYN),
        statement(BPF_RET | BPF_K, 0),
        // As many bytes as there are.
        statement(BPF_RET | BPF_K, u32::MAX),
    ])
}
