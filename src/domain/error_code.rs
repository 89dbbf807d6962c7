//! What an `error` on a socket is about, for programs.

use crate::{admission::Barred, refusal::RefusalCode, word::words};

words! {
    /// All codes of `error`: those of the socket itself, and those that a worker refuses by.
    pub enum ErrorCode(
        "code of an error",
        schema "ErrorCode": "What it is about; a client takes one that it does not know like `unavailable`"
    ) {
        /// The message cannot be read, or what it asks for does not fit.
        Invalid = "invalid",
        /// `join_room` comes first.
        NotJoined = "not_joined",
        AlreadyJoined = "already_joined",
        /// The token is none, or has run out.
        Unauthorized = "unauthorized",
        /// This credential may not say that.
        Forbidden = "forbidden",
        ConsentRequired = "consent_required",
        Removed = "removed",
        /// The participant counts as gone: it is to join again.
        Absent = "absent",
        Ended = "ended",
        /// It was deleted.
        Gone = "gone",
        NotFound = "not_found",
        /// It exists already, as something else.
        Conflict = "conflict",
        /// What this socket asked before is still under way.
        Busy = "busy",
        /// There are as many of these as there may be; waiting does not help soon.
        TooMany = "too_many",
        /// There is no open stream of that source.
        NoStream = "no_stream",
        NotSupported = "not_supported",
        Glare = "glare",
        StaleOffer = "stale_offer",
        Replaced = "replaced",
        Failed = "failed",
        WebRtcUnavailable = "webrtc_unavailable",
        /// Not now; the same again in a moment may work.
        Unavailable = "unavailable",
        /// Something went wrong on the server's side.
        Internal = "internal",
    }
}

impl From<RefusalCode> for ErrorCode {
    fn from(code: RefusalCode) -> Self {
        match code {
            RefusalCode::Invalid => Self::Invalid,
            RefusalCode::NotSupported => Self::NotSupported,
            RefusalCode::ConsentRequired => Self::ConsentRequired,
            RefusalCode::Removed => Self::Removed,
            RefusalCode::Ended => Self::Ended,
            RefusalCode::NotFound => Self::NotFound,
            RefusalCode::Glare => Self::Glare,
            RefusalCode::StaleOffer => Self::StaleOffer,
            RefusalCode::Replaced => Self::Replaced,
            RefusalCode::Failed => Self::Failed,
            RefusalCode::WebRtcUnavailable => Self::WebRtcUnavailable,
            RefusalCode::Unavailable => Self::Unavailable,
        }
    }
}

/// For whom it is who may not come in.
impl From<&Barred> for ErrorCode {
    fn from(barred: &Barred) -> Self {
        match barred {
            Barred::Ended => Self::Ended,
            Barred::Removed => Self::Removed,
            Barred::Absent => Self::Absent,
            Barred::ConsentRequired(_) => Self::ConsentRequired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_refuses_by_the_same_words() {
        for code in RefusalCode::ALL {
            assert_eq!(ErrorCode::from(code).as_str(), code.as_str());
        }
    }
}
