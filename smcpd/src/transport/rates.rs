//! How often one caller may ask: a token bucket for each, of which there is a bounded number.
//!
//! A bucket is the moment at which it would be full again (the generic cell rate algorithm), so one that is full is the
//! same as none, and makes room for another.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::{Caller, network};

/// A caller who was silent for so long may ask for as much at once.
const BURST: Duration = Duration::from_secs(2);
const SHARDS: usize = 16;
/// Buckets of one shard; whoever comes on top shares one.
const MOST: usize = 4_096;
/// How often a shard that is full is looked through.
const LOOK: Duration = Duration::from_secs(1);

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Payer {
    Caller(Caller),
    /// Nobody else can be told from it: an address, or the network of one of IPv6.
    Peer(IpAddr),
}

impl Payer {
    pub(super) fn of(caller: &Caller, peer: IpAddr) -> Self {
        match caller {
            Caller::Anonymous => Self::Peer(network(peer)),
            caller => Self::Caller(caller.clone()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Rates {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    start: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    /// When each is full again, since the start.
    full: HashMap<Payer, Duration>,
    shared: Duration,
    looked: Duration,
}

impl Rates {
    pub(super) fn new(start: Instant) -> Self {
        Self { shards: Default::default(), hasher: RandomState::new(), start }
    }

    /// Takes one request of `rate` a second; the error is how long to wait.
    pub(super) fn take(&self, payer: Payer, rate: u32, now: Instant) -> Result<(), Duration> {
        if rate == 0 {
            return Ok(());
        }
        let now = now.saturating_duration_since(self.start);
        let place =
            usize::try_from(self.hasher.hash_one(&payer) % SHARDS as u64).expect("less than `SHARDS`");
        let mut shard = self.shards[place].lock().unwrap_or_else(PoisonError::into_inner);
        shard.take(payer, Duration::from_secs(1) / rate, now)
    }
}

impl Shard {
    fn take(&mut self, payer: Payer, each: Duration, now: Duration) -> Result<(), Duration> {
        if self.full.len() >= MOST && !self.full.contains_key(&payer) && now >= self.looked + LOOK {
            self.looked = now;
            self.full.retain(|_, full| *full > now);
        }
        let full = match self.full.len() >= MOST {
            false => self.full.entry(payer).or_default(),
            true => self.full.get_mut(&payer).unwrap_or(&mut self.shared),
        };
        let next = (*full).max(now) + each;
        if next > now + BURST.max(each) {
            return Err(next - now - BURST.max(each));
        }
        *full = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let start = Instant::now();
        let rates = Rates::new(start);
        let payer = |name: &str| Payer::of(&Caller::Key(name.into()), [192, 0, 2, 1].into());
        let pass = |name: &str, milliseconds: u64| {
            let now = start + Duration::from_millis(milliseconds);
            (0..100).take_while(|_| rates.take(payer(name), 10, now).is_ok()).count()
        };
        assert_eq!([pass("a", 0), pass("a", 99), pass("a", 100), pass("a", 1_100)], [20, 0, 1, 10]);
        assert_eq!(
            rates.take(payer("a"), 10, start + Duration::from_millis(1_150)),
            Err(Duration::from_millis(50))
        );
        assert_eq!([pass("b", 1_100), pass("a", 60_000)], [20, 20]);
        assert_eq!(rates.take(payer("a"), 0, start), Ok(()), "0 is no limit");
        // A rate that was lowered does not lock anybody out.
        assert_eq!(rates.take(payer("c"), 1, start), Ok(()));
    }

    #[test]
    fn whoever_has_no_key_is_told_by_the_address_and_of_ipv6_by_the_network() {
        let of = |address: &str| Payer::of(&Caller::Anonymous, address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        let key = |address: [u8; 4]| Payer::of(&Caller::Key("k".into()), address.into());
        assert_eq!(key([192, 0, 2, 1]), key([192, 0, 2, 2]));
    }

    #[test]
    fn buckets_are_bounded_and_a_flood_of_names_limits_newcomers_alone() {
        let mut shard = Shard::default();
        let each = Duration::from_millis(100);
        let peer = |number: u32| Payer::Peer(IpAddr::from(number.to_be_bytes()));
        let first = Duration::from_secs(5);
        for number in 0..10_000 {
            let _over = shard.take(peer(number), each, first);
        }
        assert_eq!(shard.full.len(), MOST);
        assert_eq!(shard.take(peer(0), each, first), Ok(()), "who has a bucket keeps it");
        assert!(shard.take(peer(99_999), each, first).is_err());
        let later = first + Duration::from_secs(9);
        assert_eq!(shard.take(peer(99_999), each, later), Ok(()));
        assert_eq!(shard.full.len(), 1);
    }
}
