//! A meeting's streams decoded for speech, in one thread.

use crate::{
    domain::{
        codec::AudioCodec,
        gate::{Admitted, Gate, Transcription},
        id::{ParticipantId, StreamId},
        late::LateSpans,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        decode::Decoder,
        frame::{Frame, Pcm},
        live::inbox::Inbox,
    },
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What speech wants.
pub const RATE: u32 = 16_000;
/// Frames that wait for the decoder: half a minute of 20 streams, a few MB. A machine with more to
/// do than it can falls behind here, and catches up.
const FRAMES_MAX: usize = 30_000;
/// How much more than others this thread gives way (nice(2)): what it would make now waits for the
/// speech decoder anyway.
const GIVES_WAY: i32 = 5;
/// With many meetings, frames are decoded together that come within this time for each of them, and
/// at most within the other: waking a thread for each frame costs as much as decoding it, and what
/// is heard then waits for the speech decoder anyway.
const GATHER_A_MEETING: Duration = Duration::from_millis(4);
const GATHER_MAX: Duration = Duration::from_millis(60);
/// Orders beside them.
const ORDERS_MAX: usize = 1_000;
/// A stream without a frame for this long gives up its last one: DTX, mute.
const HELD_MAX: Micros = Micros::from_ms(100);

/// How many of these threads there are.
static THREADS: AtomicU32 = AtomicU32::new(0);

/// Takes the PCM of one stream, in order, on the decoder's thread. It may keep the thread waiting:
/// frames then wait before it, undecoded. It is dropped behind the stream's last PCM.
pub type PcmSink = Box<dyn FnMut(Admitted<Transcription, Pcm>) + Send>;
/// Is told the time, likewise, behind everything that was pushed before it.
pub type TimeSink = Box<dyn FnMut(MeetingTime) + Send>;

/// Counts since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DecodeCounts {
    /// Frames not decoded because the queue was full.
    pub overflowed: u64,
    /// PCM that the gate no longer let out.
    pub refused: u64,
    /// Frames that could not be decoded.
    pub broken: u64,
}

enum Order {
    Open(StreamId, ParticipantId, AudioCodec, PcmSink),
    Frame(StreamId, Admitted<Transcription, Frame>),
    Lost(StreamId, Span),
    Close(StreamId),
    Tick(MeetingTime),
    Finish,
}

#[derive(Default)]
struct Shared {
    inbox: Inbox<Order>,
    overflowed: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
}

/// The handle of a meeting's decoder thread. Dropping it ends the thread.
pub struct DecodeThread {
    shared: Arc<Shared>,
}

impl DecodeThread {
    /// Starts the thread; it makes PCM at [`RATE`].
    pub fn start(gate: Arc<Gate>, time: TimeSink) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = Thread {
            shared: Arc::clone(&shared),
            gate,
            time,
            streams: BTreeMap::new(),
        };
        let meeting = tracing::Span::current();
        thread::Builder::new()
            .name("decode".into())
            .spawn(move || meeting.in_scope(|| thread.run()))
            .context("the decoder's thread does not start")?;
        Ok(Self { shared })
    }

    /// Makes a stream known, before its first frame; its PCM goes to `to`. `false`: too many orders
    /// wait.
    pub fn open(
        &self,
        stream: StreamId,
        participant: ParticipantId,
        codec: AudioCodec,
        to: PcmSink,
    ) -> bool {
        self.order(Order::Open(stream, participant, codec, to))
    }

    /// Hands a frame over, in order. `false`: the queue was full and it is lost (counted).
    pub fn push(&self, stream: StreamId, frame: Admitted<Transcription, Frame>) -> bool {
        let taken = self
            .shared
            .inbox
            .push(Order::Frame(stream, frame), FRAMES_MAX);
        if !taken {
            count(&self.shared.overflowed, "overflowed");
        }
        taken
    }

    /// Packets of this span will not come; in order with the frames. Short ones are concealed.
    pub fn lost(&self, stream: StreamId, span: Span) -> bool {
        self.shared
            .inbox
            .push(Order::Lost(stream, span), FRAMES_MAX)
    }

    /// What was pushed is decoded, then the stream's sink is dropped.
    pub fn close(&self, stream: StreamId) {
        self.shared
            .inbox
            .push_urgent(Order::Close(stream), usize::MAX);
    }

    /// Tells the time, several times a second: streams that fell silent give their last frame. It
    /// comes back behind all that was pushed before it, so that sound which waits here is not taken
    /// for silence.
    pub fn tick(&self, now: MeetingTime) {
        self.shared.inbox.push(Order::Tick(now), FRAMES_MAX / 2);
    }

    pub fn counts(&self) -> DecodeCounts {
        DecodeCounts {
            overflowed: self.shared.overflowed.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            broken: self.shared.broken.load(Ordering::Relaxed),
        }
    }

    fn order(&self, order: Order) -> bool {
        self.shared.inbox.push(order, FRAMES_MAX + ORDERS_MAX)
    }
}

