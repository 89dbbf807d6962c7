//! What a payload says about its own length. Nothing is decoded here.

use std::{fmt, str::FromStr};

/// Audio codecs of plain RTP, by their names in the contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    Opus,
    Pcmu,
    Pcma,
}

impl Codec {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// How long a payload plays, in ticks of the RTP clock (Opus: always 48 kHz; G.711: a byte is a
    /// tick). `Some(0)` for an empty one, `None` for one that the codec does not allow.
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Opus => opus_ticks(payload),
            Self::Pcmu | Self::Pcma => Some(payload.len() as u32),
        }
    }
}

impl FromStr for Codec {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Opus, Self::Pcmu, Self::Pcma]
            .into_iter()
            .find(|codec| codec.as_str().eq_ignore_ascii_case(name))
            .ok_or(())
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// RFC 6716 3.1: the table of contents byte tells frame size and count. A packet is at most 120 ms
/// (3.4, R5).
fn opus_ticks(payload: &[u8]) -> Option<u32> {
    let Some(&toc) = payload.first() else {
        return Some(0);
    };
    let config = toc >> 3;
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms.
        0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        // Hybrid: 10, 20 ms.
        12..16 => [480, 960][usize::from(config & 1)],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    let ticks = frame * frames;
    (1..=5760).contains(&ticks).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opus_packet_tells_its_length() {
        for (packet, expect) in [
            (&[][..], Some(0)),
            (&[0x08, 1, 2], Some(960)),     // SILK 20 ms
            (&[0x18, 1], Some(2880)),       // SILK 60 ms
            (&[0x68], Some(960)),           // hybrid 20 ms
            (&[0x80, 1], Some(120)),        // CELT 2.5 ms
            (&[0xfc, 1], Some(960)),        // CELT 20 ms stereo
            (&[0xf9, 1, 2], Some(1920)),    // two frames
            (&[0xfb, 3, 1], Some(2880)),    // code 3, three frames
            (&[0xfb, 0x46, 1], Some(5760)), // six frames with padding: 120 ms
            (&[0xfb, 7, 1], None),          // 140 ms
            (&[0xfb, 0, 1], None),          // no frame
            (&[0xfb], None),                // no count
        ] {
            assert_eq!(Codec::Opus.ticks(packet), expect, "{packet:02x?}");
        }
        assert_eq!(Codec::Pcmu.ticks(&[0xff; 160]), Some(160));
    }

    #[test]
    fn names_are_those_of_the_contract() {
        for codec in [Codec::Opus, Codec::Pcmu, Codec::Pcma] {
            assert_eq!(codec.as_str().parse(), Ok(codec));
        }
        assert_eq!("G722".parse::<Codec>(), Err(()));
    }
}
