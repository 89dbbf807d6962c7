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

mod keyring;

pub use keyring::Keyring;

use super::{Reason, replay::Window, rtp::Packet};
use crate::domain::stream::SrtpSuite;
use bytes::Bytes;
use std::fmt;
use webrtc_srtp::{context::Context, protection_profile::ProtectionProfile};

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
mod tests;
