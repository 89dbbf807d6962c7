//! What a live meeting's `recording_state` says.

use super::Meeting;
use crate::{admission, consent::Use, event::StateReason, id::ParticipantId};
use serde::{Deserialize, Serialize};

/// `recording_state` while a meeting is live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub recording: RecordingState,
    pub transcribing: bool,
    /// Whose consent is awaited under policy `all`.
    pub waiting_for: Vec<ParticipantId>,
    /// Who agreed and is lost all the same, because it cannot be written.
    pub unrecorded: Vec<ParticipantId>,
}

impl State {
    /// Why not everything is recorded: `consent`, or `disk` (it is full, or descriptors are used
    /// up).
    pub fn reason(&self) -> Option<StateReason> {
        match self.recording {
            _ if !self.unrecorded.is_empty() => Some(StateReason::Disk),
            RecordingState::Paused => Some(StateReason::Consent),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    Off,
    Waiting,
    Paused,
    Recording,
    Finalising,
    Ready,
    Failed,
}

impl RecordingState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Recording => "recording",
            Self::Finalising => "finalising",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// Whether it says, after the end, how the meeting came out.
    pub const fn is_outcome(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Off)
    }
}

impl Meeting {
    /// What `recording_state` says now.
    pub fn state(&self) -> State {
        let agreed = |purpose| self.present.keys().any(|id| self.accepts(*id, purpose));
        let on = |purpose| self.uses.contains(&purpose);
        let held = self.held.contains(&Use::Recording);
        let kept = |id: ParticipantId| !self.unkept.contains(&id);
        let unrecorded: Vec<_> = self
            .unkept
            .iter()
            .copied()
            .filter(|id| on(Use::Recording) && !held && self.accepts(*id, Use::Recording))
            .collect();
        let sending = self.streams.values().map(|stream| stream.participant);
        let nobody = !sending
            .filter(|id| self.accepts(*id, Use::Recording))
            .any(kept);
        let recording = if !on(Use::Recording) {
            RecordingState::Off
        } else if !agreed(Use::Recording) {
            RecordingState::Waiting
        } else if held || !unrecorded.is_empty() && nobody {
            RecordingState::Paused
        } else {
            RecordingState::Recording
        };
        let waiting_for = admission::awaited(
            self.settings.consent_policy,
            &self.uses,
            self.present.keys().copied(),
            |id, purpose| self.accepts(*id, purpose),
        );
        let transcribing = on(Use::Transcription)
            && agreed(Use::Transcription)
            && !self.held.contains(&Use::Transcription);
        State {
            recording,
            transcribing,
            waiting_for,
            unrecorded,
        }
    }
}
