//! Frames into PCM: one stream's, in the caller's thread.

use crate::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        frame::{self, Frame, Pcm},
        graph::{Graph, Inlet},
        opus::Opus,
    },
};
use anyhow::{Context, Result};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;

/// Concealment is made in pieces of this length, as if they were packets.
const PIECE: Micros = Micros::from_ms(20);

/// Decodes one stream to mono PCM at one rate.
pub struct Decoder {
    engine: Engine,
    codec: AudioCodec,
    rate: u32,
    /// End of the last frame or concealment pushed.
    end: Option<MeetingTime>,
    /// Before this the decoder has not settled; its samples are left out.
    settled: MeetingTime,
    /// A piece that is missing, until it is known whether the next packet has its redundancy.
    missing: Option<Span>,
}

enum Engine {
    Opus(Opus),
    Companded(Companded),
}

/// G.711 by GStreamer.
struct Companded {
    // Dropped in this order.
    inlet: Inlet,
    graph: Graph,
    sink: AppSink,
}

impl Decoder {
    /// `rate` is in Hz: 8,000, 16,000 or 48,000.
    pub fn new(codec: AudioCodec, rate: u32) -> Result<Self> {
        let engine = match codec {
            AudioCodec::Opus => Engine::Opus(Opus::new(rate)?),
            AudioCodec::Pcmu | AudioCodec::Pcma => Engine::Companded(Companded::of(codec, rate)?),
        };
        Ok(Self {
            engine,
            codec,
            rate,
            end: None,
            settled: MeetingTime::ZERO,
            missing: None,
        })
    }

    /// Decodes a frame that follows the last one; `out` gets what is ready. A hole before it that
    /// was not told as [`Decoder::lost`] is silence of the sender: nothing comes out for it.
    pub fn push(&mut self, frame: &Frame, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        if self
            .end
            .is_none_or(|end| (frame.span.start - end).0.abs() > PIECE.0 / 2)
        {
            self.flush(out)?;
            self.settled = frame.span.start;
        }
        self.conceal(Some(&frame.payload), out)?;
        self.end = Some(frame.span.end);
        let (settled, rate, delay) = (self.settled, self.rate, self.codec.delay());
        let mut told = |at, samples: &[f32]| out_of(settled, rate, at - delay, samples, out);
        match &mut self.engine {
            Engine::Opus(opus) => {
                let lasting = frame.span.length().0 * i64::from(rate) / 1_000_000;
                told(
                    frame.span.start,
                    opus.decode(&frame.payload, usize::try_from(lasting).unwrap_or(0))?,
                );
            }
            Engine::Companded(companded) => {
                if let Err(error) = companded.decode(frame, &mut told) {
                    // One frame must not cost the stream: it is left out, and the next ones get a
                    // new graph.
                    metrics::counter!("hansard_frames_concealed_total", "reason" => "invalid")
                        .increment(1);
                    tracing::debug!(
                        error = format!("{error:#}"),
                        "a frame could not be decoded and is left out"
                    );
                    *companded = Companded::of(self.codec, self.rate)?;
                    self.end = None;
                }
            }
        }
        Ok(())
    }

    /// Conceals a hole (packets that will not come) behind the last frame, as far as that makes
    /// sense.
    pub fn lost(&mut self, hole: Span, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        let Some(end) = self.end else { return Ok(()) };
        let follows = (hole.start - end).0.abs() <= PIECE.0 / 2;
        if self.codec != AudioCodec::Opus
            || !follows
            || hole.length() > crate::domain::recording::CONCEAL_MAX
        {
            return Ok(());
        }
        let mut from = end;
        while (hole.end - from).0 > PIECE.0 / 2 {
            self.conceal(None, out)?;
            self.missing = Some(Span::of(from, PIECE));
            from = from + PIECE;
        }
        self.end = Some(from);
        Ok(())
    }

