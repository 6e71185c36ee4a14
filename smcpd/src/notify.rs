//! What the daemon tells its service manager (`sd_notify`), and nothing where there is none.
//!
//! The environment variables stay set, because unsetting them is not safe in a threaded program;
//! `catalog` strips them from what plugins inherit.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a message that matters may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Says READY, with a line for people and the bound address for whoever started us on port 0.
pub(crate) fn ready(status: &str, address: Option<SocketAddr>) {
    let address = address.map(|address| format!("X_SMCP_ADDRESS={address}"));
    let mut states = vec![NotifyState::Ready, NotifyState::Status(status)];
    if let Some(address) = &address {
        states.push(NotifyState::Custom(address));
    }
    send(Weight::Heavy, &states);
}

/// Says RELOADING, with the time that `Type=notify-reload` wants beside it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(Weight::Heavy, &[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot read the clock"),
    }
}

/// Ends what [`reloading`] began.
pub(crate) fn reloaded() {
    send(Weight::Heavy, &[NotifyState::Ready]);
}

/// Says how we are, in a line for people.
pub(crate) fn status(line: &str) {
    send(Weight::Light, &[NotifyState::Status(line)]);
}

/// Returns how long the service manager waits for a sign of life, where it does.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Says WATCHDOG=1.
pub(crate) fn alive() {
    send(Weight::Light, &[NotifyState::Watchdog]);
}

/// Asks for so much time from now on before the service manager loses patience.
pub(crate) fn extend(time: Duration) {
    send(
        Weight::Heavy,
        &[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))],
    );
}

/// Says STOPPING.
pub(crate) fn stopping(line: &str) {
    send(Weight::Heavy, &[NotifyState::Stopping, NotifyState::Status(line)]);
}

/// Whether a message may be lost to a service manager that does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// There will be another one.
    Light,
    Heavy,
}

/// A service manager that does not read costs us a moment at most; a plain send would wait for it
/// without end.
fn send(weight: Weight, states: &[NotifyState<'_>]) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    match deliver(&name, weight, text.as_bytes()) {
        Ok(()) => {}
        Err(error) if weight == Weight::Light && error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => tracing::warn!(%error, "cannot notify the service manager"),
    }
}

fn deliver(name: &OsStr, weight: Weight, text: &[u8]) -> io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddress::from_abstract_name(name)?,
        None => UnixAddress::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    match weight {
        Weight::Light => socket.set_nonblocking(true)?,
        Weight::Heavy => socket.set_write_timeout(Some(PATIENCE))?,
    }
    socket.send_to_addr(text, &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_that_does_not_read_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let began = std::time::Instant::now();
        let full = (0..10_000).find_map(|_| deliver(path.as_os_str(), Weight::Light, b"STATUS=x\n").err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(
            deliver(path.as_os_str(), Weight::Heavy, b"STOPPING=1\n").unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(began.elapsed() < PATIENCE * 20);
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STATUS=x\n");
        assert!(deliver(path.as_os_str(), Weight::Heavy, b"STOPPING=1\n").is_ok());
        assert!(deliver(OsStr::new("/nonexistent"), Weight::Light, b"x").is_err());
    }
}
