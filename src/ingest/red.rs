//! Redundant audio data (RFC 2198): of each packet only its newest block is taken, for what the
//! others hold was sent before, and perhaps before anybody agreed.

/// Payload type and bytes of the newest block, which is the last one. `None`: not redundant audio
/// data.
pub fn primary(payload: &[u8]) -> Option<(u8, &[u8])> {
    let (mut at, mut before) = (0, 0);
    loop {
        let head = payload.get(at..)?;
        let first = *head.first()?;
        if first & 0x80 == 0 {
            let blocks = payload.get(at + 1..)?;
            return Some((first, blocks.get(before..)?));
        }
        // Seven bits of payload type, fourteen of how far back, ten of length.
        let length = head.get(2..4)?;
        before += usize::from(length[0] & 0x03) << 8 | usize::from(length[1]);
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_block_is_the_last_one() {
        for (payload, expect) in [
            (&[111u8, 1, 2][..], Some((111u8, &[1u8, 2][..]))),
            (
                &[0x80 | 111, 0x0f, 0, 3, 111, 9, 9, 9, 1, 2],
                Some((111, &[1, 2])),
            ),
            (
                &[0x80 | 111, 0, 0, 1, 0x80 | 111, 0, 0, 2, 13, 8, 9, 9, 1],
                Some((13, &[1])),
            ),
            (&[0x80 | 111, 0, 0, 3, 111, 9, 9, 9], Some((111, &[]))),
            (&[0x80 | 111, 0, 0, 4, 111, 9, 9, 9], None),
            (&[0x80 | 111, 0, 0], None),
            (&[0x80 | 111, 0, 1, 0, 111], None),
            (&[], None),
        ] {
            assert_eq!(primary(payload), expect, "{payload:02x?}");
        }
    }
}
