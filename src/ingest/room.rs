//! Who hears whom in one meeting, live: packets go from where they were received to each listener's
//! queue, past the meeting's loop. They are not decoded, not put in order and not kept.
//!
//! **Invariants.** Only what the gate lets through as [`Live`] comes into a queue, and the gate is
//! asked again when it is sent. A full queue drops, and delays nobody else. What is heard is
//! decided by the meeting alone: it publishes a source, and takes it back by dropping the
//! [`Publication`].

use crate::domain::{
    codec::Codec,
    gate::{Gate, Live},
    id::{ParticipantId, StreamId},
    own_sections::Shown,
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, watch};

/// Packets that wait for one listener: a quarter of a second of twenty voices and as many cameras.
const WAITING_MAX: usize = 1_024;

/// A packet to be sent on, as it was received.
#[derive(Clone, Debug)]
pub struct Packet {
    pub at: Instant,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    /// How loud it is and whether somebody speaks (RFC 6464), as its sender says.
    pub level: Option<i8>,
    pub voice: Option<bool>,
    /// How a picture is to be turned (3GPP TS 26.114 7.4.5), as its sender says.
    pub turned: Option<u8>,
    /// Empty: its number is used up, and there is nothing to send.
    pub payload: Arc<[u8]>,
}

/// One packet of a source, on its way to the listeners.
#[derive(Clone, Debug)]
pub struct SourcePacket {
    pub shown: Shown,
    pub stream: StreamId,
    pub codec: Codec,
    pub packet: Packet,
}

/// A meeting's listeners and sources. Clones share them.
#[derive(Clone)]
pub struct Room(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    state: RwLock<State>,
    /// Counts the changes of the sources, and of whom the gate lets be heard.
    changes: watch::Sender<u64>,
    /// Whom it lets be heard, as the listeners know it.
    live: Mutex<BTreeSet<ParticipantId>>,
}

#[derive(Default)]
struct State {
    sources: BTreeMap<Shown, Origin>,
    listeners: Vec<Queue>,
    last: u64,
}

/// Where a source comes from.
struct Origin {
    stream: StreamId,
    /// Asks its sender for a key frame.
    ask: Option<AskKeyFrame>,
}

type AskKeyFrame = Box<dyn Fn() + Send + Sync>;

struct Queue {
    number: u64,
    participant: ParticipantId,
    to: mpsc::Sender<Live<Arc<SourcePacket>>>,
}

impl State {
    fn is_current(&self, shown: &Shown, stream: StreamId) -> bool {
        self.sources
            .get(shown)
            .is_some_and(|origin| origin.stream == stream)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.read();
        f.debug_struct("Room")
            .field("sources", &state.sources.len())
            .field("listeners", &state.listeners.len())
            .finish()
    }
}

