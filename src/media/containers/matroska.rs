//! Matroska files of one audio track, and WebM, which is a part of Matroska: [`Writer`] makes them,
//! [`Reader`] gives their frames back, also those of a file whose writer was killed.

use crate::{
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::ebml::{Block, Parser, Track},
        frame::{self, Frame},
        graph::{Graph, Inlet},
    },
};
use anyhow::{Context, Result};
use gstreamer::{self as gst, prelude::*};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Take},
    ops::Range,
    path::Path,
};

/// Bytes read from a file at a time: two seconds of sound.
const READ_AHEAD: usize = 1 << 14;

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Readable at every moment, time stamps to 0.1 ms.
    Segment,
    /// WebM, with duration and cues, for players. Of Opus only.
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
    pub fn create(
        path: &Path,
        shape: Shape,
        codec: AudioCodec,
        channels: u8,
        zero: MeetingTime,
    ) -> Result<Self> {
        let graph = Graph::load(match shape {
            Shape::Segment => include_str!("../../../pipelines/segment.gst"),
            Shape::Track => include_str!("../../../pipelines/track.gst"),
        })?;
        graph.element("file")?.set_property(
            "location",
            path.to_str().context("a path that is no UTF-8")?,
        );
        let pad = graph
            .element("mux")?
            .request_pad_simple("audio_%u")
            .context("the muxer takes no track")?;
        graph.start()?;
        let inlet = Inlet::open(&pad, &frame::file_caps(codec, channels))?;
        Ok(Self { inlet, graph, zero })
    }

    /// Appends a frame; when this returns, the operating system has it (of a [`Shape::Segment`]).
    pub fn write(&self, frame: &Frame) -> Result<()> {
        let since = |time: MeetingTime| {
            gst::ClockTime::from_useconds((time - self.zero).0.max(0).unsigned_abs())
        };
        let mut buffer = gst::Buffer::from_slice(frame.payload.clone());
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            buffer.set_pts(since(frame.span.start));
            buffer.set_duration(since(frame.span.end).saturating_sub(since(frame.span.start)));
        }
        self.inlet
            .push(buffer)
            .map_err(|flow| self.graph.explain(flow))
    }

    /// Ends the file. Waits a bounded time; after an error the file is as after a crash.
    pub fn finish(self) -> Result<()> {
        self.inlet.end()?;
        self.graph.end()
    }
}

/// The frames of a file, in its order.
pub struct Reader {
    parser: Parser<BufReader<Take<File>>>,
    zero: MeetingTime,
    track: Track,
    first: Option<Block>,
}

impl Reader {
    /// Opens a file whose time 0 is `zero`. `None`: there is not one whole frame in it.
    ///
    /// # Errors
    /// When it cannot be read at all, or holds something that we do not write.
    pub fn open(path: &Path, zero: MeetingTime) -> Result<Option<Self>> {
        Self::open_within(path, 0..u64::MAX, zero)
    }

    /// The same of a file that is some bytes of a larger one.
    pub fn open_within(path: &Path, bytes: Range<u64>, zero: MeetingTime) -> Result<Option<Self>> {
        let mut file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        file.seek(SeekFrom::Start(bytes.start))
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let file = file.take(bytes.end - bytes.start);
        let mut parser = Parser::new(BufReader::with_capacity(READ_AHEAD, file));
        let Some(first) = parser
            .block()
            .with_context(|| format!("reading {}", path.display()))?
        else {
            return Ok(None);
        };
        let track = parser
            .track()
            .with_context(|| format!("reading {}", path.display()))?;
        Ok(Some(Self {
            parser,
            zero,
            track,
            first: Some(first),
        }))
    }

    pub fn codec(&self) -> AudioCodec {
        self.track.codec
    }

    pub fn channels(&self) -> u8 {
        self.track.channels
    }

    /// The next frame, `None` at the end. A file that breaks off ends there.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        loop {
            let block = match self.first.take() {
                Some(block) => block,
                None => match self.parser.block()? {
                    Some(block) => block,
                    None => return Ok(None),
                },
            };
            // Nothing longer than 120 ms was written; what is no packet is the torn end.
            let Some(length) = self.track.codec.duration(&block.payload) else {
                continue;
            };
            let start = self.zero + Micros(block.at_us);
            return Ok(Some(Frame {
                payload: block.payload.into(),
                span: Span::of(start, length),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(codec: AudioCodec, count: i64) -> Vec<Frame> {
        (0..count)
            .map(|n| {
                let payload: Vec<u8> = match codec {
                    AudioCodec::Opus => vec![0x78, n as u8, 1, 2, 3],
                    _ => vec![n as u8; 160],
                };
                // With a hole, and not on whole milliseconds.
                let at = 3_600_000_300 + n * 20_000 + if n > 50 { 700_000 } else { 0 };
                Frame {
                    payload: payload.into(),
                    span: Span::of(MeetingTime(at), Micros::from_ms(20)),
                }
            })
            .collect()
    }

    fn read(path: &Path, zero: MeetingTime) -> Vec<Frame> {
        let Some(mut reader) = Reader::open(path, zero).expect("opens") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        while let Some(frame) = reader.read().expect("reads") {
            all.push(frame);
        }
        all
    }

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!(
            "hansard-matroska-{}-{name}.mkv",
            std::process::id()
        ))
    }

    #[test]
    fn a_segment_gives_back_its_frames_at_their_meeting_times() {
        for codec in [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma] {
            let path = path(codec.as_str());
            let written = frames(codec, 150);
            let writer = Writer::create(&path, Shape::Segment, codec, 1, MeetingTime::ZERO)
                .expect("creates");
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
                assert!(
                    (a.span.start - b.span.start).0.abs() <= 100,
                    "{codec:?} {a:?} {b:?}"
                );
            }
            std::fs::remove_file(&path).expect("removes");
        }
    }

    #[test]
    fn what_holds_no_frame_is_none_and_what_is_not_there_is_an_error() {
        let path = path("empty");
        for bytes in [&b""[..], b"\x1a\x45\xdf\xa3", &[7; 4000]] {
            std::fs::write(&path, bytes).expect("writes");
            assert!(
                Reader::open(&path, MeetingTime::ZERO)
                    .expect("opens")
                    .is_none()
            );
        }
        std::fs::remove_file(&path).expect("removes");
        assert!(Reader::open(&path, MeetingTime::ZERO).is_err());
    }

    /// Whatever a disk makes of a file, reading it ends, in few frames and with no panic.
    #[test]
    fn changed_bytes_are_survived() {
        let path = path("changed");
        let writer = Writer::create(
            &path,
            Shape::Segment,
            AudioCodec::Opus,
            1,
            MeetingTime::ZERO,
        )
        .expect("creates");
        for frame in frames(AudioCodec::Opus, 100) {
            writer.write(&frame).expect("writes");
        }
        writer.finish().expect("finishes");
        let whole = std::fs::read(&path).expect("reads");
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let mut changed = whole.clone();
            for _ in 0..random.usize(1..5) {
                let at = random.usize(..changed.len());
                changed[at] = random.u8(..);
            }
            let mut parser = Parser::new(changed.as_slice());
            let mut blocks = 0;
            while let Ok(Some(block)) = parser.block() {
                assert!(block.payload.len() <= whole.len());
                blocks += 1;
            }
            assert!(blocks <= 200, "{blocks}");
        }
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let nowhere = Path::new("/nonexistent/folder/1-1.mkv");
        assert!(
            Writer::create(
                nowhere,
                Shape::Segment,
                AudioCodec::Opus,
                1,
                MeetingTime::ZERO
            )
            .is_err()
        );
    }
}
