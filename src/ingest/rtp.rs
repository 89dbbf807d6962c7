//! The shape of an RTP packet (RFC 3550 5.1).
//!
//! The header is read here and not by the `rtp` crate, whose parser (0.17) panics on a header
//! extension that claims more than the packet has, and whose lengths are wrong for extension id 15;
//! a datagram is anybody's to send.

use super::Reason;

pub const HEADER: usize = 12;

/// A packet whose header is sound. `payload` still has its padding, which SRTP encrypts with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    padded: bool,
    /// With CSRC list and extension.
    pub header_len: usize,
    pub payload: &'a [u8],
}

/// RFC 5761 4: on a shared port, these second bytes are RTCP.
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram
        .get(1)
        .is_some_and(|second| (192..=223).contains(second))
}

/// SSRC and payload type of what claims to be RTP, before anything else is looked at.
pub fn claims(datagram: &[u8]) -> Result<(u32, u8), Reason> {
    let header = datagram.get(..HEADER).ok_or(Reason::Size)?;
    if header[0] >> 6 != 2 {
        return Err(Reason::Version);
    }
    Ok((word(header, 8), header[1] & 0x7f))
}

pub fn parse(datagram: &[u8]) -> Result<Packet<'_>, Reason> {
    let (ssrc, payload_type) = claims(datagram)?;
    let first = datagram[0];
    let mut header_len = HEADER + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let length = datagram
            .get(header_len + 2..header_len + 4)
            .ok_or(Reason::Malformed)?;
        header_len += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    Ok(Packet {
        marker: datagram[1] & 0x80 != 0,
        payload_type,
        sequence: u16::from_be_bytes([datagram[2], datagram[3]]),
        timestamp: word(datagram, 4),
        ssrc,
        padded: first & 0x20 != 0,
        header_len,
        payload: datagram.get(header_len..).ok_or(Reason::Malformed)?,
    })
}

impl<'a> Packet<'a> {
    /// The payload without its padding.
    pub fn media(&self) -> Result<&'a [u8], Reason> {
        if !self.padded {
            return Ok(self.payload);
        }
        let padding = usize::from(*self.payload.last().ok_or(Reason::Malformed)?);
        if padding == 0 || padding > self.payload.len() {
            return Err(Reason::Malformed);
        }
        Ok(&self.payload[..self.payload.len() - padding])
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [u8; 14] = [
        0x80, 0xef, 0, 7, 0, 0, 3, 0xc0, 0xde, 0xad, 0xbe, 0xef, 0xf8, 0xff,
    ];

    #[test]
    fn a_plain_packet() {
        let packet = parse(&PLAIN).expect("sound");
        assert_eq!(
            (
                packet.payload_type,
                packet.marker,
                packet.sequence,
                packet.timestamp
            ),
            (111, true, 7, 960)
        );
        assert_eq!(
            (packet.ssrc, packet.media()),
            (0xdead_beef, Ok(&[0xf8, 0xff][..]))
        );
    }

    #[test]
    fn sources_extension_and_padding_are_taken_off() {
        let mut bytes = PLAIN[..12].to_vec();
        bytes[0] = 0xb2; // padding, extension, two sources
        bytes.extend([0; 8]);
        bytes.extend([0xbe, 0xde, 0, 1, 0xff, 1, 2, 3]); // id 15 with a length beyond the packet
        bytes.extend([9, 8, 7, 0, 0, 3]);
        assert_eq!(
            parse(&bytes).and_then(|packet| packet.media()),
            Ok(&[9, 8, 7][..])
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |first: u8, tail: &[u8]| {
            let mut bytes = PLAIN[..12].to_vec();
            bytes[0] = first;
            bytes.extend(tail);
            parse(&bytes).and_then(|packet| packet.media().map(<[u8]>::len))
        };
        for (name, first, tail, expect) in [
            ("version 1", 0x40, &[][..], Err(Reason::Version)),
            (
                "fifteen sources and no room",
                0x8f,
                &[0; 8],
                Err(Reason::Malformed),
            ),
            (
                "extension without length",
                0x90,
                &[0xbe, 0xde],
                Err(Reason::Malformed),
            ),
            (
                "extension beyond the end",
                0x90,
                &[0xbe, 0xde, 0, 2, 0, 0, 0, 0],
                Err(Reason::Malformed),
            ),
            ("padding of nothing", 0xa0, &[], Err(Reason::Malformed)),
            ("padding 0", 0xa0, &[1, 0], Err(Reason::Malformed)),
            (
                "padding beyond the payload",
                0xa0,
                &[1, 3],
                Err(Reason::Malformed),
            ),
            ("all padding", 0xa0, &[0, 2], Ok(0)),
        ] {
            assert_eq!(with(first, tail), expect, "{name}");
        }
        assert_eq!(parse(&PLAIN[..11]), Err(Reason::Size));
    }
}
