//! Reads the files again when they are other ones, and keeps what there is where they are no good.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};

use super::load::{Identity, LoadError, Loaded, load};
use super::{State, Tls};
use crate::config::{self, Current};
use crate::events::{Event, Field, Kind};
use crate::shutdown::Shutdown;

/// How often the files are looked at. No notice of the kernel is as sure: they may be links to links, or on a network.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the files of `[tls]`.
#[derive(Debug)]
pub(crate) struct Following {
    current: Current,
    state: watch::Sender<State>,
    again: Arc<Notify>,
    /// What was refused last; it is not tried again until it changes.
    refused: Option<(config::Tls, Identity)>,
}

impl Following {
    /// Reads the files of the configuration; without them nothing is served.
    pub(crate) fn new(current: Current) -> Result<(Self, Tls), LoadError> {
        let loaded = current.get().tls.as_ref().map(load).transpose()?.map(Arc::new);
        let (state, receiver) = watch::channel(State { loaded, failure: None });
        let again = Arc::new(Notify::new());
        let tls = Tls { state: receiver, again: Arc::clone(&again) };
        Ok((Self { current, state, again, refused: None }, tls))
    }

    /// Looks at the files each second, and at once on [`Tls::refresh`], until everything is to end.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut seen = None;
        loop {
            let is_used = self.current.get().tls.is_some();
            tokio::select! {
                () = self.again.notified() => self.renew(None).await,
                () = tokio::time::sleep(LOOK), if is_used => {
                    let Some(settings) = self.current.get().tls.clone() else { continue };
                    let looking = tokio::task::spawn_blocking(move || Identity::of(&settings)).await;
                    let Ok(found) = looking else { continue };
                    // Twice the same: nobody is writing them at this moment.
                    if seen.as_ref() == Some(&found) {
                        self.renew(Some(&found)).await;
                    }
                    seen = Some(found);
                }
                () = shutdown.ending() => return,
            }
        }
    }

    /// Takes over what the files have; `found` is given where only a change of them matters.
    async fn renew(&mut self, found: Option<&Identity>) {
        let Some(settings) = self.current.get().tls.clone() else {
            self.refused = None;
            self.state.send_if_modified(|state| {
                let was = state.loaded.is_some();
                *state = State::default();
                was
            });
            return;
        };
        let used = self.state.borrow().loaded.clone();
        let is_used = |identity: &Identity| used.as_ref().is_some_and(|used| used.is(&settings, identity));
        let is_refused = |identity: &Identity| {
            self.refused.as_ref().is_some_and(|(of, refused)| *of == settings && refused == identity)
        };
        if found.is_some_and(|identity| is_used(identity) || is_refused(identity)) {
            return;
        }
        let reading = settings.clone();
        let read = tokio::task::spawn_blocking(move || (Identity::of(&reading), load(&reading))).await;
        let Ok((identity, read)) = read else { return };
        let chosen = read.map_err(|error| error.to_string()).and_then(|new| {
            let now = SystemTime::now();
            let certificate = used.as_deref().map(|used| used.not_after);
            is_worth_it(certificate, new.not_before, new.not_after, now)
                .map_err(|reason| format!("the certificate {reason}"))?;
            let lists = used.as_deref().and_then(|used| used.lists_until);
            let until = new.lists_until.unwrap_or(now);
            is_worth_it(lists, SystemTime::UNIX_EPOCH, until, now)
                .map_err(|reason| format!("a revocation list {reason}"))?;
            Ok(new)
        });
        match chosen {
            Ok(new) if is_used(&new.identity) => self.refused = None,
            Ok(new) => {
                self.refused = None;
                self.state.send_replace(State { loaded: Some(Arc::new(new)), failure: None });
                Event::of(Kind::CertificateLoaded).write();
            }
            Err(reason) => {
                self.refused = Some((settings, identity));
                self.state.send_modify(|state| state.failure = Some(reason.clone()));
                let message =
                    format!("the new files of `[tls]` are not used, and the old ones stay: {reason}");
                Event::of(Kind::CertificateRefused).text(Field::Reason, reason).write_as(&message);
            }
        }
    }
}

impl Loaded {
    fn is(&self, settings: &config::Tls, identity: &Identity) -> bool {
        self.settings == *settings && self.identity == *identity
    }
}

/// What is out of date, or is to come, does not take the place of what is good.
fn is_worth_it(
    used: Option<SystemTime>,
    not_before: SystemTime,
    not_after: SystemTime,
    now: SystemTime,
) -> Result<(), String> {
    match used {
        Some(used) if used >= now && not_after < now => Err("has expired".to_owned()),
        Some(used) if used >= now && not_before > now => Err("is not valid yet".to_owned()),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_clients_refuse_takes_the_place_of_no_good_one() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(100);
        for (used, from, until, expected) in [
            (None, 0, 50, Ok(())),
            (Some(150), 50, 200, Ok(())),
            (Some(150), 0, 99, Err("has expired")),
            (Some(150), 101, 200, Err("is not valid yet")),
            (Some(99), 0, 50, Ok(())),
            (Some(99), 101, 200, Ok(())),
        ] {
            let found = is_worth_it(used.map(at), at(from), at(until), now);
            assert_eq!(found, expected.map_err(str::to_owned), "{used:?} {from} {until}");
        }
    }
}
