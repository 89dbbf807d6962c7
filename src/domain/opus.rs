//! What an Opus packet says of itself in its first byte, the table of contents (RFC 6716 section
//! 3.1), and in the count behind it.

/// Samples of a packet at most, at 48 kHz: 120 ms (RFC 6716 section 3.4, R5).
const TICKS_MAX: u32 = 5_760;

/// What a frame is coded with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Silk,
    Hybrid,
    Celt,
}

/// How a packet's frames are coded, and the length of each at 48 kHz.
pub const fn frame(toc: u8) -> (Mode, u32) {
    let config = toc >> 3;
    match config {
        // 10, 20, 40, 60 ms.
        0..12 => (Mode::Silk, [480, 960, 1_920, 2_880][(config & 3) as usize]),
        // 10, 20 ms.
        12..16 => (Mode::Hybrid, [480, 960][(config & 1) as usize]),
        // 2.5, 5, 10, 20 ms.
        _ => (Mode::Celt, [120, 240, 480, 960][(config & 3) as usize]),
    }
}

/// 1 or 2.
pub const fn channels(toc: u8) -> u8 {
    if toc & 4 == 0 { 1 } else { 2 }
}

/// How long a packet plays, at 48 kHz. `None`: it is no Opus packet.
pub fn ticks(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let ticks = frame(toc).1 * frames;
    (1..=TICKS_MAX).contains(&ticks).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_tells_its_length() {
        for (packet, expect) in [
            (&[][..], None),
            (&[0x08, 1, 2], Some(960)), // SILK 20 ms
            (&[0x18, 1], Some(2_880)),  // SILK 60 ms
            (&[0x19, 1], Some(5_760)),
            (&[0x68], Some(960)),             // hybrid 20 ms
            (&[0x78, 0], Some(960)),          // hybrid, 20 ms, one frame
            (&[0x80, 1], Some(120)),          // CELT 2.5 ms
            (&[0xf8, 0xff, 0xfe], Some(960)), // a silent one of 20 ms
            (&[0xfc, 1], Some(960)),          // CELT 20 ms stereo
            (&[0xf9, 1, 2], Some(1_920)),     // two frames
            (&[0x7b, 0x83], Some(2_880)),     // three of 20 ms
            (&[0xfb, 3, 1], Some(2_880)),     // code 3, three frames
            (&[0xfb, 0x46, 1], Some(5_760)),  // six frames with padding: 120 ms
            (&[0xfb, 7, 1], None),            // 140 ms
            (&[0x7b, 0x87], None),            // seven: over 120 ms
            (&[0xfb, 0, 1], None),            // no frame
            (&[0x7b, 0x80], None),
            (&[0xfb], None), // no count
        ] {
            assert_eq!(ticks(packet), expect, "{packet:02x?}");
        }
    }

    #[test]
    fn the_mode_is_in_the_first_five_bits() {
        let modes = [0x00, 0x58, 0x60, 0x78, 0x80, 0xf8].map(|toc| frame(toc).0);
        use Mode::{Celt, Hybrid, Silk};
        assert_eq!(modes, [Silk, Silk, Hybrid, Hybrid, Celt, Celt]);
    }
}
