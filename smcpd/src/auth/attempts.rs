//! Wrong keys by peer: whoever tries many is slowed down, and one record tells of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys of one peer are counted for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// Peers that are counted at once; the one whose window is the oldest makes room.
const MOST: usize = 4_096;

/// Who presented wrong keys lately.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    peers: Mutex<HashMap<IpAddr, Window>>,
    /// How many are counted: nobody is looked for among none.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    wrong: u32,
}

/// What comes of one more wrong key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Counted,
    /// The first one too many of its minute: this is told of.
    FirstTooMany {
        wait: Duration,
    },
    TooMany {
        wait: Duration,
    },
}

impl Attempts {
    /// Notes a wrong key of a peer, of which `most` are allowed in a minute.
    pub(crate) fn note(&self, peer: IpAddr, most: u32, now: Instant) -> Attempt {
        let peer = network(peer);
        let mut peers = self.lock();
        if !peers.contains_key(&peer) && peers.len() >= MOST {
            make_room(&mut peers, now);
        }
        let window = peers.entry(peer).or_insert(Window { since: now, wrong: 0 });
        if now.saturating_duration_since(window.since) >= WINDOW {
            *window = Window { since: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
        let (wrong, wait) = (window.wrong, left(window, now));
        self.count.store(peers.len(), Ordering::Relaxed);
        match wrong {
            wrong if wrong <= most => Attempt::Counted,
            wrong if wrong == most + 1 => Attempt::FirstTooMany { wait },
            _ => Attempt::TooMany { wait },
        }
    }

    /// Returns how long a peer has to wait before a key that could be guessed is looked at.
    pub(crate) fn wait(&self, peer: IpAddr, most: u32, now: Instant) -> Option<Duration> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let peers = self.lock();
        let window = peers.get(&network(peer))?;
        let is_over = now.saturating_duration_since(window.since) >= WINDOW;
        (!is_over && window.wrong > most).then(|| left(window, now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Window>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(window: &Window, now: Instant) -> Duration {
    WINDOW.saturating_sub(now.saturating_duration_since(window.since))
}

fn make_room(peers: &mut HashMap<IpAddr, Window>, now: Instant) {
    peers.retain(|_, window| now.saturating_duration_since(window.since) < WINDOW);
    if peers.len() >= MOST {
        let oldest = peers.iter().min_by_key(|(_, window)| window.since).map(|(peer, _)| *peer);
        oldest.map(|peer| peers.remove(&peer));
    }
}

/// The part of an address that a host cannot choose: one subscriber of IPv6 has a whole /64.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_few_wrong_keys_a_minute_are_counted_and_more_have_to_wait() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let one = peer("192.0.2.1");
        assert_eq!(attempts.wait(one, 2, at(0)), None);
        assert_eq!([attempts.note(one, 2, at(0)), attempts.note(one, 2, at(1))], [Attempt::Counted; 2]);
        assert_eq!(attempts.wait(one, 2, at(1)), None);
        let wait = Duration::from_secs(58);
        assert_eq!(attempts.note(one, 2, at(2)), Attempt::FirstTooMany { wait });
        assert_eq!(attempts.note(one, 2, at(2)), Attempt::TooMany { wait });
        assert_eq!(attempts.wait(peer("::ffff:192.0.2.1"), 2, at(2)), Some(wait));
        assert_eq!(attempts.wait(peer("192.0.2.2"), 2, at(2)), None);
        assert_eq!(attempts.wait(one, 2, at(60)), None);
        assert_eq!(attempts.note(one, 2, at(60)), Attempt::Counted);
        // Neighbours of one network are one peer.
        attempts.note(peer("2001:db8::1"), 0, at(60));
        assert!(attempts.wait(peer("2001:db8::2"), 0, at(60)).is_some());
        assert!(attempts.wait(peer("2001:db8:0:1::1"), 0, at(60)).is_none());
    }

    #[test]
    fn many_peers_need_no_more_memory() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for number in 0..2 * u32::try_from(MOST).unwrap() {
            let now = start + Duration::from_millis(number.into());
            attempts.note(IpAddr::from(number.to_be_bytes()), 5, now);
        }
        assert_eq!(attempts.lock().len(), MOST);
    }
}
