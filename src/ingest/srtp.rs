//! SRTP and SRTCP for one stream (RFC 3711, RFC 7714), with the keys that the API handed out.
//!
//! `webrtc-srtp` does the cryptography. What is done around it, and why:
//! * it trusts an SRTCP packet whose E bit says "not encrypted" without authenticating it, and
//!   panics on short ones: both are refused here first;
//! * its replay window learns from packets before they are authenticated: one stray number at the
//!   start shut out every true one. It is switched off, and [`Window`] is told only what proved
//!   itself;
//! * it cannot be told a rollover counter. A stream that outlives our process goes on at its packet
//!   index, so [`Srtp::new`] walks a new context forward with packets that it encrypts itself,
//!   three per rollover.

use super::{Reason, replay::Window, rtp::Packet};
use crate::domain::stream::SrtpSuite;
use bytes::Bytes;
use std::{collections::BTreeMap, fmt};
use webrtc_srtp::{context::Context, protection_profile::ProtectionProfile};

/// SSRCs that one sender may have had before; with more it is refused.
const RETIRED_MAX: usize = 32;
/// A stream with more rollovers (20 ms packets: 250 days) is not taken up again.
const ROLLOVER_MAX: u64 = 16_384;

/// The library's name for a suite.
const fn profile(suite: SrtpSuite) -> ProtectionProfile {
    match suite {
        SrtpSuite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpSuite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    }
}

/// What SRTP adds to an RTP packet.
fn tag_len(suite: SrtpSuite) -> usize {
    let profile = profile(suite);
    profile.rtp_auth_tag_len().max(profile.aead_auth_tag_len())
}

/// A new random master key, followed by its salt.
pub fn new_key(suite: SrtpSuite) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let mut key = vec![0; suite.key_len()];
    aws_lc_rs::rand::fill(&mut key)?;
    Ok(key)
}

#[derive(Clone)]
pub struct SrtpConfig {
    pub suite: SrtpSuite,
    /// Master key followed by salt.
    pub key: Vec<u8>,
    /// Of the newest authentic packet before a restart: rollover counter and sequence number (48
    /// bits).
    pub index: Option<u64>,
}

