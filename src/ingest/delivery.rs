//! Where the checked packets of one stream go.

use super::{
    Arrival, Reason,
    room::{Packet, Publisher},
};
use crate::domain::id::StreamId;
use tokio::sync::mpsc;

/// The two ways of a stream's packets: to the meeting's loop, and live to the others in the room.
/// Every source of packets ends here, with [`Delivery::deliver`] and [`Delivery::forward`].
///
/// They part on the task that received the packet, before the loop and before the reorder buffer:
/// whoever listens orders packets for itself, and a loop that is busy delays no voice. The loop
/// asks the gate for recording and transcription, the room for `live`.
pub(super) struct Delivery {
    stream: StreamId,
    to_loop: mpsc::Sender<(StreamId, Arrival)>,
    to_room: Option<Publisher>,
    /// A change of source that found no room yet.
    change: Option<Arrival>,
}

impl Delivery {
    pub fn new(
        stream: StreamId,
        to_loop: mpsc::Sender<(StreamId, Arrival)>,
        to_room: Option<Publisher>,
    ) -> Self {
        Self {
            stream,
            to_loop,
            to_room,
            change: None,
        }
    }

    /// The stream's source is another from the next packet on. `anew`: so is its SSRC.
    pub fn change(&mut self, from: std::net::SocketAddr, ssrc: u32, anew: bool) {
        let before = matches!(self.change, Some(Arrival::Latched { anew: true, .. }));
        self.change = Some(Arrival::Latched {
            from,
            ssrc,
            anew: anew || before,
        });
    }

    /// To the others. Made only when there are any. Never waits.
    pub fn forward(&self, packet: impl FnOnce() -> Packet) {
        if let Some(room) = &self.to_room {
            room.send(packet);
        }
    }

    /// To the loop. Never waits: without room it is dropped. A change of source goes before it, and
    /// is kept until it found room.
    pub fn deliver(&mut self, arrival: Arrival) -> Result<(), Reason> {
        if let Some(change) = self.change.take()
            && let Err(full) = self.to_loop.try_send((self.stream, change))
        {
            self.change = Some(full.into_inner().1);
            return Err(Reason::QueueFull);
        }
        self.to_loop
            .try_send((self.stream, arrival))
            .map_err(|_| Reason::QueueFull)
    }

    pub fn is_closed(&self) -> bool {
        self.to_loop.is_closed()
    }

    /// Waits until nobody takes arrivals any more.
    pub async fn closed(&self) {
        self.to_loop.closed().await;
    }
}