impl Room {
    /// `gate`: the meeting's.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self(Arc::new(Inner {
            gate,
            state: RwLock::default(),
            changes: watch::Sender::new(0),
            live: Mutex::default(),
        }))
    }

    /// Whom the gate lets be heard may have changed: what waits of those whom it does not is
    /// dropped.
    pub fn recheck(&self) {
        let inner = &self.0;
        if inner.gate.live_changed(&mut inner.live.lock()) {
            inner.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// The others hear this stream from now on, and no longer the one before it of the same
    /// participant and source.
    pub fn publish(&self, shown: Shown, stream: StreamId, codec: Codec) -> Publication {
        let origin = Origin { stream, ask: None };
        self.0.state.write().sources.insert(shown, origin);
        self.0.changes.send_modify(|changes| *changes += 1);
        Publication(Publisher {
            room: self.clone(),
            shown,
            stream,
            codec,
        })
    }

    /// Whoever asks hears the others, until the answer is dropped.
    pub fn listen(&self, participant: ParticipantId) -> Listener {
        let (to, packets) = mpsc::channel(WAITING_MAX);
        let mut state = self.0.state.write();
        state.last += 1;
        let number = state.last;
        state.listeners.push(Queue {
            number,
            participant,
            to,
        });
        drop(state);
        Listener {
            room: self.clone(),
            number,
            participant,
            packets,
            changes: self.0.changes.subscribe(),
        }
    }
}

/// A source that the others hear, for as long as this is kept.
#[derive(Debug)]
pub struct Publication(Publisher);

impl Publication {
    /// The way to the others for whoever receives the stream.
    pub fn publisher(&self) -> Publisher {
        self.0.clone()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        let Publisher {
            room,
            shown,
            stream,
            ..
        } = &self.0;
        let mut state = room.0.state.write();
        // Unless another stream has taken its place.
        if state.is_current(shown, *stream) {
            state.sources.remove(shown);
            drop(state);
            room.0.changes.send_modify(|changes| *changes += 1);
        }
    }
}

/// The way of one stream's packets to the others.
#[derive(Clone, Debug)]
pub struct Publisher {
    room: Room,
    shown: Shown,
    stream: StreamId,
    codec: Codec,
}

impl Publisher {
    /// How its sender is asked for a key frame. Must not wait.
    pub(super) fn asked_by(&self, ask: impl Fn() + Send + Sync + 'static) {
        let mut state = self.room.0.state.write();
        if let Some(origin) = state
            .sources
            .get_mut(&self.shown)
            .filter(|origin| origin.stream == self.stream)
        {
            origin.ask = Some(Box::new(ask));
        }
    }

    /// To each of the others; not made when there is nobody. Never waits: for a listener without
    /// room it is dropped.
    pub fn send(&self, packet: impl FnOnce() -> Packet) {
        let inner = &self.room.0;
        let state = inner.state.read();
        if !state.is_current(&self.shown, self.stream) {
            return;
        }
        let others = || {
            let all = state.listeners.iter();
            all.filter(|of| of.participant != self.shown.participant)
        };
        if others().next().is_none() {
            return;
        }
        let packet = Arc::new(SourcePacket {
            shown: self.shown,
            stream: self.stream,
            codec: self.codec,
            packet: packet(),
        });
        let Some(live) = inner.gate.admit_live(self.shown.participant, packet) else {
            metrics::counter!("hansard_forward_dropped_total", "reason" => "not_live").increment(1);
            return;
        };
        for listener in others() {
            if listener.to.try_send(live.clone()).is_err() {
                metrics::counter!("hansard_forward_dropped_total", "reason" => "queue_full")
                    .increment(1);
            }
        }
    }
}

/// What one participant hears of the others.
pub struct Listener {
    room: Room,
    number: u64,
    participant: ParticipantId,
    packets: mpsc::Receiver<Live<Arc<SourcePacket>>>,
    changes: watch::Receiver<u64>,
}

/// What a listener hears next.
pub enum Next {
    /// So many packets were added.
    Packets(usize),
    /// Other sources are there than before, or others may be heard.
    Sources,
}

impl Listener {
    /// Waits for packets, which are added to `batch`, at most as many as `batch_max`, or for a
    /// change of the sources. May be dropped while it waits; nothing is lost by that.
    pub async fn next(
        &mut self,
        batch: &mut Vec<Live<Arc<SourcePacket>>>,
        batch_max: usize,
    ) -> Next {
        tokio::select! {
            count = self.packets.recv_many(batch, batch_max) => Next::Packets(count),
            // The room is kept by this, so it does not end.
            _ = self.changes.changed() => Next::Sources,
        }
    }

    /// What there is to be heard of the others.
    pub fn wanted(&self) -> BTreeSet<Shown> {
        let state = self.room.0.state.read();
        let others = state.sources.keys();
        others
            .filter(|shown| shown.participant != self.participant)
            .copied()
            .collect()
    }

    /// Asks whoever sends it for a picture that can be decoded by itself.
    pub fn want_key_frame(&self, shown: &Shown) {
        let state = self.room.0.state.read();
        let ask = state
            .sources
            .get(shown)
            .and_then(|origin| origin.ask.as_ref());
        if let Some(ask) = ask {
            ask();
        }
    }

    /// Whether a participant may be heard.
    pub fn is_live(&self, participant: ParticipantId) -> bool {
        self.room.0.gate.is_live(participant)
    }

    /// What may be sent, asked when it is.
    pub fn still<'a>(&self, live: &'a Live<Arc<SourcePacket>>) -> Option<&'a SourcePacket> {
        self.room.0.gate.still_live(live).map(AsRef::as_ref)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.room.0.state.write();
        state.listeners.retain(|of| of.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        codec::AudioCodec,
        stream::{MediaKind, MediaSource},
    };
    use uuid::Uuid;

    const CODEC: Codec = Codec::Audio(AudioCodec::Opus);

    fn who(n: u128) -> ParticipantId {
        ParticipantId(Uuid::from_u128(n))
    }

    fn voice(n: u128) -> Shown {
        Shown {
            kind: MediaKind::Audio,
            participant: who(n),
            source: MediaSource::Microphone,
        }
    }

    fn stream(n: u128) -> StreamId {
        StreamId(Uuid::from_u128(100 + n))
    }

    fn packet(sequence: u16) -> Packet {
        Packet {
            at: Instant::now(),
            ssrc: 1,
            sequence,
            timestamp: 0,
            marker: false,
            level: None,
            voice: None,
            turned: None,
            payload: [0x78_u8].as_slice().into(),
        }
    }

    /// The numbers of what waits for a listener and may be sent.
    fn sent(listener: &mut Listener) -> Vec<u16> {
        let mut numbers = Vec::new();
        while let Ok(live) = listener.packets.try_recv() {
            numbers.extend(listener.still(&live).map(|of| of.packet.sequence));
        }
        numbers
    }

    #[tokio::test]
    async fn each_hears_the_others_and_nobody_itself() {
        let gate = Arc::new(Gate::new(&[]));
        gate.set_live([who(1), who(2)].into());
        let room = Room::new(gate.clone());
        let (mut one, mut two) = (room.listen(who(1)), room.listen(who(2)));
        let published = room.publish(voice(1), stream(1), CODEC);
        assert_eq!((one.wanted(), two.wanted()), ([].into(), [voice(1)].into()));
        published.publisher().send(|| packet(7));
        assert_eq!((sent(&mut one), sent(&mut two)), (vec![], vec![7]));
        // Gone between the queue and the send.
        published.publisher().send(|| packet(8));
        gate.set_live([who(2)].into());
        assert_eq!(sent(&mut two), Vec::<u16>::new());
        published.publisher().send(|| packet(9));
        gate.set_live([who(1), who(2)].into());
        assert_eq!(sent(&mut two), Vec::<u16>::new());
    }

    #[tokio::test]
    async fn the_newest_stream_of_a_source_is_the_one_that_is_heard() {
        let gate = Arc::new(Gate::new(&[]));
        gate.set_live([who(1)].into());
        let room = Room::new(gate);
        let mut listener = room.listen(who(2));
        let first = room.publish(voice(1), stream(1), CODEC);
        let second = room.publish(voice(1), stream(2), CODEC);
        let (of_first, of_second) = (first.publisher(), second.publisher());
        drop(first);
        of_first.send(|| packet(1));
        of_second.send(|| packet(2));
        assert_eq!(sent(&mut listener), [2]);
        drop(second);
        of_second.send(|| packet(3));
        assert_eq!(sent(&mut listener), Vec::<u16>::new());
        assert_eq!(listener.wanted(), [].into());
    }

    #[tokio::test]
    async fn a_listener_that_does_not_keep_up_loses_and_keeps_nobody_waiting() {
        let gate = Arc::new(Gate::new(&[]));
        gate.set_live([who(1)].into());
        let room = Room::new(gate);
        let (mut slow, mut quick) = (room.listen(who(2)), room.listen(who(3)));
        let published = room.publish(voice(1), stream(1), CODEC);
        let all = 3 * WAITING_MAX as u16;
        for number in 0..all {
            published.publisher().send(|| packet(number));
            assert_eq!(sent(&mut quick), [number]);
        }
        assert_eq!(sent(&mut slow).len(), WAITING_MAX);
    }
}
