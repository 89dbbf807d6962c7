//! What was taken and what was dropped, by reason: per stream, and for the whole process as
//! metrics.

use crate::domain::{source::Refusal, stream::MediaReason};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a datagram was dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// Shorter than a header, or longer than [`super::DATAGRAM_MAX`].
    Size,
    /// Not RTP version 2.
    Version,
    /// Another SSRC, from elsewhere: not about this stream.
    Ssrc,
    /// From where this stream comes, with an SSRC that was not announced.
    OtherSsrc,
    PayloadType,
    /// Not from the announced, allowed or latched source.
    Source,
    /// SRTP: wrong key, changed, or not encrypted.
    Unauthentic,
    /// SRTP: seen before.
    Replayed,
    /// Header extension, CSRC list or padding beyond the packet's end.
    Malformed,
    /// A payload that the codec does not allow.
    Payload,
    /// RTCP that does not follow RFC 3550.
    Rtcp,
    /// The meeting's loop does not keep up.
    QueueFull,
}

impl Reason {
    pub const ALL: [Self; 12] = [
        Self::Size,
        Self::Version,
        Self::Ssrc,
        Self::OtherSsrc,
        Self::PayloadType,
        Self::Source,
        Self::Unauthentic,
        Self::Replayed,
        Self::Malformed,
        Self::Payload,
        Self::Rtcp,
        Self::QueueFull,
    ];

    /// What it says of a stream of which nothing else comes; `None` for what others may cause.
    pub const fn why(self) -> Option<MediaReason> {
        match self {
            Self::Ssrc | Self::Rtcp | Self::QueueFull => None,
            Self::OtherSsrc => Some(MediaReason::OtherSsrc),
            Self::Source => Some(MediaReason::OtherSource),
            Self::PayloadType => Some(MediaReason::PayloadType),
            Self::Unauthentic => Some(MediaReason::Unauthentic),
            Self::Replayed => Some(MediaReason::Replayed),
            Self::Size | Self::Version | Self::Malformed | Self::Payload => {
                Some(MediaReason::Malformed)
            }
        }
    }

    /// The label of its metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Version => "version",
            Self::Ssrc => "ssrc",
            Self::OtherSsrc => MediaReason::OtherSsrc.as_str(),
            Self::PayloadType => MediaReason::PayloadType.as_str(),
            Self::Source => "source",
            Self::Unauthentic => MediaReason::Unauthentic.as_str(),
            Self::Replayed => MediaReason::Replayed.as_str(),
            Self::Malformed => MediaReason::Malformed.as_str(),
            Self::Payload => "payload",
            Self::Rtcp => "rtcp",
            Self::QueueFull => "queue_full",
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ssrc => Self::Ssrc,
            Refusal::OtherSsrc => Self::OtherSsrc,
            Refusal::Address => Self::Source,
        }
    }
}

/// One stream's counts; read while it runs.
#[derive(Debug, Default)]
pub struct Counts {
    taken: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
}

impl Counts {
    /// RTP packets handed on.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize].load(Relaxed)
    }

    pub fn dropped_all(&self) -> u64 {
        self.dropped.iter().map(|count| count.load(Relaxed)).sum()
    }

    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Relaxed);
        metrics::counter!("hansard_rtp_packets_total").increment(1);
    }

    pub(super) fn refuse(&self, reason: Reason) {
        self.dropped[reason as usize].fetch_add(1, Relaxed);
        metrics::counter!("hansard_rtp_dropped_total", "reason" => reason.as_str()).increment(1);
    }
}
