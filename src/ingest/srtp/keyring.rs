//! The keys of one sender over its SSRCs.

use super::{Srtp, SrtpConfig, SrtpError};
use crate::ingest::{Reason, rtp::Packet};
use bytes::Bytes;
use std::collections::BTreeMap;

/// SSRCs that one sender may have had before; with more it is refused.
const RETIRED_MAX: usize = 32;

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
