//! What a running meeting writes.

use super::RETRACTIONS_MAX;
use crate::{
    capture::journal::Withdrawal,
    domain::{
        event::RecordingReport,
        id::{ParticipantId, RecordingId, SegmentId, StreamId},
        media_state::Media,
        stream::CloseReason,
        time::Span,
        transcript::RetractionReason,
    },
    speech::Translation,
    store::{
        block::Block,
        capture::FinalSegment,
        recording::{Segment, TrackKey},
    },
};

/// One thing to store, and to tell once it is.
#[derive(Debug)]
pub enum Write {
    Track {
        id: RecordingId,
        key: TrackKey,
        start_ms: i64,
    },
    /// In storage and verified.
    Segment(Segment),
    /// In storage and verified, of segments that are as they were.
    Block(Block),
    /// Nothing of it may stay.
    RemoveSegment(Segment),
    Final(FinalSegment),
    Translated(Translation),
    Retracted {
        segment: SegmentId,
        reason: RetractionReason,
        /// Whose words, and when, if they were said and not understood.
        unheard: Option<(ParticipantId, Span)>,
    },
    /// `recording_state`.
    State(RecordingReport),
    /// The worker's own copy of a withdrawal; the `api` writes it too.
    Withdrawal(Withdrawal),
    StreamOpened {
        stream: StreamId,
        participant: ParticipantId,
        ip: String,
        port: u16,
    },
    /// The same of a stream from a peer connection.
    PeerStreamOpened {
        stream: StreamId,
        participant: ParticipantId,
    },
    StreamClosed {
        stream: StreamId,
        participant: ParticipantId,
        reason: CloseReason,
    },
    Latched {
        stream: StreamId,
        from: String,
        ssrc: u32,
        /// Another SSRC than before.
        anew: bool,
    },
    /// A stream's media came, stalled or came back.
    Media {
        stream: StreamId,
        participant: ParticipantId,
        media: Media,
    },
    Rollover {
        stream: StreamId,
        index: u64,
    },
    /// Sound of this span was sent and did not arrive, or nobody listened.
    Lost {
        recording: RecordingId,
        span: Span,
    },
    Leave {
        participant: ParticipantId,
        removed: bool,
    },
}

impl Write {
    /// How many writes may wait before this one, of so many in all. What can be had again gives way
    /// first.
    pub(super) fn room(&self, waiting_max: u64) -> u64 {
        match self {
            Self::Rollover { .. } | Self::Latched { .. } | Self::Translated(_) | Self::Block(_) => {
                waiting_max / 4
            }
            Self::Retracted { .. } | Self::Withdrawal(_) => waiting_max + RETRACTIONS_MAX,
            _ => waiting_max,
        }
    }
}
