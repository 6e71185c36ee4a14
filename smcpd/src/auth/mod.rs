//! Who asks, and what they may.
//!
//! `keys` knows API keys by their digests and says whose one is; what it gives out is a [`Grant`], which goes with the
//! request to wherever something is decided about it.

mod grant;
mod keys;

pub(crate) use grant::{Caller, Grant, Scope};
pub(crate) use keys::{AuthError, Keys, Policy};
