//! Reads the Matroska files that we wrote: one audio track, no lacing, elements of known or unknown
//! size.
//!
//! Not GStreamer's demuxer: an hour of 20 participants is 18,000 segments, and a pipeline with its
//! threads costs more for each of them than the frames in it. Element ids and layout: RFC 8794
//! (EBML) and RFC 9559 (Matroska). A file that breaks off ends there, like one whose writer was
//! killed.

use crate::domain::codec::AudioCodec;
use std::io::{self, BufRead};

/// A frame's bytes are never more: 120 ms of PCM at 8 kHz are 960, an Opus packet is at most some
/// 7,700.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// Elements of a head that are read: a codec's name or private data.
const FIELD_BYTES_MAX: u64 = 1 << 16;

pub(in crate::media) const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TIMESTAMP_SCALE: u32 = 0x2A_D7B1;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK_ENTRY: u32 = 0xAE;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63A2;
const CODEC_DELAY: u32 = 0x56AA;
const AUDIO: u32 = 0xE1;
const CHANNELS: u32 = 0x9F;
const CLUSTER: u32 = 0x1F43_B675;
const TIMESTAMP: u32 = 0xE7;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;

/// What the file says of its track before its first frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Track {
    pub codec: AudioCodec,
    pub channels: u8,
}

/// A frame and when it begins, in microseconds of the file's time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Block {
    pub at_us: i64,
    pub payload: Vec<u8>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is whole Matroska and not what we write.
    #[error("{0}")]
    Foreign(String),
}

/// Walks through a file.
pub(super) struct Parser<R> {
    from: R,
    /// Nanoseconds of a tick.
    scale: u64,
    cluster: u64,
    codec_id: String,
    private: Vec<u8>,
    channels: u8,
    delay_ns: u64,
    ended: bool,
}

impl<R: BufRead> Parser<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            scale: 1_000_000,
            cluster: 0,
            codec_id: String::new(),
            private: Vec::new(),
            channels: 1,
            delay_ns: 0,
            ended: false,
        }
    }

    /// The track; known once a frame was read.
    pub fn track(&self) -> Result<Track, Broken> {
        let codec = match self.codec_id.as_str() {
            "A_OPUS" => AudioCodec::Opus,
            // The private data is a WAVEFORMATEX, its first field the format.
            "A_MS/ACM" => match self.private.get(..2) {
                Some([7, 0]) => AudioCodec::Pcmu,
                Some([6, 0]) => AudioCodec::Pcma,
                _ => {
                    return Err(Broken::Foreign(
                        "a format of sound that is none of ours".to_owned(),
                    ));
                }
            },
            other => return Err(Broken::Foreign(format!("{other:?} is none of our codecs"))),
        };
        Ok(Track {
            codec,
            channels: self.channels,
        })
    }

    /// The next frame; `None` at the end, also where the file breaks off or holds something that is
    /// no Matroska.
    pub fn block(&mut self) -> Result<Option<Block>, Broken> {
        while !self.ended {
            match self.step() {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(Broken::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true
                }
                Err(Broken::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::debug!(%error, "a file breaks off");
                    self.ended = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// One element: entered, read or skipped.
    fn step(&mut self) -> Result<Option<Block>, Broken> {
        let (id, size) = (self.id()?, self.size()?);
        match (id, size) {
            (SEGMENT | INFO | TRACKS | TRACK_ENTRY | AUDIO | CLUSTER | BLOCK_GROUP, _) => {}
            (EBML, Some(size)) => self.skip(size)?,
            (TIMESTAMP_SCALE, Some(size)) => self.scale = self.number(size)?.max(1),
            (TIMESTAMP, Some(size)) => self.cluster = self.number(size)?,
            (CODEC_DELAY, Some(size)) => self.delay_ns = self.number(size)?,
            (CHANNELS, Some(size)) => self.channels = u8::try_from(self.number(size)?).unwrap_or(1),
            (CODEC_ID, Some(size)) => self.codec_id = text(&self.field(size)?),
            (CODEC_PRIVATE, Some(size)) => self.private = self.field(size)?,
            (SIMPLE_BLOCK | BLOCK, Some(size)) => return self.framed(size).map(Some),
            (_, Some(size)) => self.skip(size)?,
            (_, None) => {
                return Err(invalid(
                    "an element of unknown size that has no business here",
                ));
            }
        }
        Ok(None)
    }

    fn framed(&mut self, size: u64) -> Result<Block, Broken> {
        if size > FRAME_BYTES_MAX {
            return Err(invalid("a frame beyond reason"));
        }
        let bytes = self.bytes(size)?;
        let mut rest = bytes.as_slice();
        vint(&mut rest, false)?;
        let Some(([high, low, flags], payload)) = rest.split_first_chunk::<3>() else {
            return Err(invalid("a frame without a head"));
        };
        if flags & 0x06 != 0 {
            return Err(Broken::Foreign(
                "frames laced together, which we never write".to_owned(),
            ));
        }
        let ticks = i128::from(self.cluster) + i128::from(i16::from_be_bytes([*high, *low]));
        let at_ns = ticks * i128::from(self.scale) - i128::from(self.delay_ns);
        let at_us =
            i64::try_from(at_ns.div_euclid(1_000)).map_err(|_| invalid("a time beyond reason"))?;
        Ok(Block {
            at_us: at_us.max(0),
            payload: payload.to_vec(),
        })
    }

    fn id(&mut self) -> Result<u32, Broken> {
        let id = vint(&mut self.from, true)?.unwrap_or(0);
        u32::try_from(id).map_err(|_| invalid("an id of more than four bytes"))
    }

    fn size(&mut self) -> Result<Option<u64>, Broken> {
        Ok(vint(&mut self.from, false)?)
    }

    fn number(&mut self, size: u64) -> Result<u64, Broken> {
        if size > 8 {
            return Err(invalid("a number of more than eight bytes"));
        }
        Ok(self
            .bytes(size)?
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn field(&mut self, size: u64) -> Result<Vec<u8>, Broken> {
        if size > FIELD_BYTES_MAX {
            return Err(invalid("a field beyond reason"));
        }
        self.bytes(size)
    }

    fn bytes(&mut self, size: u64) -> Result<Vec<u8>, Broken> {
        let mut bytes =
            vec![0; usize::try_from(size).map_err(|_| invalid("a size beyond reason"))?];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, mut size: u64) -> Result<(), Broken> {
        while size > 0 {
            let there = self.from.fill_buf()?.len() as u64;
            if there == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let step = there.min(size);
            self.from.consume(step as usize);
            size -= step;
        }
        Ok(())
    }
}

/// A string, which may be padded with zero bytes (RFC 8794 section 7.4).
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}

fn invalid(why: &'static str) -> Broken {
    io::Error::new(io::ErrorKind::InvalidData, why).into()
}

/// A variable-size integer (RFC 8794 section 4), with its marker if it is an id. `None`: all ones,
/// an unknown size.
fn vint(from: &mut impl io::Read, marked: bool) -> io::Result<Option<u64>> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    let first = byte[0];
    let more = first.leading_zeros();
    if more > 7 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no variable-size integer",
        ));
    }
    let mut number = u64::from(if marked {
        first
    } else {
        first & (0x7f >> more)
    });
    for _ in 0..more {
        from.read_exact(&mut byte)?;
        number = number << 8 | u64::from(byte[0]);
    }
    let unknown = !marked && number == (1 << (7 * (more + 1))) - 1;
    Ok((!unknown).then_some(number))
}
