//! What an Opus packet says of itself (RFC 6716), without decoding it.

pub use hansard_domain::opus::ticks;

/// Opus always counts in these.
pub const CLOCK_RATE: u32 = 48_000;

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
