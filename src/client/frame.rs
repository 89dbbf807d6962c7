//! What a sender sends.

use tokio_util::bytes::Bytes;

/// One encoded frame: an Opus packet, or G.711 samples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub payload: Bytes,
    /// How long it plays, in ticks of the stream's clock.
    pub ticks: u32,
}
