//! Sound in its two forms: [`Frame`], encoded, and [`Pcm`], decoded.

use crate::domain::{codec::AudioCodec, time::Span};
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

/// Caps of a file's track. Opus gets its headers, so that a reader knows the delay.
pub(crate) fn file_caps(codec: AudioCodec, channels: u8) -> gst::Caps {
    match codec {
        AudioCodec::Opus => {
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
        AudioCodec::Pcmu => g711_caps("audio/x-mulaw"),
        AudioCodec::Pcma => g711_caps("audio/x-alaw"),
    }
}

/// Caps of frames to be decoded. Opus is decoded in mono whatever was sent.
pub(crate) fn live_caps(codec: AudioCodec) -> gst::Caps {
    match codec {
        AudioCodec::Opus => gst::Caps::builder("audio/x-opus")
            .field("rate", 48_000)
            .field("channels", 1)
            .field("channel-mapping-family", 0)
            .field("stream-count", 1)
            .field("coupled-count", 0)
            .build(),
        AudioCodec::Pcmu => g711_caps("audio/x-mulaw"),
        AudioCodec::Pcma => g711_caps("audio/x-alaw"),
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
    let pre_skip = u16::try_from(AudioCodec::Opus.delay().0 * 48 / 1000).expect("312 samples");
    head[10..12].copy_from_slice(&pre_skip.to_le_bytes());
    head[12..16].copy_from_slice(&48_000u32.to_le_bytes());
    head
}