    /// Brings out what is held back and forgets the stream's state: after the last frame, or when
    /// none came for a while.
    pub fn flush(&mut self, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        if self.end.is_none() {
            return Ok(());
        }
        self.conceal(None, out)?;
        self.end = None;
        match &mut self.engine {
            Engine::Opus(opus) => opus.reset(),
            Engine::Companded(companded) => companded.inlet.flush(),
        }
    }

    /// End of what was pushed, `None` after a flush.
    pub fn end(&self) -> Option<MeetingTime> {
        self.end
    }

    /// Something in the place of what is missing, from the packet behind it if there is one.
    fn conceal(&mut self, next: Option<&[u8]>, out: &mut dyn FnMut(Pcm)) -> Result<()> {
        if let (Some(missing), Engine::Opus(opus)) = (self.missing.take(), &mut self.engine) {
            let samples =
                opus.conceal(self.rate as usize / 1_000 * PIECE.as_ms() as usize, next)?;
            out_of(
                self.settled,
                self.rate,
                missing.start - self.codec.delay(),
                samples,
                out,
            );
        }
        Ok(())
    }
}

/// Gives samples that begin at `start` to `out`, as far as the decoder had settled.
fn out_of(
    settled: MeetingTime,
    rate: u32,
    start: MeetingTime,
    samples: &[f32],
    out: &mut dyn FnMut(Pcm),
) {
    let rate = i64::from(rate);
    let early = ((settled - start).0.max(0) * rate + 999_999) / 1_000_000;
    let samples = samples
        .get(usize::try_from(early).unwrap_or(usize::MAX)..)
        .unwrap_or_default();
    if samples.is_empty() {
        return;
    }
    let start = settled.max(start + Micros(early * 1_000_000 / rate));
    let length = Micros(samples.len() as i64 * 1_000_000 / rate);
    out(Pcm {
        samples: samples.to_vec(),
        span: Span::of(start, length),
    });
}

impl Companded {
    fn of(codec: AudioCodec, rate: u32) -> Result<Self> {
        let pipeline = match codec {
            AudioCodec::Pcma => include_str!("../../pipelines/decode_pcma.gst"),
            _ => include_str!("../../pipelines/decode_pcmu.gst"),
        };
        let graph = Graph::load(pipeline)?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "S16LE")
            .field("layout", "interleaved")
            .field("rate", i32::try_from(rate).context("a rate beyond reason")?)
            .field("channels", 1)
            .build();
        graph.element("format")?.set_property("caps", caps);
        let sink = graph.sink("out")?;
        let pad = graph
            .element("decoder")?
            .static_pad("sink")
            .context("a decoder without an input")?;
        graph.start()?;
        let inlet = Inlet::open(&pad, &frame::live_caps(codec))?;
        Ok(Self { inlet, graph, sink })
    }

    fn decode(&mut self, frame: &Frame, out: &mut dyn FnMut(MeetingTime, &[f32])) -> Result<()> {
        let mut buffer = gst::Buffer::from_slice(frame.payload.clone());
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            buffer.set_pts(clock(frame.span.start));
            buffer.set_duration(clock(frame.span.end).saturating_sub(clock(frame.span.start)));
        }
        self.inlet
            .push(buffer)
            .map_err(|flow| self.graph.explain(flow))?;
        while let Some(sample) = self.sink.try_pull_sample(gst::ClockTime::ZERO) {
            let buffer = sample.buffer().context("a sample without a buffer")?;
            let pts = buffer.pts().context("PCM without a time")?;
            let bytes = buffer.map_readable().context("PCM that cannot be read")?;
            let pcm = bytes
                .chunks_exact(2)
                .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0);
            let at = MeetingTime(i64::try_from(pts.useconds()).unwrap_or(i64::MAX));
            out(at, &pcm.collect::<Vec<f32>>());
        }
        Ok(())
    }
}

fn clock(time: MeetingTime) -> gst::ClockTime {
    gst::ClockTime::from_useconds(time.0.max(0).unsigned_abs())
}
