//! What `smcpd` and `smcpctl` say to each other over the control socket: both sides agree on this byte for byte.

/// The number of the protocol; a side that speaks another one says so and leaves.
pub const PROTOCOL: u32 = 1;
