//! What a live meeting's `recording_state` says.

use super::Meeting;
use crate::recording_state::{RecordingState, State};
use crate::{admission, consent::Use, id::ParticipantId};

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
