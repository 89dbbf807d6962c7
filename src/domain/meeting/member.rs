//! What is known of a participant and of a stream while the meeting runs.

use crate::{id::ParticipantId, time::MeetingTime};

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) participant: ParticipantId,
    /// Something came, or its participant had a socket.
    pub(super) alive: MeetingTime,
    pub(super) bye: Option<MeetingTime>,
    /// Of a peer connection: its participant is there while that answers, not for as long as the
    /// stream is open.
    pub(super) peer: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Last seen with a socket or a stream.
    pub(super) seen: MeetingTime,
    /// Left, by our command; the store's roster confirms.
    pub(super) leaving: bool,
    /// The store's roster said so once. Until then a roster read before our own write must not undo
    /// it.
    pub(super) stored: bool,
}

impl Member {
    pub(super) fn new(now: MeetingTime) -> Self {
        Self {
            seen: now,
            leaving: false,
            stored: false,
        }
    }
}
