//! Who asks, and what they may.
//!
//! `keys` knows API keys by their digests and says whose one is; what it gives out is a [`Grant`], which goes with the
//! request to wherever something is decided about it. `created` has the keys that operators make and `store` the file
//! that keeps them; `attempts` slows down whoever guesses, and `profile` says which tools a profile selects.

mod attempts;
mod created;
mod grant;
mod keys;
mod profile;
mod store;

pub(crate) use attempts::{Attempt, Attempts, network};
pub(crate) use created::{Created, KeyChange, KeyError, NewSecret, PREFIX, Record};
pub(crate) use grant::{Caller, Grant, Scope};
pub(crate) use keys::{AuthError, Keys, Policy, is_in_url};
pub(crate) use profile::{Facts, Profile, ProfileError, Profiles, Rule};
pub(crate) use store::{FILE, StoreError, read as read_created, write as write_created};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