impl Drop for DecodeThread {
    fn drop(&mut self) {
        self.shared.inbox.push_urgent(Order::Finish, usize::MAX);
    }
}

/// Here, and for the operator.
fn count(counter: &AtomicU64, reason: &'static str) {
    counter.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("hansard_frames_not_heard_total", "reason" => reason).increment(1);
}

struct Stream {
    participant: ParticipantId,
    codec: AudioCodec,
    lates: LateSpans,
    to: PcmSink,
    /// Made with the first frame, and anew after an error.
    decoder: Option<Decoder>,
    span: tracing::Span,
}

/// Counts among [`THREADS`] while it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Thread {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    time: TimeSink,
    streams: BTreeMap<StreamId, Stream>,
}

impl Thread {
    fn run(mut self) {
        // On Linux this is the thread's alone. Refused, it is as urgent as others.
        let _ = rustix::process::nice(GIVES_WAY);
        let _counted = Counted::new();
        loop {
            for order in self.shared.inbox.take(None) {
                match order {
                    Order::Open(stream, participant, codec, to) => {
                        self.streams.entry(stream).or_insert(Stream {
                            participant,
                            codec,
                            lates: LateSpans::default(),
                            to,
                            decoder: None,
                            span: tracing::info_span!("stream", id = %stream),
                        });
                    }
                    Order::Frame(stream, frame) => self.frame(stream, frame),
                    Order::Lost(stream, span) => {
                        self.with(stream, |decoder, out| decoder.lost(span, out))
                    }
                    Order::Close(stream) => self.close(stream),
                    Order::Tick(now) => self.tick(now),
                    Order::Finish => return self.finish(),
                }
            }
            let others = THREADS.load(Ordering::Relaxed).saturating_sub(1);
            self.shared
                .inbox
                .gather((GATHER_A_MEETING * others).min(GATHER_MAX));
        }
    }

    fn frame(&mut self, id: StreamId, frame: Admitted<Transcription, Frame>) {
        let (frame, pass) = frame.into_parts();
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|stream| stream.participant == pass.participant)
        else {
            count(&self.shared.broken, "broken");
            return;
        };
        stream.lates.add(pass.span, pass.late);
        if stream.decoder.is_none() {
            match Decoder::new(stream.codec, RATE) {
                Ok(decoder) => stream.decoder = Some(decoder),
                Err(error) => {
                    stream.span.in_scope(|| {
                        tracing::warn!(error = format!("{error:#}"), "a decoder does not start");
                    });
                    count(&self.shared.broken, "broken");
                    return;
                }
            }
        }
        self.with(id, |decoder, out| decoder.push(&frame, out));
    }

    /// Does something with a stream's decoder and sends on what comes out, as far as the gate still
    /// allows.
    fn with(
        &mut self,
        id: StreamId,
        act: impl FnOnce(&mut Decoder, &mut dyn FnMut(Pcm)) -> Result<()>,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let Some(decoder) = &mut stream.decoder else {
            return;
        };
        let (gate, shared) = (&self.gate, &self.shared);
        let (participant, lates, to) = (stream.participant, &stream.lates, &mut stream.to);
        let done = act(decoder, &mut |pcm: Pcm| {
            let span = pcm.span;
            let late = lates.within(span);
            let arrived = if late.0 == 0 {
                span.start
            } else {
                span.end + late
            };
            match gate.admit::<Transcription, _>(participant, arrived, span, pcm) {
                Ok(pcm) => to(pcm),
                Err(_) => count(&shared.refused, "refused"),
            }
        });
        if let Err(error) = done {
            stream.span.in_scope(|| {
                tracing::debug!(error = format!("{error:#}"), "a frame could not be decoded");
            });
            count(&self.shared.broken, "broken");
            stream.decoder = None;
        }
    }

    fn tick(&mut self, now: MeetingTime) {
        let quiet: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, stream)| {
                stream
                    .decoder
                    .as_ref()
                    .and_then(Decoder::end)
                    .is_some_and(|end| now - end >= HELD_MAX)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in quiet {
            self.with(id, |decoder, out| decoder.flush(out));
        }
        (self.time)(now);
    }

    fn close(&mut self, id: StreamId) {
        self.with(id, |decoder, out| decoder.flush(out));
        self.streams.remove(&id);
    }

    fn finish(mut self) {
        let all: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in all {
            self.close(id);
        }
    }
}
