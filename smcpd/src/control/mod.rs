//! The operator's door: the control socket, and the call socket beside it that offers tools alone.
//!
//! `socket` binds and accepts, `requests` answers, `follow` answers bit by bit, `doctor` judges, `approvals` has what waits for a decision, `keys` changes
//! keys, `launch` says how a command is run by hand, `pins` shows what nobody approved, `profiles` shows selections of tools and `why` what allows or stops a call,
//! `shown` says things in frames. What a socket offers is said by its [`smcp_control::Access`]; whoever may open it is the
//! file system's
//! to say. Every change is audited with the peer's credentials.

mod approvals;
mod doctor;
mod follow;
mod keys;
mod launch;
mod peer;
mod pins;
mod profiles;
mod requests;
mod shown;
mod socket;
mod why;

use std::net::SocketAddr;
use std::sync::Arc;

use interprocess::local_socket::tokio::Stream;
use tokio::io::{BufReader, ReadHalf, WriteHalf};
use tokio::sync::watch;

pub(crate) use socket::{ControlError, Sockets};

use crate::audit::Audit;
use crate::auth::{Caller, Grant};
use crate::catalog::Rescans;
use crate::config::{Current, Reloads};
use crate::logging;
use crate::oauth::OAuth;
use crate::protocol::{Peer, Revision, Service};
use crate::recent::Recent;
use crate::tls::Tls;

/// What the requests are about.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) service: Arc<Service>,
    pub(crate) rescans: Rescans,
    pub(crate) reloads: Reloads,
    pub(crate) current: Current,
    pub(crate) audit: Arc<Audit>,
    pub(crate) logs: Arc<Recent<logging::Record>>,
    /// Where HTTP is served.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) tls: Tls,
    pub(crate) oauth: OAuth,
    /// Where containers reach it, and over which bridge.
    pub(crate) reached: watch::Receiver<Vec<(SocketAddr, String)>>,
}

/// Whoever is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    uid: u32,
    pid: Option<i32>,
}

impl Operator {
    fn peer(self) -> Peer {
        Peer::outside(Revision::LATEST, Grant::whole(Caller::User(self.uid)), None)
    }
}

/// The two directions of a connection.
type Input = BufReader<ReadHalf<Stream>>;
type Output = WriteHalf<Stream>;
