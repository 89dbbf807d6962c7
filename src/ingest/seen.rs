//! What a stream's task knows of its sender, for whoever asks.

use std::{net::SocketAddr, time::Instant};

/// What is known of a stream's sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    pub from: Option<SocketAddr>,
    pub ssrc: Option<u32>,
    /// SRTP only: rollover counter and highest sequence number (48 bits), to be kept for a restart.
    pub index: Option<u64>,
    /// Packets that were sent and did not come, as receiver reports count them.
    pub lost: u64,
    /// The last packet that was taken.
    pub last: Option<Instant>,
}
