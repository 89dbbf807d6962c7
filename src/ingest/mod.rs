//! Media in: packets from a stream's sender, checked, for the meeting's loop.
//!
//! [`plain`] is RTP to a UDP port of the stream's own, [`webrtc`] one port for all browsers. Shared
//! by both: RTP, RTCP, SRTP, RED and the codecs' packets are read here, what came
//! is counted, and receiver reports are written.
//!
//! **Invariants.** Nothing of a packet that failed a check is looked at further. Nothing is written
//! down here. A full channel drops, never blocks. What consent allows is not decided here: the loop
//! asks the gate before a packet meets any buffer, and `room` asks it before one is sent on to the
//! others.

pub mod plain;
pub mod webrtc;

mod counts;
mod delivery;
mod handle;
mod red;
mod replay;
mod report;
mod room;
mod rtcp;
mod rtp;
mod seen;
mod srtp;

pub use counts::{Counts, Reason};
pub use handle::Stream;
pub use plain::{Network, OpenError, Place, PlainConfig, PortSenders, Ports, Rested};
pub use room::{Publication, Publisher, Room};
pub use rtcp::{Control, parse as parse_rtcp};
pub use rtp::{Packet, parse as parse_rtp};
pub use seen::Seen;
pub use srtp::{Keyring, Srtp, SrtpConfig, SrtpError, new_key};
pub use webrtc::{Endpoint, Hears, Notice, OwnOffer, Peer};

use crate::domain::{codec::Codec, id::StreamId, timeline::Header};
use bytes::Bytes;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Datagrams above this are dropped: larger than any Ethernet frame.
pub const DATAGRAM_MAX: usize = 1_500;
/// Asked of the kernel per socket: seconds of one voice, should the process stand still.
pub const RECEIVE_BUFFER: usize = 512 * 1024;
/// RFC 3550 6.2: the recommended minimum interval of reports.
pub const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A stream to receive.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    pub stream: StreamId,
    pub payload_type: u8,
    /// Of redundant audio data (RFC 2198) that holds the stream's packets.
    pub red_payload_type: Option<u8>,
    pub codec: Codec,
    /// Ticks per second.
    pub clock_rate: u32,
    /// Interval of receiver reports; [`REPORT_EVERY`].
    pub report_every: Duration,
    /// The way to the others in the room, where they may have it.
    pub live: Option<Publisher>,
}

/// Where a stream's packets come from.
#[expect(
    clippy::large_enum_variant,
    reason = "made once for each stream, and not kept"
)]
#[derive(Debug)]
pub enum Source {
    /// RTP to a UDP port of the stream's own.
    Plain(Place, PlainConfig),
    /// A media section of a peer connection, by its `mid`.
    Peer(Peer, String),
}

/// Begins to receive. What arrives goes to `to` with the stream's id; when that is full it is
/// dropped and counted, when its receiver is gone the stream ends. Must be called within a Tokio
/// runtime.
pub fn open(
    config: StreamConfig,
    source: Source,
    to: mpsc::Sender<(StreamId, Arrival)>,
) -> Result<Stream, OpenError> {
    match source {
        Source::Plain(place, plain) => plain::open(config, place, plain, to),
        Source::Peer(peer, mid) => webrtc::open(config, &peer, &mid, to),
    }
}

/// What a stream has to say, in order of arrival. At most a channel's capacity of these is waiting.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A checked (and decrypted) packet.
    Rtp {
        at: Instant,
        header: Header,
        marker: bool,
        /// One Opus packet, or G.711 samples. Empty for padding only.
        payload: Bytes,
    },
    /// A packet of another payload type from the stream's sender: comfort noise, a telephone event.
    /// It uses up a number.
    Other { at: Instant, sequence: u16 },
    SenderReport {
        at: Instant,
        /// The sender's wall clock, NTP 32.32.
        ntp: u64,
        /// Its sample counter at that instant.
        timestamp: u32,
        /// Its CNAME as last told.
        cname: Option<Arc<str>>,
    },
    /// Any other valid RTCP: the stream is there.
    Alive { at: Instant },
    /// The sender ended the stream; media after this revokes it.
    Bye { at: Instant },
    /// From now on this source is heard. `anew`: with another SSRC than before, so its counters
    /// begin anew.
    Latched {
        from: SocketAddr,
        ssrc: u32,
        anew: bool,
    },
}
