//! (being written)
use serde::{Deserialize, Serialize};

/// What a participant may do in its meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May also end the meeting and remove others.
    Host,
    Participant,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Participant => "participant",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "host" => Some(Self::Host),
            "participant" => Some(Self::Participant),
            _ => None,
        }
    }
}
