//! What the daemon tells its service manager (`sd_notify`), and nothing where there is none.
//!
//! The environment variables stay set, because unsetting them is not safe in a threaded program;
//! `catalog` strips them from what plugins inherit.

use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;

/// Says READY, with a line for people and the bound address for whoever started us on port 0.
pub(crate) fn ready(status: &str, address: Option<SocketAddr>) {
    let address = address.map(|address| format!("X_SMCP_ADDRESS={address}"));
    let mut states = vec![NotifyState::Ready, NotifyState::Status(status)];
    if let Some(address) = &address {
        states.push(NotifyState::Custom(address));
    }
    send(&states);
}

/// Says RELOADING, with the time that `Type=notify-reload` wants beside it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot read the clock"),
    }
}

/// Ends what [`reloading`] began.
pub(crate) fn reloaded() {
    send(&[NotifyState::Ready]);
}

/// Says how we are, in a line for people.
pub(crate) fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// Returns how long the service manager waits for a sign of life, where it does.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Says WATCHDOG=1.
pub(crate) fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Asks for so much time from now on before the service manager loses patience.
pub(crate) fn extend(time: Duration) {
    send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
}

/// Says STOPPING.
pub(crate) fn stopping(line: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(line)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