impl fmt::Debug for SrtpConfig {
    /// Never prints the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpConfig")
            .field("suite", &self.suite)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SrtpError {
    #[error("a key for {suite} has {} bytes, not {length}", suite.key_len())]
    KeyLength { suite: SrtpSuite, length: usize },
    #[error("a stream with {0} rollovers cannot be taken up again")]
    Rollover(u64),
    #[error("SRTP: {0}")]
    Crypto(#[from] webrtc_srtp::Error),
}

/// One stream's keys: theirs to us, and ours (receiver reports) to them.
pub struct Srtp {
    suite: SrtpSuite,
    receive: Context,
    /// Until the first authentic packet: one rollover further. A sender may begin just below the
    /// wrap of its number, and lose what came before it.
    ahead: Option<Context>,
    send: Context,
    /// Of authentic packets: rollover counter and sequence number.
    window: Window,
    control: Window,
}

impl Srtp {
    pub fn new(config: &SrtpConfig, ssrc: u32) -> Result<Self, SrtpError> {
        let SrtpConfig {
            suite,
            ref key,
            index,
        } = *config;
        if key.len() != suite.key_len() {
            return Err(SrtpError::KeyLength {
                suite,
                length: key.len(),
            });
        }
        let (master, salt) = key.split_at(profile(suite).key_len());
        let context = || Context::new(master, salt, profile(suite), None, None);
        let (mut receive, mut ahead) = (context()?, None);
        match index {
            Some(index) => advance(&mut receive, context()?, ssrc, index)?,
            None => advance(ahead.insert(context()?), context()?, ssrc, 0xffff)?,
        }
        let window = index.map_or_else(Window::default, Window::behind);
        Ok(Self {
            suite,
            receive,
            ahead,
            send: context()?,
            window,
            control: Window::default(),
        })
    }

    /// Authenticates and decrypts: the whole RTP packet, and whether its index is above all before.
    /// A packet that is refused changes nothing.
    pub fn open(&mut self, datagram: &[u8], packet: &Packet<'_>) -> Result<(Bytes, bool), Reason> {
        if packet.payload.len() < tag_len(self.suite) {
            return Err(Reason::Unauthentic);
        }
        let header = header(packet);
        let Some(newest) = self.window.newest() else {
            return self.first(datagram, &header);
        };
        // RFC 3711 3.3.1: within half the numbers of the newest one.
        let step = packet.sequence.wrapping_sub(newest as u16) as i16;
        let index = newest
            .checked_add_signed(step.into())
            .ok_or(Reason::Replayed)?;
        if !self.window.is_new(index) {
            return Err(Reason::Replayed);
        }
        let plain = self
            .receive
            .decrypt_rtp_with_header(datagram, &header)
            .map_err(|_| Reason::Unauthentic)?;
        Ok((plain, self.window.take(index)))
    }

    fn first(
        &mut self,
        datagram: &[u8],
        header: &rtp::header::Header,
    ) -> Result<(Bytes, bool), Reason> {
        let mut index = u64::from(header.sequence_number);
        let plain = match (
            self.receive.decrypt_rtp_with_header(datagram, header),
            &mut self.ahead,
        ) {
            (Ok(plain), _) => plain,
            (Err(_), Some(ahead)) if index < 0x8000 => {
                let plain = ahead
                    .decrypt_rtp_with_header(datagram, header)
                    .map_err(|_| Reason::Unauthentic)?;
                index |= 0x1_0000;
                std::mem::swap(&mut self.receive, ahead);
                plain
            }
            _ => return Err(Reason::Unauthentic),
        };
        self.ahead = None;
        Ok((plain, self.window.take(index)))
    }

    pub fn open_rtcp(&mut self, datagram: &[u8]) -> Result<Bytes, Reason> {
        let (at, tag) = match self.suite {
            SrtpSuite::AesCm128HmacSha1_80 => (10 + 4, 10),
            SrtpSuite::AeadAes128Gcm | SrtpSuite::AeadAes256Gcm => (4, 16),
        };
        if datagram.len() < 8 + 4 + tag {
            return Err(Reason::Unauthentic);
        }
        let [first, rest @ ..] = [0, 1, 2, 3].map(|byte| datagram[datagram.len() - at + byte]);
        if first & 0x80 == 0 {
            return Err(Reason::Unauthentic);
        }
        let index = u64::from(u32::from_be_bytes([
            first & 0x7f,
            rest[0],
            rest[1],
            rest[2],
        ]));
        if !self.control.is_new(index) {
            return Err(Reason::Replayed);
        }
        let plain = self
            .receive
            .decrypt_rtcp(datagram)
            .map_err(|_| Reason::Unauthentic)?;
        self.control.take(index);
        Ok(plain)
    }

    pub fn seal_rtcp(&mut self, compound: &[u8]) -> Result<Bytes, SrtpError> {
        Ok(self.send.encrypt_rtcp(compound)?)
    }

    /// For a sender: encrypts a whole RTP packet.
    pub fn seal(&mut self, datagram: &[u8]) -> Result<Bytes, SrtpError> {
        let packet = super::rtp::parse(datagram).map_err(|reason| {
            SrtpError::Crypto(webrtc_srtp::Error::Other(reason.as_str().into()))
        })?;
        Ok(self
            .send
            .encrypt_rtp_with_header(datagram, &header(&packet))?)
    }

    /// 48 bits: the rollover counter and the highest sequence number.
    pub fn index(&self) -> Option<u64> {
        self.window.newest()
    }
}

/// The keys of a sender whose SSRC may be unknown at first, or change: each SSRC has counters of
/// its own.
pub struct Keyring {
    config: SrtpConfig,
    current: Option<(u32, Srtp)>,
    /// Counters of SSRCs before, so that what was sent with them cannot be played again.
    retired: BTreeMap<u32, u64>,
}

impl Keyring {
    /// `ssrc`: announced, or as it was before a restart.
    pub fn new(config: SrtpConfig, ssrc: Option<u32>) -> Result<Self, SrtpError> {
        let current = ssrc
            .map(|ssrc| Ok::<_, SrtpError>((ssrc, Srtp::new(&config, ssrc)?)))
            .transpose()?;
        // The key is checked in any case.
        let probe = Srtp::new(
            &SrtpConfig {
                index: None,
                ..config.clone()
            },
            1,
        );
        probe.map(|_| Self {
            config: SrtpConfig {
                index: None,
                ..config
            },
            current,
            retired: BTreeMap::new(),
        })
    }

    /// See [`Srtp::open`]. An SSRC that proves itself is the sender's from then on.
    pub fn open(&mut self, datagram: &[u8], packet: &Packet<'_>) -> Result<(Bytes, bool), Reason> {
        if let Some((_, srtp)) = self
            .current
            .as_mut()
            .filter(|(ssrc, _)| *ssrc == packet.ssrc)
        {
            return srtp.open(datagram, packet);
        }
        if self.retired.len() >= RETIRED_MAX {
            return Err(Reason::OtherSsrc);
        }
        let index = self.retired.get(&packet.ssrc).copied();
        let config = SrtpConfig {
            index,
            ..self.config.clone()
        };
        let mut srtp = Srtp::new(&config, packet.ssrc).map_err(|_| Reason::Unauthentic)?;
        let opened = srtp.open(datagram, packet)?;
        if let Some((ssrc, mut before)) = self.current.take() {
            // Ours to them goes on: a counter used twice under one key would give its secret away.
            std::mem::swap(&mut srtp.send, &mut before.send);
            self.retired
                .extend(before.index().map(|index| (ssrc, index)));
        }
        self.current = Some((packet.ssrc, srtp));
        Ok(opened)
    }

    pub fn open_rtcp(&mut self, datagram: &[u8]) -> Result<Bytes, Reason> {
        self.current
            .as_mut()
            .ok_or(Reason::Ssrc)?
            .1
            .open_rtcp(datagram)
    }

    /// `None` before the first authentic packet of an unknown SSRC.
    pub fn seal_rtcp(&mut self, compound: &[u8]) -> Option<Result<Bytes, SrtpError>> {
        self.current
            .as_mut()
            .map(|(_, srtp)| srtp.seal_rtcp(compound))
    }

    /// See [`Srtp::index`]; of the current SSRC.
    pub fn index(&self) -> Option<u64> {
        self.current.as_ref()?.1.index()
    }
}

/// The crate's header, of the same length as the packet's own: it measures by this one where the
/// payload begins.
fn header(packet: &Packet<'_>) -> rtp::header::Header {
    let words = (packet.header_len - super::rtp::HEADER) / 4;
    // At most 15 sources; an extension of any length stands for the rest.
    let extension = words.checked_sub(1).map(|words| rtp::header::Extension {
        id: 0,
        payload: vec![0; words * 4].into(),
    });
    rtp::header::Header {
        version: 2,
        extension: extension.is_some(),
        sequence_number: packet.sequence,
        ssrc: packet.ssrc,
        extensions: extension.into_iter().collect(),
        ..Default::default()
    }
}

/// Brings a new receiving context to `index`, which then counts as its newest packet.
fn advance(
    receive: &mut Context,
    mut own: Context,
    ssrc: u32,
    index: u64,
) -> Result<(), SrtpError> {
    if index >> 16 > ROLLOVER_MAX {
        return Err(SrtpError::Rollover(index >> 16));
    }
    let mut at = 0;
    loop {
        let sequence = at as u16;
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.push(0);
        let sealed = own.encrypt_rtp(&packet)?;
        receive.decrypt_rtp(&sealed)?;
        if at == index {
            return Ok(());
        }
        // Steps below 2^15, so that each is taken for a step forward.
        at = index.min(at + 0x5555);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::parse_rtp;

    const SSRC: u32 = 0x0102_0304;

    fn config(suite: SrtpSuite) -> SrtpConfig {
        SrtpConfig {
            suite,
            key: new_key(suite).expect("randomness"),
            index: None,
        }
    }

    fn packet(sequence: u16, extra: &[u8]) -> Vec<u8> {
        let mut packet = vec![if extra.is_empty() { 0x80 } else { 0x91 }, 111];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 9]);
        packet.extend(SSRC.to_be_bytes());
        packet.extend(extra);
        packet.extend(b"voice");
        packet
    }

    fn open(srtp: &mut Srtp, datagram: &[u8]) -> Result<Bytes, Reason> {
        srtp.open(datagram, &parse_rtp(datagram).expect("sound"))
            .map(|(plain, _)| plain)
    }

    #[test]
    fn what_is_sealed_opens_once_and_only_unchanged() {
        for suite in SrtpSuite::ALL {
            let config = config(suite);
            let (mut them, mut us) = (
                Srtp::new(&config, SSRC).expect("keys"),
                Srtp::new(&config, SSRC).expect("keys"),
            );
            let extension = [0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0xf0, 0, 0, 0];
            for (sequence, extra) in [(65_000, &[][..]), (65_001, &extension)] {
                let plain = packet(sequence, extra);
                let sealed = them.seal(&plain).expect("sealed");
                assert_ne!(
                    sealed[sealed.len() - 10..],
                    plain[plain.len().saturating_sub(10)..]
                );
                let mut changed = sealed.to_vec();
                changed[20] ^= 1;
                assert_eq!(open(&mut us, &changed), Err(Reason::Unauthentic), "{suite}");
                assert_eq!(
                    open(&mut us, &plain),
                    Err(Reason::Unauthentic),
                    "{suite}: not encrypted"
                );
                assert_eq!(open(&mut us, &sealed).as_deref(), Ok(&plain[..]), "{suite}");
                assert_eq!(open(&mut us, &sealed), Err(Reason::Replayed), "{suite}");
            }
            let mut stranger = Srtp::new(&super::tests::config(suite), SSRC).expect("keys");
            let sealed = stranger.seal(&packet(65_002, &[])).expect("sealed");
            assert_eq!(
                open(&mut us, &sealed),
                Err(Reason::Unauthentic),
                "{suite}: another key"
            );
        }
    }

    #[test]
    fn control_packets_too() {
        for suite in SrtpSuite::ALL {
            let config = config(suite);
            let (mut them, mut us) = (
                Srtp::new(&config, SSRC).expect("keys"),
                Srtp::new(&config, SSRC).expect("keys"),
            );
            let plain = crate::ingest::rtcp::compound(SSRC, None).expect("small");
            let sealed = them.seal_rtcp(&plain).expect("sealed");
            assert_eq!(us.open_rtcp(&sealed).as_deref(), Ok(&plain[..]), "{suite}");
            assert_eq!(us.open_rtcp(&sealed), Err(Reason::Replayed), "{suite}");
            let mut changed = them.seal_rtcp(&plain).expect("sealed").to_vec();
            changed[9] ^= 1;
            assert_eq!(us.open_rtcp(&changed), Err(Reason::Unauthentic), "{suite}");
            // "Not encrypted", with anything as tag: the crate alone would take it.
            let mut open = plain.to_vec();
            open.extend([0; 30]);
            assert_eq!(us.open_rtcp(&open), Err(Reason::Unauthentic), "{suite}");
            for short in 0..sealed.len().min(31) {
                assert!(us.open_rtcp(&sealed[..short]).is_err(), "{suite}");
            }
        }
    }

    #[test]
    fn a_stream_goes_on_after_a_restart_with_its_rollover_counter() {
        for suite in SrtpSuite::ALL {
            let config = config(suite);
            let (mut them, mut us) = (
                Srtp::new(&config, SSRC).expect("keys"),
                Srtp::new(&config, SSRC).expect("keys"),
            );
            let mut sealed = Bytes::new();
            for i in 0..200_000u64 {
                sealed = them
                    .seal(&packet((65_000 + i) as u16, &[]))
                    .expect("sealed");
                // Loss of most is no matter.
                if i % 1_000 == 0 {
                    open(&mut us, &sealed).expect("authentic");
                }
            }
            open(&mut us, &sealed).expect("authentic");
            assert_eq!(us.index(), Some(264_999));
            let mut fresh = Srtp::new(&config, SSRC).expect("keys");
            assert!(
                open(&mut fresh, &sealed).is_err(),
                "{suite}: without the counter nothing opens"
            );
            let restored = SrtpConfig {
                index: us.index(),
                ..config
            };
            let mut us = Srtp::new(&restored, SSRC).expect("keys");
            assert_eq!(open(&mut us, &sealed), Err(Reason::Replayed), "{suite}");
            for i in 265_000..265_100u64 {
                let sealed = them.seal(&packet(i as u16, &[])).expect("sealed");
                open(&mut us, &sealed).unwrap_or_else(|reason| panic!("{suite} {i}: {reason:?}"));
            }
            assert_eq!(us.index(), Some(265_099));
        }
    }

    #[test]
    fn a_sender_may_begin_just_below_the_wrap_and_lose_what_came_before() {
        for suite in SrtpSuite::ALL {
            let config = config(suite);
            let (mut them, mut us) = (
                Srtp::new(&config, SSRC).expect("keys"),
                Srtp::new(&config, SSRC).expect("keys"),
            );
            for i in 65_530..65_560u64 {
                let sealed = them.seal(&packet(i as u16, &[])).expect("sealed");
                if i > 65_540 {
                    open(&mut us, &sealed)
                        .unwrap_or_else(|reason| panic!("{suite} {i}: {reason:?}"));
                    assert_eq!(
                        (us.index(), open(&mut us, &sealed)),
                        (Some(i), Err(Reason::Replayed))
                    );
                }
            }
        }
    }

    /// Strays of any number, before the first true packet and between, plain and sealed with
    /// another key.
    #[test]
    fn what_is_not_authentic_changes_nothing() {
        for suite in SrtpSuite::ALL {
            let config = config(suite);
            let mut stranger = Srtp::new(&super::tests::config(suite), SSRC).expect("keys");
            for begin in [0u64, 1, 30_000, 40_000, 65_530] {
                let sender = || Srtp::new(&config, SSRC).expect("keys");
                let (mut them, mut us) = (sender(), sender());
                for i in begin..begin + 20 {
                    for stray in [
                        0u16,
                        1,
                        20_000,
                        32_768,
                        50_000,
                        65_535,
                        i as u16,
                        (i as u16).wrapping_add(1),
                    ] {
                        let plain = packet(stray, &[]);
                        assert_ne!(open(&mut us, &plain), Ok(Bytes::from(plain.clone())));
                        let sealed = stranger.seal(&plain).expect("sealed");
                        assert!(open(&mut us, &sealed).is_err(), "{suite}");
                        let mut forged = stranger
                            .seal_rtcp(&crate::ingest::rtcp::compound(SSRC, None).expect("small"));
                        for _ in 0..3 {
                            forged = stranger.seal_rtcp(
                                &crate::ingest::rtcp::compound(SSRC, None).expect("small"),
                            );
                        }
                        assert!(us.open_rtcp(&forged.expect("sealed")).is_err());
                    }
                    let plain = packet(i as u16, &[]);
                    let sealed = them.seal(&plain).expect("sealed");
                    assert_eq!(
                        open(&mut us, &sealed).as_deref(),
                        Ok(&plain[..]),
                        "{suite}: {i} from {begin}"
                    );
                    let report = crate::ingest::rtcp::compound(SSRC, None).expect("small");
                    let sealed = them.seal_rtcp(&report).expect("sealed");
                    assert_eq!(us.open_rtcp(&sealed).as_deref(), Ok(&report[..]), "{suite}");
                }
                assert_eq!(us.index(), Some(begin + 19));
            }
        }
    }

    #[test]
    fn a_keyring_follows_what_proves_itself_and_never_goes_back() {
        let config = config(SrtpSuite::AeadAes128Gcm);
        let with = |ssrc: u32, sequence: u16| {
            let mut packet = packet(sequence, &[]);
            packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
            packet
        };
        let open = |ring: &mut Keyring, datagram: &[u8]| {
            ring.open(datagram, &parse_rtp(datagram).expect("sound"))
        };
        let mut ring = Keyring::new(config.clone(), None).expect("keys");
        let mut a = Srtp::new(&config, 1).expect("keys");
        let mut b = Srtp::new(&config, 2).expect("keys");
        let old: Vec<Bytes> = (10..14)
            .map(|n| a.seal(&with(1, n)).expect("sealed"))
            .collect();
        assert!(open(&mut ring, &with(3, 9)).is_err());
        assert!(open(&mut ring, &old[0]).is_ok() && open(&mut ring, &old[2]).is_ok());
        let new = b.seal(&with(2, 7)).expect("sealed");
        assert!(open(&mut ring, &new).is_ok_and(|(_, newest)| newest));
        assert_eq!(ring.index(), Some(7));
        for played_again in [&old[0], &old[1], &old[2], &new] {
            assert_eq!(open(&mut ring, played_again), Err(Reason::Replayed));
        }
        assert_eq!(ring.index(), Some(7));
        assert!(
            open(&mut ring, &old[3]).is_ok(),
            "it may go back to an SSRC, further on"
        );
    }

    #[test]
    fn wrong_keys_are_told() {
        let short = SrtpConfig {
            key: vec![0; 30],
            ..config(SrtpSuite::AeadAes256Gcm)
        };
        assert!(matches!(
            Srtp::new(&short, SSRC),
            Err(SrtpError::KeyLength { length: 30, .. })
        ));
        let old = SrtpConfig {
            index: Some(u64::MAX),
            ..config(SrtpSuite::AeadAes128Gcm)
        };
        assert!(matches!(Srtp::new(&old, SSRC), Err(SrtpError::Rollover(_))));
        assert!(!format!("{:?}", config(SrtpSuite::AeadAes128Gcm)).contains("key"));
    }
}
