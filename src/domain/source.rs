//! Whose packets a stream takes: from which address, with which SSRC, and when another address
//! takes over.
//!
//! Told each packet twice: [`Source::admits`] before anything but its header is looked at, and
//! [`Source::take`] once it is valid (and, under SRTP, authentic). Between the two nothing changes,
//! so a packet that turns out worthless leaves no trace.
//!
//! **Plain RTP** proves nothing, so the first valid packet settles the address, and it moves only
//! if the client allowed that ([`Terms::relatch`]): same host, same SSRC, [`SILENT`] after the old
//! address fell silent. **SRTP** proves itself: the address follows the newest authentic packet. An
//! address that another participant's stream had on this port is never taken for plain RTP: it may
//! not know yet that its stream is over.

use crate::{
    id::ParticipantId,
    stream::{MediaKind, MediaSource},
    time::Micros,
};
use core::net::SocketAddr;
use std::collections::BTreeSet;

/// Nothing from the old address for this long, and another of the same host may take over.
pub const SILENT: Micros = Micros::from_secs(2);

/// Whose a port is, or was: of which participant, and which of its streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    pub participant: ParticipantId,
    pub kind: MediaKind,
    pub source: MediaSource,
}

impl Owner {
    /// Whether a stream of `next` may have the port at once, though its sender may not know yet
    /// that the stream before is over: it takes that stream's place, so that what still comes is of
    /// the same participant. Whoever else sent there is foreign to it ([`Terms::foreign`]).
    pub fn makes_room_for(&self, next: &Self) -> bool {
        self == next
    }
}

/// What the client told of its stream.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Only this SSRC; `None`: whatever the sender uses, also a new one in mid-stream.
    pub ssrc: Option<u32>,
    /// Where media will come from.
    pub remote: Option<SocketAddr>,
    /// Packets prove themselves (SRTP).
    pub secured: bool,
    /// The address may change in mid-stream.
    pub relatch: bool,
    /// Addresses on the same port that are not this participant's, as far as is known: what streams
    /// of others had, and, where the port did not rest, whoever sent there and was not taken.
    pub foreign: BTreeSet<SocketAddr>,
}

/// Why a packet is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another SSRC, from somewhere else: not about this stream at all.
    Ssrc,
    /// From where this stream comes (or would be taken from), with an SSRC that was not announced.
    OtherSsrc,
    /// An address that is not the stream's.
    Address,
}

/// What a packet that was taken changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// The stream has an address, or another one.
    pub address: bool,
    /// The sender goes on with another SSRC: its counters begin anew.
    pub ssrc: bool,
}

/// How far a control packet (RTCP) counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// From where media comes: all of it.
    Whole,
    /// SRTP, from elsewhere: it proves itself. Never a goodbye.
    Report,
    /// Before any media: somebody is there, no more.
    Presence,
}

/// One stream's source. `now` is any clock that does not go backwards.
#[derive(Clone, Debug)]
pub struct Source {
    terms: Terms,
    address: Option<SocketAddr>,
    ssrc: Option<u32>,
    /// The last packet from `address`.
    last_packet: Micros,
}

impl Source {
    /// `latched` and `ssrc`: as they were before a restart.
    pub fn new(terms: Terms, latched: Option<SocketAddr>, ssrc: Option<u32>, now: Micros) -> Self {
        let terms = Terms {
            remote: terms.remote.map(canonical),
            foreign: terms.foreign.into_iter().map(canonical).collect(),
            ..terms
        };
        let address = latched.map(canonical).or(terms.remote);
        Self {
            address,
            ssrc: terms.ssrc.or(ssrc),
            terms,
            last_packet: now,
        }
    }

    /// Where media comes from.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The SSRC that is listened to, once it is known.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Whether a packet is to be looked at. `allowed`: media may come from there without being
    /// announced.
    pub fn admits(
        &self,
        from: SocketAddr,
        ssrc: u32,
        allowed: bool,
        now: Micros,
    ) -> Result<(), Refusal> {
        let from = canonical(from);
        let Terms {
            secured, relatch, ..
        } = self.terms;
        if !secured && self.terms.foreign.contains(&from) {
            return Err(Refusal::Address);
        }
        let here = self.address == Some(from);
        let other = self.ssrc.is_some_and(|own| own != ssrc);
        if other && self.terms.ssrc.is_some() {
            let ours = here || self.address.is_none() && (allowed || secured);
            return Err(if ours {
                Refusal::OtherSsrc
            } else {
                Refusal::Ssrc
            });
        }
        if other && !here {
            // Whatever the sender uses is taken, so this could be it, come back with all new.
            return Err(Refusal::Address);
        }
        let moves = |old: SocketAddr| {
            relatch
                && self.terms.remote.is_none()
                && self.ssrc == Some(ssrc)
                && old.ip() == from.ip()
                && now - self.last_packet >= SILENT
        };
        if here || secured || self.address.map_or(allowed, moves) {
            Ok(())
        } else {
            Err(Refusal::Address)
        }
    }

