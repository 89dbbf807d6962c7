//! Why a worker refuses a stream, an offer or an answer. Its `api` says the same to whoever asked.

use crate::{admission::Barred, stream::CloseReason, word::words};

words! {
    /// Codes of the contract's errors that a worker answers with.
    pub enum RefusalCode("code of a refusal") {
        /// What was asked cannot be read, or does not fit what the stream or the section is.
        Invalid = "invalid",
        /// Nobody here takes this codec.
        NotSupported = "not_supported",
        ConsentRequired = "consent_required",
        Removed = "removed",
        Ended = "ended",
        NotFound = "not_found",
        /// The offer met one of the server's: the connection stands.
        Glare = "glare",
        /// What it answers or changes is not what is open any more.
        StaleOffer = "stale_offer",
        /// A newer offer took its place.
        Replaced = "replaced",
        /// The peer connection failed.
        Failed = "failed",
        WebRtcUnavailable = "webrtc_unavailable",
        Unavailable = "unavailable",
    }
}

impl RefusalCode {
    /// For whom it is who may not come in, in words.
    pub const fn of_entry(barred: &Barred) -> (Self, &'static str) {
        match barred {
            Barred::ConsentRequired(_) => (
                Self::ConsentRequired,
                "this meeting is only for who agreed to what it records",
            ),
            Barred::Ended => (Self::Ended, "the meeting has ended"),
            Barred::Removed | Barred::Absent => (Self::Removed, "the participant was removed"),
        }
    }
}

/// A stream that is closed because it cannot be opened.
impl From<CloseReason> for RefusalCode {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::NotSupported => Self::NotSupported,
            _ => Self::Unavailable,
        }
    }
}
