//! What the service manager hears of us while we run: how we are, in a line for people, and that we are alive.

use std::sync::Arc;
use std::time::Duration;

use crate::notify;
use crate::protocol::Service;
use crate::pulse::Pulse;
use crate::shutdown::Shutdown;

/// A status that changes all the time is told this often.
const STATUS: Duration = Duration::from_secs(2);

/// Tells the status line whenever it is another one.
pub(super) async fn tell_status(service: Arc<Service>, shutdown: Shutdown) {
    let mut told = String::new();
    let mut tick = tokio::time::interval(STATUS);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.draining() => return,
        }
        let line = service.status_line();
        if service.is_ready() && line != told {
            notify::status(&line);
            told = line;
        }
    }
}

/// Feeds the watchdog at half its time, only as long as every loop answers in between; a loop that does not is named
/// once, and the service manager does the rest.
pub(super) async fn feed_watchdog(pulses: Vec<Pulse>, shutdown: Shutdown) {
    let Some(limit) = notify::watchdog() else { return };
    let beat = limit / 2;
    let mut stuck = Vec::new();
    loop {
        let felt = pulses.iter().map(async |pulse| (pulse.name(), pulse.is_felt(beat).await));
        let felt = tokio::select! {
            felt = futures_util::future::join_all(felt) => felt,
            () = shutdown.ending() => return,
        };
        let silent: Vec<&str> = felt.iter().filter(|(_, felt)| !felt).map(|(name, _)| *name).collect();
        if silent.is_empty() {
            notify::alive();
        } else if silent != stuck {
            tracing::error!(
                stuck = silent.join(" "),
                "a part of the daemon does not answer: the watchdog is not fed"
            );
        }
        stuck = silent;
        tokio::select! {
            () = tokio::time::sleep(beat) => {}
            () = shutdown.ending() => return,
        }
    }
}

/// Asks for time while running calls finish.
pub(super) async fn extend(drain: Duration, grace: Duration) {
    // Each word buys the time until the next one, and then what ending the rest may take.
    let step = Duration::from_secs(5);
    let mut left = drain + grace;
    while !left.is_zero() {
        notify::extend(step + grace + Duration::from_secs(10));
        let wait = step.min(left);
        tokio::time::sleep(wait).await;
        left -= wait;
    }
}
