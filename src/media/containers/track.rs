//! The file of a track, as a host gets it: WebM for Opus, WAV for PCMU and PCMA, neither encoded
//! again. [`Reader`] reads both, and the Matroska of segments and of earlier versions.

use super::{
    matroska::{self, Shape},
    wav,
};
use crate::{
    domain::{codec::AudioCodec, time::MeetingTime},
    media::frame::Frame,
};
use anyhow::{Context, Result};
use std::{fs::File, io::Read, ops::Range, path::Path};

/// A track being written. Frames must come with rising time stamps.
pub enum Writer {
    Webm(matroska::Writer),
    Wav(wav::Writer),
}

impl Writer {
    /// Creates the file. `zero` is the MeetingTime of its time 0, no later than the first frame.
    ///
    /// # Errors
    /// When the file cannot be created or GStreamer lacks an element.
    pub fn create(path: &Path, codec: AudioCodec, channels: u8, zero: MeetingTime) -> Result<Self> {
        Ok(match codec {
            AudioCodec::Opus => Self::Webm(matroska::Writer::create(
                path,
                Shape::Track,
                codec,
                channels,
                zero,
            )?),
            AudioCodec::Pcmu | AudioCodec::Pcma => {
                Self::Wav(wav::Writer::create(path, codec, zero)?)
            }
        })
    }

    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        match self {
            Self::Webm(writer) => writer.write(frame),
            Self::Wav(writer) => writer.write(frame),
        }
    }

    /// Ends the file; without this it is of no use.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Webm(writer) => writer.finish(),
            Self::Wav(writer) => writer.finish(),
        }
    }
}

/// The frames of a track or segment, in its order.
pub enum Reader {
    Matroska(matroska::Reader),
    Wav(wav::Reader),
}

impl Reader {
    /// Opens a file whose time 0 is `zero`. `None`: there is not one whole frame in it.
    ///
    /// # Errors
    /// When it cannot be read at all, or holds something that we do not write.
    pub fn open(path: &Path, zero: MeetingTime) -> Result<Option<Self>> {
        let unreadable = || format!("{} cannot be read", path.display());
        let mut first = Vec::new();
        File::open(path)
            .with_context(unreadable)?
            .take(4)
            .read_to_end(&mut first)
            .with_context(unreadable)?;
        Ok(if first == wav::RIFF {
            wav::Reader::open(path, zero)?.map(Self::Wav)
        } else {
            matroska::Reader::open(path, zero)?.map(Self::Matroska)
        })
    }

    /// A segment that is some bytes of a block; MeetingTime is its time.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_within(path: &Path, bytes: Range<u64>) -> Result<Option<Self>> {
        let opened = matroska::Reader::open_within(path, bytes, MeetingTime::ZERO)?;
        Ok(opened.map(Self::Matroska))
    }

    pub fn codec(&self) -> AudioCodec {
        match self {
            Self::Matroska(reader) => reader.codec(),
            Self::Wav(reader) => reader.codec(),
        }
    }

    pub fn channels(&self) -> u8 {
        match self {
            Self::Matroska(reader) => reader.channels(),
            Self::Wav(_) => 1,
        }
    }

    /// The next frame, `None` at the end. A file that breaks off ends there.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        match self {
            Self::Matroska(reader) => reader.read(),
            Self::Wav(reader) => reader.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{Micros, Span};

    #[test]
    fn a_track_counts_from_its_own_zero() {
        for codec in AudioCodec::ALL {
            let path = std::env::temp_dir().join(format!(
                "hansard-track-{}-{}",
                std::process::id(),
                codec.as_str()
            ));
            let frame = |n: i64| Frame {
                payload: match codec {
                    AudioCodec::Opus => vec![0x78, n as u8, 1, 2, 3],
                    _ => vec![n as u8; 160],
                }
                .into(),
                // With a hole, and not on whole milliseconds.
                span: Span::of(
                    MeetingTime(3_600_000_300 + n * 20_000 + if n > 50 { 700_000 } else { 0 }),
                    Micros::from_ms(20),
                ),
            };
            let written: Vec<Frame> = (0..150).map(frame).collect();
            let zero = MeetingTime::from_ms(written[0].span.start.as_ms());
            let mut writer = Writer::create(&path, codec, 1, zero).expect("creates");
            for frame in &written {
                writer.write(frame).expect("writes");
            }
            writer.finish().expect("finishes");
            let mut reader = Reader::open(&path, zero)
                .expect("opens")
                .expect("has frames");
            assert_eq!((reader.codec(), reader.channels()), (codec, 1));
            let mut back = Vec::new();
            while let Some(frame) = reader.read().expect("reads") {
                back.push(frame);
            }
            assert_eq!(back.len(), written.len(), "{codec:?}");
            for (a, b) in written.iter().zip(&back) {
                assert_eq!(a.payload, b.payload, "{codec:?}");
                assert!(
                    (a.span.start - b.span.start).0.abs() <= 1_000,
                    "{codec:?} {a:?} {b:?}"
                );
            }
            std::fs::remove_file(&path).expect("removes");
        }
    }

    /// What Safari asks for: the document type, and how much of the beginning is the coder's.
    #[test]
    fn opus_is_in_webm() {
        let path = std::env::temp_dir().join(format!("hansard-webm-{}", std::process::id()));
        let mut writer =
            Writer::create(&path, AudioCodec::Opus, 2, MeetingTime::ZERO).expect("creates");
        for n in 0..50 {
            let frame = Frame {
                payload: vec![0x7c, n as u8, 1, 2, 3].into(),
                span: Span::of(MeetingTime::from_ms(20 * n), Micros::from_ms(20)),
            };
            writer.write(&frame).expect("writes");
        }
        writer.finish().expect("finishes");
        let bytes = std::fs::read(&path).expect("reads");
        let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|part| part == wanted);
        assert!(has(b"\x42\x82\x85webm\0"), "the document type");
        assert!(has(b"\x86\x87A_OPUS\0") && has(b"OpusHead\x01\x02"));
        // 6.5 ms and 80 ms, in nanoseconds.
        assert!(has(b"\x56\xaa\x83\x63\x2e\xa0"), "CodecDelay");
        assert!(has(b"\x56\xbb\x84\x04\xc4\xb4\x00"), "SeekPreRoll");
        std::fs::remove_file(&path).expect("removes");
    }
}
