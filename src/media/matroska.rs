//! Matroska files of one audio track: [`Writer`] makes them, [`Reader`] gives their frames back, also those of a file
//! whose writer was killed.

use crate::{
    domain::{
        recording::Codec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        frame::{self, Frame},
        graph::{Graph, Inlet, Outlet, Pulled},
    },
};
use anyhow::{Context, Result, bail};
use gstreamer::{self as gst, prelude::*};
use std::{path::Path, time::Duration};

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Readable at every moment, time stamps to 0.1 ms.
    Segment,
    /// With duration and cues, for players.
    Track,
}

/// One file being written. Frames must come with rising time stamps.
pub struct Writer {
    // Dropped in this order.
    inlet: Inlet,
    graph: Graph,
    /// What PTS count from.
    zero: MeetingTime,
}

impl Writer {
    /// Creates the file. `zero` is the MeetingTime of its time 0, no later than the first frame.
    ///
    /// # Errors
    /// When the file cannot be created or GStreamer lacks an element.
    pub fn create(path: &Path, shape: Shape, codec: Codec, channels: u8, zero: MeetingTime) -> Result<Self> {
        let graph = Graph::load(match shape {
            Shape::Segment => include_str!("../../pipelines/segment.gst"),
            Shape::Track => include_str!("../../pipelines/track.gst"),
        })?;
        graph.element("file")?.set_property("location", path.to_str().context("a path that is no UTF-8")?);
        let pad = graph.element("mux")?.request_pad_simple("audio_%u").context("matroskamux takes no track")?;
        graph.start()?;
        let inlet = Inlet::open(&pad, &frame::file_caps(codec, channels))?;
        Ok(Self { inlet, graph, zero })
    }

    /// Appends a frame; when this returns, the operating system has it (of a [`Shape::Segment`]).
    pub fn write(&self, frame: &Frame) -> Result<()> {
        let since = |time: MeetingTime| gst::ClockTime::from_useconds((time - self.zero).0.max(0).unsigned_abs());
        let mut buffer = gst::Buffer::from_slice(frame.payload.clone());
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            buffer.set_pts(since(frame.span.start));
            buffer.set_duration(since(frame.span.end).saturating_sub(since(frame.span.start)));
        }
        self.inlet.push(buffer).map_err(|flow| self.graph.explain(flow))
    }

    /// Ends the file. Waits a bounded time; after an error the file is as after a crash.
    pub fn finish(self) -> Result<()> {
        self.inlet.end()?;
        self.graph.end()
    }
}

/// The frames of a file, in its order.
pub struct Reader {
    // Dropped in this order.
    outlet: Outlet,
    graph: Graph,
    zero: MeetingTime,
    codec: Codec,
    channels: u8,
    first: Option<gst::Buffer>,
    ended: bool,
}

/// Frames that the reading thread may be ahead: 10 s of sound.
const FRAMES_MAX: usize = 512;
/// How long reading the next frame may take.
const READ_MAX: Duration = Duration::from_secs(10);

impl Reader {
    /// Opens a file whose time 0 is `zero`. `None`: there is not one whole frame in it.
    ///
    /// # Errors
    /// When it cannot be read at all, or holds something that we do not write.
    pub fn open(path: &Path, zero: MeetingTime) -> Result<Option<Self>> {
        if std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len() == 0 {
            return Ok(None);
        }
        let graph = Graph::load(include_str!("../../pipelines/read.gst"))?;
        graph.element("file")?.set_property("location", path.to_str().context("a path that is no UTF-8")?);
        let outlet = Outlet::behind(&graph.element("demux")?, FRAMES_MAX);
        graph.start()?;
        let Some((caps, first)) = pull(&graph, &outlet)? else { return Ok(None) };
        let caps = caps.structure(0).context("frames without a type")?;
        let codec = match caps.name().as_str() {
            "audio/x-opus" => Codec::Opus,
            "audio/x-mulaw" => Codec::Pcmu,
            "audio/x-alaw" => Codec::Pcma,
            other => bail!("{other} is none of our codecs"),
        };
        let channels = u8::try_from(caps.get::<i32>("channels").unwrap_or(1)).unwrap_or(1);
        Ok(Some(Self { outlet, graph, zero, codec, channels, first: Some(first), ended: false }))
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// The next frame, `None` at the end. A file that breaks off ends there.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        while !self.ended {
            let buffer = match self.first.take() {
                Some(buffer) => buffer,
                None => match pull(&self.graph, &self.outlet)? {
                    Some((_, buffer)) => buffer,
                    None => break,
                },
            };
            let Some(pts) = buffer.pts() else { continue };
            let payload = buffer.map_readable().context("a buffer that cannot be read")?;
            // Nothing longer than 120 ms was written; what is no packet is the torn end.
            let Some(length) = frame::duration(self.codec, &payload) else { continue };
            let start = self.zero + Micros(i64::try_from(pts.useconds()).unwrap_or(i64::MAX));
            return Ok(Some(Frame { payload: payload.as_slice().into(), span: Span::of(start, length) }));
        }
        self.ended = true;
        Ok(None)
    }
}

