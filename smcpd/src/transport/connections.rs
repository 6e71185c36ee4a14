//! How many connections are open, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::limits::Over;
use crate::auth::network;
use crate::config;
use crate::limits::Limit;

/// Descriptors that are left for calls, sockets and files, or a quarter of what there is.
const RESERVED: usize = 1_024;
/// Connections that are refused in words at one time; others are closed without.
const TOLD: usize = 64;
/// How long one of them may take to hear it.
const HEARS: Duration = Duration::from_millis(500);
/// When to come again.
const AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Connections {
    open: AtomicUsize,
    /// Those beyond loopback; an entry goes with its last connection.
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    /// As many as there are descriptors for.
    most: usize,
    told: Arc<Semaphore>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    peer: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current;
        let descriptors = descriptors.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        Self::within(descriptors)
    }

    fn within(descriptors: usize) -> Self {
        let most = descriptors - RESERVED.min(descriptors / 4);
        Self {
            open: AtomicUsize::new(0),
            by_peer: Mutex::default(),
            most,
            told: Arc::new(Semaphore::new(TOLD)),
        }
    }

    /// Takes a place for a connection of this peer. All that comes over loopback has one address, whosever it is: it is
    /// bounded in all alone.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr, http: &config::Http) -> Result<Place, Over> {
        let most = http.max_connections.min(self.most);
        let peer = Some(network(peer)).filter(|peer| !peer.is_loopback());
        if let Some(peer) = peer {
            let mut by_peer = self.lock();
            let count = by_peer.entry(peer).or_default();
            if *count >= http.connections_per_peer {
                let message = format!("{count} connections from this address are open, which is the most");
                return Err(Over::new(Limit::ConnectionsOfPeer, message).again_after(AGAIN));
            }
            *count += 1;
        }
        // From here on it is counted out by its drop.
        let place = Place { connections: Arc::clone(self), peer };
        if self.open.fetch_add(1, Ordering::Relaxed) >= most {
            let message = format!("{most} connections are open, which is the most");
            return Err(Over::new(Limit::Connections, message).again_after(AGAIN));
        }
        Ok(place)
    }

    /// Says why, to a client that speaks HTTP in the clear, as far as that costs nothing.
    pub(super) fn refuse(
        &self,
        mut stream: TcpStream,
        over: &Over,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let telling = Arc::clone(&self.told).try_acquire_owned().ok()?;
        let body = over.body().to_string();
        let answer = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: {}\r\n\
             Connection: close\r\n\r\n{body}",
            over.status(),
            body.len(),
            over.retry_after().unwrap_or(1),
        );
        Some(async move {
            let _telling = telling;
            let told = async {
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
                // What it sent would otherwise take the answer back, with the reset that follows what nobody reads.
                let mut sent = [0; 4096];
                while stream.read(&mut sent).await? > 0 {}
                Ok::<(), std::io::Error>(())
            };
            let _heard = timeout(HEARS, told).await;
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let Some(peer) = self.peer else { return };
        let mut by_peer = self.connections.lock();
        if let Some(count) = by_peer.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::for_tests;

    #[test]
    fn connections_are_counted_in_all_and_by_peer_and_loopback_is_no_peer() {
        let mut http = for_tests(&[]).unwrap().http;
        (http.max_connections, http.connections_per_peer) = (5, 2);
        let connections = Arc::new(Connections::within(10_000));
        let enter =
            |address: &str| connections.enter(address.parse().unwrap(), &http).map_err(|over| over.limit);
        let first = enter("192.0.2.1").unwrap();
        let second = enter("::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Limit::ConnectionsOfPeer);
        drop(first);
        let third = enter("192.0.2.1").unwrap();
        let local = [(); 3].map(|()| enter("127.0.0.1").unwrap());
        assert_eq!(enter("127.0.0.1").unwrap_err(), Limit::Connections);
        assert_eq!(enter("192.0.2.9").unwrap_err(), Limit::Connections);
        drop((second, third, local));
        assert_eq!(connections.open.load(Ordering::Relaxed), 0);
        assert!(connections.lock().is_empty());
    }

    #[test]
    fn some_descriptors_are_left_for_calls() {
        assert_eq!([1_024, 65_536].map(|most| Connections::within(most).most), [768, 64_512]);
    }
}
