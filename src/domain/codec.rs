//! Codecs, and what a payload says of itself by its codec.

use crate::{
    opus,
    stream::MediaKind,
    time::Micros,
    word::{UnknownWord, schema, words},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

words! {
    /// What sound is encoded with. One recording has one codec.
    pub enum AudioCodec("audio codec") {
        Opus = "opus",
        Pcmu = "PCMU",
        Pcma = "PCMA",
    }
}

words! {
    /// What pictures are encoded with.
    pub enum VideoCodec("video codec") {
        Vp8 = "VP8",
        H264 = "H264",
    }
}

impl AudioCodec {
    /// Ticks per second of its RTP clock.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// How much earlier the decoded sound was made than its packet says: the look-ahead of Opus
    /// encoders (312 samples at 48 kHz), which RTP does not tell.
    pub const fn delay(self) -> Micros {
        match self {
            Self::Opus => Micros(6_500),
            Self::Pcmu | Self::Pcma => Micros(0),
        }
    }

    /// How long a payload plays, in ticks of the RTP clock (Opus: always 48 kHz; G.711: a byte is a
    /// tick). `Some(0)` for an empty one, `None` for one that the codec does not allow.
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            _ if payload.is_empty() => Some(0),
            Self::Opus => opus::ticks(payload),
            Self::Pcmu | Self::Pcma => u32::try_from(payload.len()).ok(),
        }
    }

    /// How long a payload sounds. `None`: there is no sound of this codec in it.
    pub fn duration(self, payload: &[u8]) -> Option<Micros> {
        let ticks = self.ticks(payload).filter(|ticks| *ticks > 0)?;
        Some(Micros(
            i64::from(ticks) * 1_000_000 / i64::from(self.clock_rate()),
        ))
    }

    /// 1 or 2. Only Opus can have two, and says so in every packet.
    pub fn channels(self, payload: &[u8]) -> u8 {
        match (self, payload.first()) {
            (Self::Opus, Some(toc)) => opus::channels(*toc),
            _ => 1,
        }
    }
}

impl VideoCodec {
    /// Ticks per second of its RTP clock.
    pub const fn clock_rate(self) -> u32 {
        90_000
    }
}

/// What a stream is encoded with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    Audio(AudioCodec),
    Video(VideoCodec),
}

impl Codec {
    pub const ALL: [Self; 5] = [
        Self::Audio(AudioCodec::Opus),
        Self::Audio(AudioCodec::Pcmu),
        Self::Audio(AudioCodec::Pcma),
        Self::Video(VideoCodec::Vp8),
        Self::Video(VideoCodec::H264),
    ];

    /// As it is written in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audio(codec) => codec.as_str(),
            Self::Video(codec) => codec.as_str(),
        }
    }

    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Audio(_) => MediaKind::Audio,
            Self::Video(_) => MediaKind::Video,
        }
    }

    /// As [`AudioCodec::ticks`]; how long a picture is shown is not in its packets.
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Audio(codec) => codec.ticks(payload),
            Self::Video(_) => Some(0),
        }
    }

    /// Ticks per second of its RTP clock.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Audio(codec) => codec.clock_rate(),
            Self::Video(codec) => codec.clock_rate(),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The names of [`Codec::ALL`].
const NAMES: &[&str] = &["opus", "PCMU", "PCMA", "VP8", "H264"];

impl FromStr for Codec {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.as_str() == text)
            .ok_or_else(|| UnknownWord {
                text: text.to_owned(),
                what: "codec",
                known: NAMES,
            })
    }
}

impl Serialize for Codec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Codec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::unknown_variant(&text, NAMES))
    }
}

schema!(Codec, "Codec");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        assert_eq!(Codec::ALL.map(Codec::as_str), *NAMES);
        for codec in Codec::ALL {
            assert_eq!(codec.as_str().parse(), Ok(codec));
            let json = serde_json::to_string(&codec).expect("a string");
            assert_eq!(json, format!("\"{codec}\""));
            assert_eq!(serde_json::from_str::<Codec>(&json).ok(), Some(codec));
        }
        assert!("G722".parse::<Codec>().is_err() && "OPUS".parse::<AudioCodec>().is_err());
    }

    #[test]
    fn payloads_tell_their_length() {
        use AudioCodec::{Opus, Pcma, Pcmu};
        assert_eq!(Pcmu.ticks(&[0xff; 160]), Some(160));
        assert_eq!(Pcmu.duration(&[0; 160]), Some(Micros::from_ms(20)));
        assert_eq!((Pcma.ticks(&[]), Pcma.duration(&[])), (Some(0), None));
        assert_eq!(Opus.duration(&[0x78, 0]), Some(Micros::from_ms(20)));
        assert_eq!(Opus.duration(&[0x80, 1]), Some(Micros(2_500)));
        assert_eq!((Opus.ticks(&[]), Opus.duration(&[])), (Some(0), None));
    }

    #[test]
    fn packets_tell_their_channels() {
        assert_eq!(AudioCodec::Opus.channels(&[0xfc]), 2);
        assert_eq!(AudioCodec::Opus.channels(&[0xf8]), 1);
        assert_eq!(AudioCodec::Pcma.channels(&[0xff]), 1);
    }
}
