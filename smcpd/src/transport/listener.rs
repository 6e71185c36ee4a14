//! Accepts connections and serves the routes on each, within limits of number and time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::closing;
use super::connections::Place;
use super::containers::FromContainer;
use super::tls::Accepted;
use super::turns::Turn;
use super::{Ends, Front};
use crate::config::{self, Config};
use crate::limits::{Limit, Who};
use crate::pulse::Heart;
use crate::shutdown::Shutdown;
use crate::throttle::Throttle;
use crate::tls::Client;

/// How long a connection that has said nothing yet may take to say something once it is to end.
const FIRST_WORDS: Duration = Duration::from_millis(500);
/// A request's head may have so many bytes.
const HEAD: usize = 64 << 10;
/// How often the log hears that nobody can be accepted.
const TOLD: Duration = Duration::from_secs(60);

/// A bound address, not yet serving.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    /// Bound here, so that the port closes with it; one that was passed stays open for the next daemon.
    is_ours: bool,
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct ServeError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

impl Listener {
    /// Binds the configured address; from here on clients can connect, and wait.
    pub(crate) async fn bind(http: &config::Http) -> Result<Self, ServeError> {
        let asked = SocketAddr::new(http.host, http.port);
        let failed = |source| ServeError { address: asked, source };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, is_ours: true })
    }

    /// Takes a socket that was passed to us, open or not yet asked for.
    pub(crate) fn of(passed: std::net::TcpListener) -> Result<Self, ServeError> {
        let address = passed.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let failed = |source| ServeError { address, source };
        passed.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener: TcpListener::from_std(passed).map_err(failed)?, address, is_ours: false })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the door is closed and whoever came in has been answered, or until everything is to end. While
    /// the daemon drains, idle connections are closed and the routes refuse new work in words.
    pub(crate) async fn serve(self, front: Arc<Front>, mut heart: Heart, shutdown: Shutdown) {
        let connections = TaskTracker::new();
        let mut retry = Retry::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = heart.beat() => continue,
                () = shutdown.closed() => break,
            };
            match accepted {
                Ok((stream, peer)) => enter(stream, peer, None, &front, &connections, &shutdown),
                Err(error) => retry.after(&error).await,
            }
        }
        match self.is_ours {
            true => {
                let enter = |stream, peer| enter(stream, peer, None, &front, &connections, &shutdown);
                closing::close(self.listener, enter).await;
            }
            false => drop(self.listener),
        }
        connections.close();
        loop {
            tokio::select! {
                () = connections.wait() => return,
                () = heart.beat() => {}
            }
        }
    }
}

/// Waits after a connection could not be accepted, and tells of it now and then.
#[derive(Debug)]
pub(super) struct Retry {
    told: Throttle,
}

impl Default for Retry {
    fn default() -> Self {
        Self { told: Throttle::every(TOLD, 1) }
    }
}

impl Retry {
    pub(super) async fn after(&mut self, error: &io::Error) {
        // Out of descriptors, most likely: give running requests time to return some.
        if let Some(dropped) = self.told.pass(Instant::now()) {
            tracing::warn!(%error, dropped, "cannot accept a connection");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Serves a connection in a task of its own, unless there are too many.
pub(super) fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    mark: Option<FromContainer>,
    front: &Arc<Front>,
    connections: &TaskTracker,
    shutdown: &Shutdown,
) {
    let config = front.doors.current.get();
    let counted = &front.doors.connections;
    match counted.enter(peer.ip(), &config.http) {
        Ok(place) => {
            let (front, shutdown) = (Arc::clone(front), shutdown.clone());
            connections.spawn(connection(stream, peer, mark, front, config, shutdown, place));
        }
        Err(over) => {
            let who = || Who { peer: Some(peer.to_string()), ..Who::default() };
            front.doors.service.exceeded().note(over.limit, who);
            // In the clear: to who speaks TLS it would be no word.
            if front.doors.visits.tls().is_none()
                && let Some(telling) = counted.refuse(stream, &over)
            {
                connections.spawn(telling);
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    mark: Option<FromContainer>,
    front: Arc<Front>,
    config: Arc<Config>,
    shutdown: Shutdown,
    _place: Place,
) {
    let http = &config.http;
    // An answer in two small writes would otherwise wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    // A client that does not read would else keep its answer, and its connection, as long as it likes.
    let milliseconds = u32::try_from(http.write_timeout.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream, milliseconds) {
        tracing::debug!(%peer, %error, "cannot set TCP_USER_TIMEOUT");
    }
    // Unknown only where the connection is broken already.
    let ends = Ends { peer, local: stream.local_addr().unwrap_or(peer) };
    let accepted = tokio::select! {
        accepted = front.secure(stream, peer) => accepted,
        () = shutdown.ending() => return,
    };
    match accepted {
        Some(Accepted::Plain(stream)) => {
            speak(stream, ends, None, mark, front, http.header_timeout, shutdown).await;
        }
        Some(Accepted::Secured(stream, client)) => {
            speak(*stream, ends, client, mark, front, http.header_timeout, shutdown).await;
        }
        None => {}
    }
}

/// Answers requests until either end has enough.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    ends: Ends,
    client: Option<Arc<Client>>,
    mark: Option<FromContainer>,
    front: Arc<Front>,
    header_timeout: Duration,
    shutdown: Shutdown,
) {
    let peer = ends.peer;
    let heard = AtomicBool::new(false);
    let turn = Turn::default();
    let ended = Arc::clone(&front);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ends);
        if let Some(client) = &client {
            request.extensions_mut().insert(Arc::clone(client));
        }
        if let Some(mark) = mark {
            request.extensions_mut().insert(mark);
        }
        let (turn, shutdown, answer) = (&turn, &shutdown, front.answer(request));
        async move {
            turn.begin().await;
            let mut response = answer.await;
            // So that no other request is on its way when the connection is closed.
            if shutdown.is_draining() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // One that comes during the drain is there to be told so.
    let comes_late = shutdown.is_draining();
    let leaving = async {
        tokio::select! {
            () = shutdown.draining(), if !comes_late => {}
            () = shutdown.closed() => {}
        }
        // It would be closed unheard, with its first request on the way.
        if !heard.load(Ordering::Relaxed) {
            tokio::time::sleep(FIRST_WORDS).await;
        }
    };
    tokio::pin!(leaving);
    let mut is_leaving = false;
    loop {
        tokio::select! {
            result = poll_fn(|context| turn.take(connection.as_mut(), context)) => {
                if let Err(error) = result {
                    note(&ended, &error, peer, heard.load(Ordering::Relaxed));
                    tracing::debug!(%peer, %error, "a connection ended badly");
                }
                return;
            }
            () = leaving.as_mut(), if !is_leaving => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = shutdown.ending() => return,
        }
    }
}

/// Notes what hyper answered by itself, or closed without an answer. A connection that was used and is idle has done
/// nothing wrong.
fn note(front: &Front, error: &hyper::Error, peer: SocketAddr, was_used: bool) {
    let limit = if error.is_parse_too_large() {
        Limit::HeaderSize
    } else if error.is_timeout() && !was_used {
        Limit::HeaderTime
    } else {
        return;
    };
    front.doors.service.exceeded().note(limit, || Who { peer: Some(peer.to_string()), ..Who::default() });
}
