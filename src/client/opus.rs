//! What an Opus packet says of itself (RFC 6716 section 3.1), without decoding it.

/// Opus always counts in these.
pub const CLOCK_RATE: u32 = 48_000;

/// How long a packet plays, in ticks of 48 kHz; `None` for what is no Opus packet.
pub fn ticks(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    // Table 2: frame sizes in units of 2.5 ms.
    let frame = match config {
        0..=11 => [4, 8, 16, 24][usize::from(config & 3)],
        12..=15 => [4, 8][usize::from(config & 1)],
        _ => [1, 2, 4, 8][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    let ticks = frame * frames * CLOCK_RATE / 400;
    (1..=CLOCK_RATE * 12 / 100)
        .contains(&ticks)
        .then_some(ticks)
}

/// Whether the encoder found no voice in a packet: almost empty, or with SILK's voice activity flag
/// unset (RFC 6716 4.2.3: the first bit of the frame).
pub fn silent(packet: &[u8]) -> bool {
    match packet {
        [toc, first, ..] if packet.len() > 3 => toc >> 3 < 16 && toc & 3 == 0 && first >> 7 == 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (packet, expected) in [
            (&[][..], None),
            (&[104][..], Some(960)),    // hybrid super-wideband, 20 ms
            (&[120][..], Some(960)),    // hybrid fullband, 20 ms
            (&[248][..], Some(960)),    // CELT fullband, 20 ms
            (&[0x18][..], Some(2_880)), // SILK, 60 ms
            (&[248 | 1][..], Some(1_920)),
            (&[248 | 3][..], None),
            (&[248 | 3, 6][..], Some(5_760)),
            (&[248 | 3, 7][..], None), // more than 120 ms
            (&[248 | 3, 0][..], None),
        ] {
            assert_eq!(ticks(packet), expected, "{packet:?}");
        }
    }

    #[test]
    fn silence() {
        for (packet, expected) in [
            (&[248, 255, 254][..], true),
            (&[104, 0x80, 0, 0, 0][..], false),
            (&[104, 0x7f, 0, 0, 0][..], true),
            (&[248, 0, 0, 0, 0][..], false),
        ] {
            assert_eq!(silent(packet), expected, "{packet:?}");
        }
    }
}
