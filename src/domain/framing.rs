//! Packets in order into frames: what is decoded together, or not at all.
//!
//! Audio is the simple case, [`EachPacket`]. Of video several packets make a frame, and a recording
//! or a receiver can begin only with a key frame: then the packet says where frames end, and the
//! frame whether it is one.

use crate::time::Span;
use std::fmt::Debug;

/// How the packets of one stream make frames. Told packets in order.
pub trait Framing: Debug {
    /// What is known of a packet while it waits for its turn: its id, and what says where frames
    /// begin and end. The bytes are the caller's.
    type Packet: Copy + Debug;
    type Frame;

    /// The next packet; the frame that it completes. `span` is when it was captured, `before` the
    /// packet before it that came, let in or not, as far as one is known.
    fn packet(
        &mut self,
        packet: Self::Packet,
        span: Span,
        before: Option<Span>,
    ) -> Option<Self::Frame>;

    /// Packets before the next one never come: a frame begun before it stays without its end.
    fn lost(&mut self);
}

/// Every packet is a frame, decoded by itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct EachPacket;

/// A frame of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketFrame {
    pub id: u64,
    pub span: Span,
    /// The packet before it that came, let in or not, as far as one is known.
    pub before: Option<Span>,
}

impl Framing for EachPacket {
    type Packet = u64;
    type Frame = PacketFrame;

    fn packet(&mut self, id: u64, span: Span, before: Option<Span>) -> Option<PacketFrame> {
        Some(PacketFrame { id, span, before })
    }

    fn lost(&mut self) {}
}