    /// The packet was valid. `newest`: its index is above all before (always so for plain RTP).
    pub fn take(&mut self, from: SocketAddr, ssrc: u32, newest: bool, now: Micros) -> Change {
        let from = canonical(from);
        let change = Change {
            address: self.address.is_none_or(|address| address != from && newest),
            ssrc: self.ssrc.is_some_and(|own| own != ssrc),
        };
        self.ssrc = Some(ssrc);
        if change.address {
            self.address = Some(from);
        }
        if self.address == Some(from) {
            self.last_packet = now;
        }
        change
    }

    /// How far RTCP from there counts. Under SRTP it must still prove itself.
    pub fn admits_control(
        &self,
        from: SocketAddr,
        ssrc: u32,
        allowed: bool,
    ) -> Result<Control, Refusal> {
        let from = canonical(from);
        let here = self.address == Some(from);
        if self.ssrc.is_some_and(|own| own != ssrc) {
            return Err(if here {
                Refusal::OtherSsrc
            } else {
                Refusal::Ssrc
            });
        }
        if here {
            return Ok(Control::Whole);
        }
        if !self.terms.secured && self.terms.foreign.contains(&from) {
            return Err(Refusal::Address);
        }
        match self.address {
            None if allowed || self.terms.secured => Ok(Control::Presence),
            Some(_) if self.terms.secured => Ok(Control::Report),
            _ => Err(Refusal::Address),
        }
    }
}

