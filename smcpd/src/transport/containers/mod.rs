//! The door for containers: a listener on each of the host's container bridges, as they come and go.
//!
//! `bridges` finds them, `changes` says when to look. A listener takes connections of its own subnet alone, and what comes
//! through it is marked, since the gate lets nobody in there without a key.

mod bridges;
mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Front;
use super::closing;
use super::listener::{self, Retry};
use crate::config::Current;
use crate::metrics::Reason;
use crate::shutdown::Shutdown;
use bridges::Bridge;
use changes::Changes;

/// A request that came over a container bridge.
#[derive(Debug, Clone, Copy)]
pub(super) struct FromContainer;

/// The addresses that containers reach, with the names of their bridges.
pub(crate) type Reached = Vec<(SocketAddr, String)>;

/// Serves on every bridge at `port`, beside the listener of the host itself, until the door is closed and all are
/// answered.
pub(crate) async fn serve(front: Arc<Front>, port: u16, reached: watch::Sender<Reached>, shutdown: Shutdown) {
    let tasks = TaskTracker::new();
    let mut open: BTreeMap<Bridge, CancellationToken> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    let mut changes = Changes::watch();
    let mut current = front.doors.current.clone();
    loop {
        let config = front.doors.current.get();
        let wanted = config.http.containers;
        let found = if wanted { bridges::find(&config.http.bridges) } else { BTreeSet::new() };
        let before = open.len();
        open.retain(|bridge, gone| {
            let stays = found.contains(bridge);
            if !stays {
                tracing::info!(bridge = bridge.name, address = %bridge.address, "a container bridge is gone");
                gone.cancel();
            }
            stays
        });
        let mut is_other = before != open.len();
        failed.retain(|bridge| found.contains(bridge));
        for bridge in found {
            if open.contains_key(&bridge) {
                continue;
            }
            let address = SocketAddr::new(bridge.address, port);
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    tracing::info!(bridge = bridge.name, %address, "containers may connect");
                    let gone = CancellationToken::new();
                    tasks.spawn(accept(
                        listener,
                        bridge.clone(),
                        Arc::clone(&front),
                        gone.clone(),
                        shutdown.clone(),
                    ));
                    failed.remove(&bridge);
                    open.insert(bridge, gone);
                    is_other = true;
                }
                Err(error) => {
                    if failed.insert(bridge.clone()) {
                        tracing::warn!(bridge = bridge.name, %address, %error, "cannot listen for containers");
                    }
                }
            }
        }
        if is_other {
            let now = open.keys().map(|bridge| (SocketAddr::new(bridge.address, port), bridge.name.clone()));
            reached.send_replace(now.collect());
        }
        tokio::select! {
            () = changes.next() => {}
            () = changed(&mut current) => {}
            () = shutdown.closed() => break,
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Waits for another configuration.
async fn changed(current: &mut Current) {
    if !current.changed().await {
        // Nobody is left who could publish one.
        std::future::pending::<()>().await;
    }
}

async fn accept(
    listener: TcpListener,
    bridge: Bridge,
    front: Arc<Front>,
    gone: CancellationToken,
    shutdown: Shutdown,
) {
    let connections = TaskTracker::new();
    let mut retry = Retry::default();
    let enter = |stream, peer: SocketAddr| {
        // The bridge's address can be reached over other interfaces too, by whoever finds a way there.
        if !bridge.subnet.contains(peer.ip()) {
            front.doors.service.metrics().refused(Reason::Peer);
            tracing::debug!(%peer, bridge = bridge.name, "a connection from beyond the bridge is closed");
            return;
        }
        listener::enter(stream, peer, Some(FromContainer), &front, &connections, &shutdown);
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gone.cancelled() => break,
            () = shutdown.closed() => break,
        };
        match accepted {
            Ok((stream, peer)) => enter(stream, peer),
            Err(error) => retry.after(&error).await,
        }
    }
    closing::close(listener, enter).await;
    connections.close();
    connections.wait().await;
}
