//! What an Opus packet holds beside its own sound, by its framing (RFC 6716 sections 3 and 4.2);
//! nothing is decoded.
//!
//! Two things reach back before a packet: SILK's low-bit-rate redundancy, which is the packet
//! before it once more, and whatever lies in the padding, where newer encoders put up to a second
//! of the past (deep redundancy). A receiver has to ignore padding (RFC 6716 section 3.2.5), so it
//! is taken off before anything is kept.

use crate::domain::{codec::AudioCodec, opus, time::Micros};

/// Frames in a packet at most (RFC 6716 section 3.2.5).
const FRAMES_MAX: usize = 48;

/// Where a packet's frames lie.
struct Framing {
    /// Of the first frame's first byte.
    at: usize,
    lengths: [usize; FRAMES_MAX],
    count: usize,
    /// Bytes that say how much padding there is, and the padding itself.
    padding: (usize, usize),
}

impl Framing {
    /// `None`: not a packet.
    fn read(packet: &[u8]) -> Option<Self> {
        let (toc, mut at) = (*packet.first()?, 1);
        let mut framing = Self {
            at,
            lengths: [0; FRAMES_MAX],
            count: 1,
            padding: (0, 0),
        };
        let (variable, mut rest) = match toc & 3 {
            0 => (false, packet.len() - 1),
            1 => {
                framing.count = 2;
                (false, packet.len() - 1)
            }
            2 => {
                framing.count = 2;
                (true, packet.len() - 1)
            }
            _ => {
                let head = *packet.get(1)?;
                at = 2;
                framing.count = usize::from(head & 0x3f);
                if framing.count == 0 || framing.count > FRAMES_MAX {
                    return None;
                }
                if head & 0x40 != 0 {
                    let mut more = true;
                    while more {
                        let byte = *packet.get(at)?;
                        at += 1;
                        framing.padding.1 += usize::from(byte.min(254));
                        more = byte == 255;
                    }
                    framing.padding.0 = at - 2;
                }
                (
                    head & 0x80 != 0,
                    packet.len().checked_sub(at + framing.padding.1)?,
                )
            }
        };
        if variable {
            for length in &mut framing.lengths[..framing.count - 1] {
                let first = usize::from(*packet.get(at)?);
                let second = if first < 252 {
                    None
                } else {
                    Some(usize::from(*packet.get(at + 1)?))
                };
                let bytes = 1 + usize::from(second.is_some());
                *length = first + second.map_or(0, |second| 4 * second);
                at += bytes;
                rest = rest.checked_sub(bytes + *length)?;
            }
            framing.lengths[framing.count - 1] = rest;
        } else {
            if !rest.is_multiple_of(framing.count) {
                return None;
            }
            framing.lengths[..framing.count].fill(rest / framing.count);
        }
        framing.at = at;
        Some(framing)
    }
}

/// How long the sound of an earlier packet is that this one holds again; `None`: it holds nothing
/// but its own.
///
/// Only SILK frames have such redundancy (RFC 6716 section 2.1.7), and say so in their first bits:
/// for each channel a voice activity flag per 20 ms and then the redundancy's flag, all of
/// probability one half, so that they are the bits of the first byte (section 4.2.3). Only the
/// first frame that is not empty is about an earlier packet.
pub fn repeats(codec: AudioCodec, payload: &[u8]) -> Option<Micros> {
    let toc = *payload.first().filter(|_| codec == AudioCodec::Opus)?;
    let (mode, ticks) = opus::frame(toc);
    if mode == opus::Mode::Celt {
        return None;
    }
    let length = i64::from(ticks / 48);
    // What cannot be read may hold anything.
    let Some(framing) = Framing::read(payload) else {
        return Some(Micros::from_ms(length));
    };
    let empty = framing.lengths[..framing.count]
        .iter()
        .take_while(|length| **length == 0)
        .count();
    if empty == framing.count {
        return None;
    }
    let flags = *payload.get(framing.at)?;
    let voices = (length / 20).max(1) as u32;
    let stereo = opus::channels(toc) == 2;
    let redundant =
        flags >> (7 - voices) & 1 != 0 || (stereo && flags >> (6 - 2 * voices) & 1 != 0);
    redundant.then(|| Micros::from_ms(length))
}

