//! The words of `recording_state`.

use crate::id::ParticipantId;
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

    /// How the files of a meeting that is over came out. `is_mixed`: the mix is there.
    /// `is_track_lost`: nothing of some track can be had.
    pub const fn of_files(is_mixed: bool, is_track_lost: bool) -> (Self, Option<StateReason>) {
        match (is_mixed, is_track_lost) {
            (true, _) => (Self::Ready, None),
            (false, true) => (Self::Failed, Some(StateReason::SeeErrors)),
            (false, false) => (Self::Off, Some(StateReason::NothingRecorded)),
        }
    }

    /// Whether it says, after the end, how the meeting came out.
    pub const fn is_outcome(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Off)
    }
}

/// Why `recording_state` is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StateReason {
    /// Somebody present has not agreed, under policy `all`.
    Consent,
    /// It is full, or descriptors are used up.
    Disk,
    /// Nobody ever captured the meeting.
    Ended,
    NothingRecorded,
    /// The files are made again.
    Retry,
    #[serde(rename = "see the recordings' errors")]
    SeeErrors,
}
