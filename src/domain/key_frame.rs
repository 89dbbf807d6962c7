//! Where a picture begins that can be decoded by itself.

use crate::codec::VideoCodec;

/// H264's types of NAL units (RFC 6184 5.2): one slice of a key frame, its parameters, and units in
/// one packet or in several.
const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether a payload is the first of a key frame.
pub fn begins(codec: VideoCodec, payload: &[u8]) -> bool {
    match codec {
        VideoCodec::Vp8 => vp8(payload),
        VideoCodec::H264 => h264(payload),
    }
    .unwrap_or(false)
}

/// RFC 7741 4.2 and 4.3.
fn vp8(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let begins_partition_0 = first & 0x10 != 0 && first & 0x07 == 0;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(at)?;
        at += 1;
        if extensions & 0x80 != 0 {
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(extensions & 0x40 != 0);
        at += usize::from(extensions & 0x30 != 0);
    }
    Some(begins_partition_0 && payload.get(at)? & 0x01 == 0)
}

fn h264(payload: &[u8]) -> Option<bool> {
    let is_key = |kind: u8| matches!(kind & 0x1f, IDR | SPS);
    match payload.first()? & 0x1f {
        STAP_A => Some(is_key(*payload.get(3)?)),
        FU_A => {
            let header = *payload.get(1)?;
            Some(header & 0x80 != 0 && is_key(header))
        }
        kind => Some(is_key(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_of_vp8_are_told_from_others() {
        let is_key = |payload: &[u8]| begins(VideoCodec::Vp8, payload);
        assert!(is_key(&[0x10, 0x50]));
        assert!(!is_key(&[0x10, 0x51]), "an inter frame");
        assert!(!is_key(&[0x00, 0x50]), "its second packet");
        assert!(!is_key(&[0x11, 0x50]), "another partition");
        // Picture id of 15 and of 7 bits, layer, TID and KEYIDX.
        assert!(is_key(&[0x90, 0x80, 0x81, 0x02, 0x50]));
        assert!(is_key(&[0x90, 0x80, 0x01, 0x50]));
        assert!(is_key(&[0x90, 0xf0, 0x81, 0x02, 0x01, 0x20, 0x50]));
        assert!(!is_key(&[0x90, 0xf0, 0x81, 0x02, 0x01, 0x20, 0x51]));
    }

    #[test]
    fn key_frames_of_h264_are_told_from_others() {
        let is_key = |payload: &[u8]| begins(VideoCodec::H264, payload);
        assert!(is_key(&[0x65]) && is_key(&[0x67]));
        assert!(!is_key(&[0x41]), "an inter slice");
        assert!(is_key(&[0x78, 0, 10, 0x67]), "parameters before it");
        assert!(is_key(&[0x7c, 0x85]) && !is_key(&[0x7c, 0x05]), "in parts");
        assert!(!is_key(&[0x7c, 0x81]));
    }

    #[test]
    fn what_ends_too_early_is_none() {
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            assert!(!begins(codec, &[]));
        }
        assert!(!begins(VideoCodec::Vp8, &[0x90, 0x80]));
        assert!(!begins(VideoCodec::H264, &[0x7c]));
    }
}
