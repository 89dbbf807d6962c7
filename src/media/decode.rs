//! Frames into PCM. [`Decoder`] is one stream's, in the caller's thread; [`Ears`] decodes a meeting's streams for speech
//! in one thread of its own and asks the gate again on the way out.
//!
//! One thread for all streams of a meeting: 20 of them need about a twentieth of a core, and a thread per stream would
//! pay a wake-up for each of their 1,000 packets per second.

use crate::{
    domain::{
        recording::Codec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        frame::{self, Frame, Pcm},
        graph::{Graph, Inlet},
    },
};
use anyhow::{Context, Result};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;

pub use crate::media::ears::{Ears, EarsCounts, Heard};

/// Concealment is made in pieces of this length, as if they were packets.
const PIECE: Micros = Micros::from_ms(20);

/// Decodes one stream to mono PCM at one rate.
///
/// Opus comes out one frame late, because the next packet may carry the lost one's redundancy; [`Decoder::flush`] gets
/// the last frame out.
pub struct Decoder {
    // Dropped in this order.
    inlet: Inlet,
    graph: Graph,
    sink: AppSink,
    codec: Codec,
    rate: u32,
    /// End of the last frame or concealment pushed.
    end: Option<MeetingTime>,
    /// Before this the decoder has not settled; its samples are left out.
    settled: MeetingTime,
    /// Something is inside that only a later push brings out, of this span.
    held: Option<Span>,
}

impl Decoder {
    /// `rate` is in Hz: 8,000, 16,000 or 48,000.
    pub fn new(codec: Codec, rate: u32) -> Result<Self> {
        let graph = Graph::load(match codec {
            Codec::Opus => include_str!("../../pipelines/decode_opus.gst"),
            Codec::Pcmu => include_str!("../../pipelines/decode_pcmu.gst"),
            Codec::Pcma => include_str!("../../pipelines/decode_pcma.gst"),
        })?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "S16LE")
            .field("layout", "interleaved")
            .field("rate", i32::try_from(rate).context("a rate beyond reason")?)
            .field("channels", 1)
            .build();
        graph.element("format")?.set_property("caps", caps);
        let sink = graph.sink("out")?;
        let pad = graph.element("decoder")?.static_pad("sink").context("a decoder without an input")?;
        graph.start()?;
        let inlet = Inlet::open(&pad, &frame::live_caps(codec))?;
        Ok(Self { inlet, graph, sink, codec, rate, end: None, settled: MeetingTime::ZERO, held: None })
    }

    /// Decodes a frame that follows the last one; `out` gets what is ready. A hole before it that was not told as
    /// [`Decoder::lost`] is silence of the sender: nothing comes out for it.
    pub fn push(&mut self, frame: &Frame, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        let apart = self.end.is_none_or(|end| (frame.span.start - end).0.abs() > PIECE.0 / 2);
        if apart {
            self.flush(out)?;
            self.settled = frame.span.start;
        }
        let mut buffer = gst::Buffer::from_slice(frame.payload.clone());
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            buffer.set_pts(clock(frame.span.start));
            buffer.set_duration(clock(frame.span.end).saturating_sub(clock(frame.span.start)));
            if apart {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.inlet.push(buffer).map_err(|flow| self.graph.explain(flow))?;
        self.end = Some(frame.span.end);
        self.held = (self.codec == Codec::Opus).then_some(frame.span);
        self.drain(out)
    }

    /// Conceals a hole (packets that will not come) behind the last frame, as far as that makes sense.
    pub fn lost(&mut self, hole: Span, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        let Some(end) = self.end else { return Ok(()) };
        let follows = (hole.start - end).0.abs() <= PIECE.0 / 2;
        if self.codec != Codec::Opus || !follows || hole.length() > crate::domain::recording::CONCEAL_MAX {
            return Ok(());
        }
        let mut from = end;
        while (hole.end - from).0 > PIECE.0 / 2 {
            self.inlet.gap(clock(from), clock(from + PIECE).saturating_sub(clock(from)))?;
            from = from + PIECE;
        }
        self.end = Some(from);
        self.held = Some(Span::of(from - PIECE, PIECE));
        self.drain(out)
    }

    /// Brings out what is held back and forgets the stream's state: after the last frame, or when none came for a while.
    pub fn flush(&mut self, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        let Some(end) = self.end.take() else { return Ok(()) };
        if let Some(held) = self.held.take() {
            // What this makes comes out never, because of the flush.
            self.inlet.gap(clock(end), clock(end + PIECE).saturating_sub(clock(end)))?;
            self.drain_until(held.end, out)?;
        } else {
            self.drain(out)?;
        }
        self.inlet.flush()
    }

    /// End of what was pushed, `None` after a flush.
    pub fn end(&self) -> Option<MeetingTime> {
        self.end
    }

    fn drain(&mut self, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        self.drain_until(MeetingTime::MAX, out)
    }

    fn drain_until(&mut self, until: MeetingTime, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        while let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::ZERO) {
            let buffer = sample.buffer().context("a sample without a buffer")?;
            let pts = buffer.pts().context("PCM without a time")?;
            let bytes = buffer.map_readable().context("PCM that cannot be read")?;
            let at = MeetingTime(i64::try_from(pts.useconds()).unwrap_or(i64::MAX));
            if at >= until {
                continue;
            }
            if let Some(pcm) = self.pcm(at - self.codec.delay(), &bytes) {
                out(pcm);
            }
        }
        Ok(())
    }

    fn pcm(&self, start: MeetingTime, bytes: &[u8]) -> Option<Pcm> {
        let rate = i64::from(self.rate);
        let early = ((self.settled - start).0.max(0) * rate + 999_999) / 1_000_000;
        let samples: Vec<f32> = bytes
            .chunks_exact(2)
            .skip(usize::try_from(early).unwrap_or(usize::MAX))
            .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
            .collect();
        if samples.is_empty() {
            return None;
        }
        let start = self.settled.max(start + Micros(early * 1_000_000 / rate));
        let length = Micros(samples.len() as i64 * 1_000_000 / rate);
        Some(Pcm { samples, span: Span::of(start, length) })
    }
}

fn clock(time: MeetingTime) -> gst::ClockTime {
    gst::ClockTime::from_useconds(time.0.max(0).unsigned_abs())
}
