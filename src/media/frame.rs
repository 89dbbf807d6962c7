//! Sound in its two forms: [`Frame`], encoded, and [`Pcm`], decoded.

use crate::domain::{
    recording::Codec,
    time::{Micros, Span},
};
use gstreamer as gst;
use std::{fmt, sync::Arc};

/// One Opus packet, or one packet's worth of PCMU or PCMA samples, and when it was captured by the
/// RTP clock.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub payload: Arc<[u8]>,
    pub span: Span,
}

impl fmt::Debug for Frame {
    /// Never prints the sound.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes, {:?})", self.payload.len(), self.span)
    }
}

/// Mono samples in −1…1 and when they were made: the coder's delay is taken out.
#[derive(Clone, PartialEq)]
pub struct Pcm {
    pub samples: Vec<f32>,
    pub span: Span,
}

impl fmt::Debug for Pcm {
    /// Never prints the sound.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcm({} samples, {:?})", self.samples.len(), self.span)
    }
}

/// How long a payload sounds, from its own bytes. `None`: not a packet of this codec.
pub fn duration(codec: Codec, payload: &[u8]) -> Option<Micros> {
    match codec {
        Codec::Opus => opus_duration(payload),
        Codec::Pcmu | Codec::Pcma if payload.is_empty() => None,
        Codec::Pcmu | Codec::Pcma => Some(Micros(payload.len() as i64 * 125)),
    }
}

/// RFC 6716 section 3.1: the first byte tells the length of a frame and how many there are; at most
/// 120 ms.
fn opus_duration(payload: &[u8]) -> Option<Micros> {
    let toc = *payload.first()?;
    let frame = match toc >> 3 {
        config @ 0..12 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
        config @ 12..16 => [10_000, 20_000][usize::from(config & 1)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(payload.get(1)? & 63),
    };
    let length = frame * frames;
    (1..=120_000).contains(&length).then_some(Micros(length))
}

/// 1 or 2. Only Opus can have two, and says so in every packet.
pub fn channels(codec: Codec, payload: &[u8]) -> u8 {
    match (codec, payload.first()) {
        (Codec::Opus, Some(toc)) if toc & 4 != 0 => 2,
        _ => 1,
    }
}

/// Caps of a file's track. Opus gets its headers, so that a reader knows the delay.
pub(crate) fn file_caps(codec: Codec, channels: u8) -> gst::Caps {
    match codec {
        Codec::Opus => {
            let head = gst::Buffer::from_slice(opus_head(channels));
            let tags = gst::Buffer::from_slice(*b"OpusTags\x07\0\0\0hansard\0\0\0\0");
            gst::Caps::builder("audio/x-opus")
                .field("rate", 48_000)
                .field("channels", i32::from(channels))
                .field("channel-mapping-family", 0)
                .field("stream-count", 1)
                .field("coupled-count", i32::from(channels) - 1)
                .field("streamheader", gst::Array::new([head, tags]))
                .build()
        }
        Codec::Pcmu => g711_caps("audio/x-mulaw"),
        Codec::Pcma => g711_caps("audio/x-alaw"),
    }
}

/// Caps of frames to be decoded. Opus is decoded in mono whatever was sent.
pub(crate) fn live_caps(codec: Codec) -> gst::Caps {
    match codec {
        Codec::Opus => gst::Caps::builder("audio/x-opus")
            .field("rate", 48_000)
            .field("channels", 1)
            .field("channel-mapping-family", 0)
            .field("stream-count", 1)
            .field("coupled-count", 0)
            .build(),
        Codec::Pcmu => g711_caps("audio/x-mulaw"),
        Codec::Pcma => g711_caps("audio/x-alaw"),
    }
}

fn g711_caps(name: &str) -> gst::Caps {
    gst::Caps::builder(name)
        .field("rate", 8_000)
        .field("channels", 1)
        .build()
}

/// RFC 7845 section 5.1, with the look-ahead of libopus as pre-skip.
fn opus_head(channels: u8) -> [u8; 19] {
    let mut head = *b"OpusHead\x01\x01\0\0\0\0\0\0\0\0\0";
    head[9] = channels;
    let pre_skip = u16::try_from(Codec::Opus.delay().0 * 48 / 1000).expect("312 samples");
    head[10..12].copy_from_slice(&pre_skip.to_le_bytes());
    head[12..16].copy_from_slice(&48_000u32.to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_tell_their_length() {
        for (packet, ms) in [
            (&[0x78u8, 0][..], Some(20.0)),    // CELT, 20 ms, one frame
            (&[0xf8, 0xff, 0xfe], Some(20.0)), // a silent one of 20 ms
            (&[0x08, 1], Some(20.0)),          // SILK, 20 ms
            (&[0x18, 1], Some(60.0)),
            (&[0x19, 1], Some(120.0)),
            (&[0x80, 1], Some(2.5)),
            (&[0x7b, 0x83], Some(60.0)), // three of 20 ms
            (&[0x7b, 0x87], None),       // seven: over 120 ms
            (&[0x7b], None),
            (&[0x7b, 0x80], None),
            (&[], None),
        ] {
            let said = duration(Codec::Opus, packet).map(|length| length.0 as f64 / 1000.0);
            assert_eq!(said, ms, "{packet:x?}");
        }
        assert_eq!(duration(Codec::Pcmu, &[0; 160]), Some(Micros::from_ms(20)));
        assert_eq!(duration(Codec::Pcma, &[]), None);
    }

    #[test]
    fn packets_tell_their_channels() {
        assert_eq!(channels(Codec::Opus, &[0xfc]), 2);
        assert_eq!(channels(Codec::Opus, &[0xf8]), 1);
        assert_eq!(channels(Codec::Pcma, &[0xff]), 1);
    }
}