/// The same packet without its padding; `None`: it has none.
pub fn without_padding(codec: AudioCodec, payload: &[u8]) -> Option<Vec<u8>> {
    let toc = *payload.first().filter(|_| codec == AudioCodec::Opus)?;
    if toc & 3 != 3 || payload.get(1)? & 0x40 == 0 {
        return None;
    }
    let framing = Framing::read(payload)?;
    let (told, padding) = framing.padding;
    let mut packet = Vec::with_capacity(payload.len() - told - padding);
    packet.extend([toc, payload[1] & !0x40]);
    packet.extend(&payload[2 + told..payload.len() - padding]);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use AudioCodec::{Opus, Pcmu};

    #[test]
    fn redundancy_is_told_by_the_first_bits_of_silk() {
        for (packet, ms) in [
            (&[0x18u8, 0b1111_0000, 9][..], Some(60)), // SILK, 60 ms: three voice flags, then redundancy
            (&[0x18, 0b1110_0000, 9], None),
            (&[0x10, 0b1110_0000, 9], Some(40)),
            (&[0x10, 0b1100_0000, 9], None),
            (&[0x08, 0b0100_0000, 9], Some(20)),
            (&[0x08, 0b1000_0000, 9], None),
            (&[0x0c, 0b1001_0000, 9], Some(20)), // stereo, of the side channel
            (&[0x0c, 0b1000_1000, 9], None),
            (&[0x1c, 0b0000_0001, 9], Some(60)),
            (&[0x78, 0b0100_0000, 9], Some(20)), // hybrid, 20 ms
            (&[0xf8, 0b0111_1111, 9], None),     // CELT has none
            (&[0x08], None),                     // empty: nothing was sent for it
            (&[0x09, 0b0100_0000, 0b1000_0000], Some(20)), // two frames; the second's is of the first
            (&[0x09, 0b1000_0000, 0b0100_0000], None),
            (&[0x0a, 1, 0b0100_0000, 9], Some(20)),
            (&[0x0a, 0, 0b0100_0000], Some(20)), // behind an empty one
            (&[0x0b, 0x42, 3, 0b0100_0000, 9, 0, 0, 0], Some(20)),
            (&[0x0b, 0xc2, 2, 1, 0b0100_0000, 9, 0xff, 0xff], Some(20)),
            (&[0x0b, 0xc2, 2, 1, 0b1000_0000, 0x7f, 0xff, 0xff], None),
            (&[0x0a, 200, 0], Some(20)), // no packet: to be on the safe side
            (&[0x0b], Some(20)),
            (&[], None),
        ] {
            assert_eq!(
                repeats(Opus, packet),
                ms.map(Micros::from_ms),
                "{packet:x?}"
            );
        }
        assert_eq!(repeats(Pcmu, &[0x18, 0xff]), None);
    }

    #[test]
    fn redundancy_is_told_as_libopus_writes_it() {
        use opusic_c::{
            Application, Bitrate, Channels, Decoder, Encoder, InbandFec, SampleRate, Signal,
        };
        for (channels, count) in [(Channels::Mono, 1), (Channels::Stereo, 2)] {
            for length in [480, 960, 1_920, 2_880] {
                let mut encoder = Encoder::new(channels, SampleRate::Hz48000, Application::Voip)
                    .expect("an encoder");
                encoder
                    .set_bitrate(Bitrate::Value(30_000 * count as u32))
                    .expect("a bitrate");
                encoder
                    .set_inband_fec(InbandFec::Mode1)
                    .expect("redundancy");
                encoder.set_packet_loss(40).expect("a loss");
                encoder.set_signal(Signal::Voice).expect("a signal");
                let (mut with, mut without) = (0, 0);
                for n in 0..120 {
                    // Syllables: redundancy comes and goes.
                    let loud = if n % 20 < 12 { 0.3f32 } else { 0.0 };
                    let samples: Vec<f32> = (n * length..(n + 1) * length)
                        .flat_map(|at| {
                            vec![
                                loud * (at as f32 * 0.04).sin() * (1.0 + (at as f32 * 0.001).sin());
                                count
                            ]
                        })
                        .collect();
                    let mut packet = vec![0; 1_275];
                    let size = encoder
                        .encode_float_to_slice(&samples, &mut packet)
                        .expect("encodes");
                    let mut decoder =
                        Decoder::new(channels, SampleRate::Hz48000).expect("a decoder");
                    let mut pcm = vec![0.0f32; length * count];
                    decoder
                        .decode_float_to_slice(&packet[..size], &mut pcm, true)
                        .expect("decodes");
                    // A decoder that knows nothing yet makes a little noise of its own.
                    let heard = pcm.iter().any(|sample| sample.abs() > 0.03);
                    let told = repeats(Opus, &packet[..size]);
                    assert!(told.is_some() || !heard, "packet {n} of {length} samples");
                    // Longer packets may be of several frames.
                    assert!(
                        told.is_none_or(|told| told.0 * 48 <= length as i64 * 1_000),
                        "{told:?}"
                    );
                    with += usize::from(heard);
                    without += usize::from(told.is_none());
                }
                assert!(
                    with > 10 && without > 10,
                    "{length}: {with} with, {without} without"
                );
            }
        }
    }

    #[test]
    fn padding_is_taken_off_and_nothing_else() {
        for (packet, rest) in [
            (
                &[0xfbu8, 0x41, 3, 7, 8, 1, 2, 3][..],
                Some(&[0xfbu8, 1, 7, 8][..]),
            ),
            (
                &[0xfb, 0xc2, 2, 1, 9, 7, 0, 0],
                Some(&[0xfb, 0x82, 1, 9, 7]),
            ),
            (&[0xfb, 0x41, 0, 7], Some(&[0xfb, 1, 7])),
            (&[0xfb, 0x01, 7, 8], None),
            (&[0xf8, 0x41, 3, 7], None),
            (&[0xfb, 0x41, 9, 7], None), // more padding than there is
            (&[0xfb], None),
            (&[], None),
        ] {
            assert_eq!(
                without_padding(Opus, packet).as_deref(),
                rest,
                "{packet:x?}"
            );
        }
        let mut long = vec![0xfb, 0x41, 255, 46, 7];
        long.extend([5; 300]);
        assert_eq!(
            without_padding(Opus, &long).as_deref(),
            Some(&[0xfb, 1, 7][..])
        );
        assert_eq!(without_padding(Pcmu, &[0xfb, 0x41, 0, 7]), None);
    }
}