/// The next buffer. A file that breaks off ends with the demuxer's error or without one, depending on where it was
/// cut; an error of any other element is one.
fn pull(graph: &Graph, outlet: &Outlet) -> Result<Option<(gst::Caps, gst::Buffer)>> {
    match outlet.pull(graph, READ_MAX)? {
        Pulled::Buffer(caps, buffer) => Ok(Some((caps, buffer))),
        Pulled::End => Ok(None),
        Pulled::Fault(element, error) if element == "demux" => {
            tracing::debug!(%error, "a file breaks off");
            Ok(None)
        }
        Pulled::Fault(_, error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(codec: Codec, count: i64) -> Vec<Frame> {
        (0..count)
            .map(|n| {
                let payload: Vec<u8> = match codec {
                    Codec::Opus => vec![0x78, n as u8, 1, 2, 3],
                    _ => vec![n as u8; 160],
                };
                // With a hole, and not on whole milliseconds.
                let at = 3_600_000_300 + n * 20_000 + if n > 50 { 700_000 } else { 0 };
                Frame { payload: payload.into(), span: Span::of(MeetingTime(at), Micros::from_ms(20)) }
            })
            .collect()
    }

    fn read(path: &Path, zero: MeetingTime) -> Vec<Frame> {
        let Some(mut reader) = Reader::open(path, zero).expect("opens") else { return Vec::new() };
        let mut all = Vec::new();
        while let Some(frame) = reader.read().expect("reads") {
            all.push(frame);
        }
        all
    }

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("hansard-matroska-{}-{name}.mkv", std::process::id()))
    }

    #[test]
    fn a_segment_gives_back_its_frames_at_their_meeting_times() {
        for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
            let path = path(codec.as_str());
            let written = frames(codec, 150);
            let writer = Writer::create(&path, Shape::Segment, codec, 1, MeetingTime::ZERO).expect("creates");
            for (n, frame) in written.iter().enumerate() {
                writer.write(frame).expect("writes");
                // Readable while it is written.
                if n == 100 {
                    assert!(read(&path, MeetingTime::ZERO).len() >= 99, "{codec:?}");
                }
            }
            writer.finish().expect("finishes");
            let back = read(&path, MeetingTime::ZERO);
            assert_eq!(back.len(), written.len(), "{codec:?}");
            for (a, b) in written.iter().zip(&back) {
                assert_eq!(a.payload, b.payload);
                assert!((a.span.start - b.span.start).0.abs() <= 100, "{codec:?} {a:?} {b:?}");
            }
            std::fs::remove_file(&path).expect("removes");
        }
    }

    #[test]
    fn a_track_counts_from_its_own_zero() {
        for codec in [Codec::Opus, Codec::Pcmu] {
            let path = path(&format!("track-{}", codec.as_str()));
            let written = frames(codec, 150);
            let zero = MeetingTime::from_ms(written[0].span.start.as_ms());
            let writer = Writer::create(&path, Shape::Track, codec, 1, zero).expect("creates");
            for frame in &written {
                writer.write(frame).expect("writes");
            }
            writer.finish().expect("finishes");
            let back = read(&path, zero);
            assert_eq!(back.len(), written.len());
            for (a, b) in written.iter().zip(&back) {
                assert!((a.span.start - b.span.start).0.abs() <= 1_000, "{codec:?} {a:?} {b:?}");
            }
            std::fs::remove_file(&path).expect("removes");
        }
    }

    #[test]
    fn a_reader_may_leave_at_any_time() {
        let path = path("long");
        let writer = Writer::create(&path, Shape::Segment, Codec::Opus, 1, MeetingTime::ZERO).expect("creates");
        for frame in frames(Codec::Opus, 4 * FRAMES_MAX as i64) {
            writer.write(&frame).expect("writes");
        }
        writer.finish().expect("finishes");
        for leave in [0, 1, 100, 3 * FRAMES_MAX] {
            let mut reader = Reader::open(&path, MeetingTime::ZERO).expect("opens").expect("has frames");
            for _ in 0..leave {
                assert!(reader.read().expect("reads").is_some());
            }
        }
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn what_holds_no_frame_is_none_and_what_is_not_there_is_an_error() {
        let path = path("empty");
        for bytes in [&b""[..], b"\x1a\x45\xdf\xa3", &[7; 4000]] {
            std::fs::write(&path, bytes).expect("writes");
            assert!(Reader::open(&path, MeetingTime::ZERO).expect("opens").is_none());
        }
        std::fs::remove_file(&path).expect("removes");
        assert!(Reader::open(&path, MeetingTime::ZERO).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let nowhere = Path::new("/nonexistent/folder/1-1.mkv");
        assert!(Writer::create(nowhere, Shape::Segment, Codec::Opus, 1, MeetingTime::ZERO).is_err());
    }
}
