//! The operator's door: the control socket, and the call socket beside it that offers tools alone.
//!
//! `socket` binds and accepts, `requests` answers. What a socket offers is said by its [`smcp_control::Access`]; whoever may open
//! it is the file system's to say. Every change is logged with the peer's credentials.

mod requests;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use socket::{ControlError, Sockets};

use crate::catalog::Rescans;
use crate::protocol::Service;

/// What the requests are about.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) service: Arc<Service>,
    pub(crate) rescans: Rescans,
    /// Where HTTP is served.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) plugins: PathBuf,
}

/// Whoever is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    uid: u32,
    pid: Option<i32>,
}
