//! Plain RTP: one UDP socket per stream, RTP and RTCP on one port (RFC 5761).
//!
//! [`open`] starts a stream's task on a port of [`Ports`]. The task stamps each datagram with its
//! arrival, checks it (cheap and unknown first: size, version, SSRC, source, payload type, then
//! SRTP, then shape) and hands what is left to the meeting's loop. Everything else is dropped and
//! counted by reason. It also answers with receiver reports.

mod network;
mod port;
mod stream;

pub use network::Network;
pub use port::{OpenError, Place, PortSenders, Ports, Rested};
pub use stream::open;

use crate::{domain::source::Terms, ingest::SrtpConfig};
use std::{net::SocketAddr, sync::Arc};

/// Whose packets count on a stream's port, and how they are secured.
#[derive(Clone, Debug, Default)]
pub struct PlainConfig {
    /// What the client told of where it comes from.
    pub terms: Terms,
    /// `rtp.allow`: from where streams without `remote` and SRTP may come, besides loopback.
    pub allow: Arc<[Network]>,
    /// The source from before a restart.
    pub latched: Option<SocketAddr>,
    /// Its SSRC then.
    pub ssrc: Option<u32>,
    pub srtp: Option<SrtpConfig>,
}
