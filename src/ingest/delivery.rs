//! Where the checked packets of one stream go.

use super::{Arrival, Reason};
use crate::domain::id::StreamId;
use tokio::sync::mpsc;

/// The way of a stream's packets to the meeting's loop. Every source of packets ends here, with
/// [`Delivery::give`].
///
/// **Forwarding branches off here**: on the task that received the packet, before the loop and
/// before the reorder buffer, since a peer orders packets for itself and must not wait for us to.
/// A second receiver gets what `give` gets. It has to ask the gate for itself, for each packet:
/// nothing before this point knows consent, and the loop's answer is for recording and
/// transcription only.
pub(super) struct Delivery {
    stream: StreamId,
    to_loop: mpsc::Sender<(StreamId, Arrival)>,
    /// A change of source that found no room yet.
    change: Option<Arrival>,
}

impl Delivery {
    pub fn new(stream: StreamId, to_loop: mpsc::Sender<(StreamId, Arrival)>) -> Self {
        Self {
            stream,
            to_loop,
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

    /// Never waits: without room it is dropped. A change of source goes before it, and is kept
    /// until it found room.
    pub fn give(&mut self, arrival: Arrival) -> Result<(), Reason> {
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