/// An IPv4 sender on a dual-stack socket is the same as on an IPv4 one.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u32 = 0xa;
    const B: u32 = 0xb;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn s(seconds: i64) -> Micros {
        Micros::from_secs(seconds)
    }

    fn new(terms: Terms) -> Source {
        Source::new(terms, None, None, s(0))
    }

    /// Takes a packet if it is admitted.
    fn packet(source: &mut Source, from: &str, ssrc: u32, now: i64) -> Result<Change, Refusal> {
        source.admits(at(from), ssrc, at(from).ip().is_loopback(), s(now))?;
        Ok(source.take(at(from), ssrc, true, s(now)))
    }

    const FIRST: Result<Change, Refusal> = Ok(Change {
        address: true,
        ssrc: false,
    });
    const SAME: Result<Change, Refusal> = Ok(Change {
        address: false,
        ssrc: false,
    });

    #[test]
    fn an_announced_address_is_the_only_one() {
        let terms = Terms {
            ssrc: Some(A),
            remote: Some(at("192.0.2.1:40")),
            relatch: true,
            ..Terms::default()
        };
        let mut source = new(terms);
        assert_eq!(
            packet(&mut source, "127.0.0.1:40", A, 0),
            Err(Refusal::Address)
        );
        assert_eq!(packet(&mut source, "192.0.2.1:40", A, 1), SAME);
        assert_eq!(packet(&mut source, "[::ffff:192.0.2.1]:40", A, 1), SAME);
        assert_eq!(
            packet(&mut source, "192.0.2.1:41", A, 60),
            Err(Refusal::Address),
            "announced, so it never moves"
        );
        assert_eq!(
            packet(&mut source, "192.0.2.1:40", B, 60),
            Err(Refusal::OtherSsrc)
        );
        assert_eq!(
            packet(&mut source, "192.0.2.1:41", B, 60),
            Err(Refusal::Ssrc)
        );
    }

    #[test]
    fn otherwise_the_first_from_an_allowed_network_stays() {
        let mut source = new(Terms {
            ssrc: Some(A),
            ..Terms::default()
        });
        assert_eq!(
            packet(&mut source, "192.0.2.1:40", A, 0),
            Err(Refusal::Address)
        );
        assert_eq!(
            packet(&mut source, "192.0.2.1:40", B, 0),
            Err(Refusal::Ssrc)
        );
        assert_eq!(
            packet(&mut source, "127.0.0.1:40", B, 0),
            Err(Refusal::OtherSsrc),
            "told before anything came"
        );
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 0), FIRST);
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", A, 99),
            Err(Refusal::Address)
        );
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 99), SAME);
    }

    #[test]
    fn with_relatch_it_moves_on_one_host_after_silence() {
        let mut source = new(Terms {
            ssrc: Some(A),
            relatch: true,
            ..Terms::default()
        });
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 10), FIRST);
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", A, 11),
            Err(Refusal::Address),
            "the old one still speaks"
        );
        assert_eq!(
            packet(&mut source, "127.0.0.2:41", A, 99),
            Err(Refusal::Address),
            "another host"
        );
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", B, 99),
            Err(Refusal::Ssrc)
        );
        assert_eq!(packet(&mut source, "127.0.0.1:41", A, 12), FIRST);
        assert_eq!(
            packet(&mut source, "127.0.0.1:40", A, 13),
            Err(Refusal::Address),
            "and not back at once"
        );
        // After a restart nobody knows how long it was silent.
        let terms = Terms {
            relatch: true,
            ..Terms::default()
        };
        let mut source = Source::new(terms, Some(at("127.0.0.1:40")), Some(A), s(5));
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", A, 6),
            Err(Refusal::Address)
        );
        assert_eq!(packet(&mut source, "127.0.0.1:41", A, 7), FIRST);
    }

    #[test]
    fn a_new_ssrc_is_followed_from_the_same_address_only() {
        let mut source = new(Terms::default());
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 0), FIRST);
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", B, 0),
            Err(Refusal::Address)
        );
        assert_eq!(
            packet(&mut source, "127.0.0.1:41", A, 0),
            Err(Refusal::Address)
        );
        assert_eq!(
            packet(&mut source, "127.0.0.1:40", B, 0),
            Ok(Change {
                address: false,
                ssrc: true
            })
        );
        assert_eq!(
            (source.ssrc(), packet(&mut source, "127.0.0.1:40", B, 0)),
            (Some(B), SAME)
        );
    }

    #[test]
    fn what_was_anothers_on_this_port_is_refused_unless_it_proves_itself() {
        let foreign: BTreeSet<_> = [at("127.0.0.1:40")].into();
        let terms = Terms {
            foreign,
            ..Terms::default()
        };
        let mut source = new(terms.clone());
        assert_eq!(
            packet(&mut source, "127.0.0.1:40", A, 0),
            Err(Refusal::Address)
        );
        assert_eq!(
            source.admits_control(at("127.0.0.1:40"), A, true),
            Err(Refusal::Address)
        );
        assert_eq!(packet(&mut source, "127.0.0.1:41", A, 0), FIRST);
        let mut source = new(Terms {
            secured: true,
            ..terms
        });
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 0), FIRST);
    }

    #[test]
    fn what_proves_itself_moves_at_once() {
        let mut source = new(Terms {
            ssrc: Some(A),
            secured: true,
            ..Terms::default()
        });
        assert_eq!(packet(&mut source, "192.0.2.1:40", A, 0), FIRST);
        assert_eq!(packet(&mut source, "192.0.2.7:9", A, 0), FIRST);
        // Held up on the old way: taken, but the address stays.
        assert_eq!(source.admits(at("192.0.2.1:40"), A, false, s(0)), Ok(()));
        assert_eq!(
            source.take(at("192.0.2.1:40"), A, false, s(0)),
            Change::default()
        );
        assert_eq!(source.address(), Some(at("192.0.2.7:9")));
        assert_eq!(
            packet(&mut source, "192.0.2.7:9", B, 0),
            Err(Refusal::OtherSsrc)
        );
        assert_eq!(packet(&mut source, "192.0.2.8:9", B, 0), Err(Refusal::Ssrc));
    }

    #[test]
    fn only_the_stream_that_takes_anothers_place_has_its_port_at_once() {
        let owner = |n: u128, source| Owner {
            participant: ParticipantId(uuid::Uuid::from_u128(n)),
            kind: MediaKind::Audio,
            source,
        };
        let before = owner(1, MediaSource::Microphone);
        for (next, expect) in [
            (owner(1, MediaSource::Microphone), true),
            (owner(2, MediaSource::Microphone), false),
            (owner(1, MediaSource::Screen), false),
        ] {
            assert_eq!(before.makes_room_for(&next), expect, "{next:?}");
        }
    }

    #[test]
    fn control_counts_by_where_it_comes_from() {
        let mut source = new(Terms {
            ssrc: Some(A),
            ..Terms::default()
        });
        let control = |source: &Source, from: &str, ssrc| {
            source.admits_control(at(from), ssrc, at(from).ip().is_loopback())
        };
        assert_eq!(control(&source, "127.0.0.1:41", A), Ok(Control::Presence));
        assert_eq!(control(&source, "192.0.2.1:41", A), Err(Refusal::Address));
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 0), FIRST);
        assert_eq!(control(&source, "127.0.0.1:40", A), Ok(Control::Whole));
        assert_eq!(
            control(&source, "127.0.0.1:41", A),
            Err(Refusal::Address),
            "a neighbour, whatever it says"
        );
        assert_eq!(control(&source, "127.0.0.2:40", A), Err(Refusal::Address));
        assert_eq!(control(&source, "127.0.0.1:41", B), Err(Refusal::Ssrc));
        let mut source = new(Terms {
            secured: true,
            ..Terms::default()
        });
        assert_eq!(packet(&mut source, "127.0.0.1:40", A, 0), FIRST);
        assert_eq!(control(&source, "192.0.2.1:41", A), Ok(Control::Report));
    }
}
