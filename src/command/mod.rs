//! What callers do to a meeting, whichever way they ask: one file per verb, free of HTTP and
//! sockets.
//!
//! A command works on a connection inside its caller's transaction and returns its value and its
//! [`Effects`](crate::store::effect::Effects). The caller (REST, signaling, the running meeting)
//! checks who asks, fences or begins idempotency, commits, and hands the effects to
//! [`publish`](crate::published::publish). What waits stays outside: hashing a password, a worker's
//! answer. Consent alone has an effect before the commit: [`consent::receipt`].
//!
//! Everything here may run twice, and locks the meeting's head first.

pub mod close_stream;
pub mod consent;
pub mod correct;
pub mod delete;
pub mod end;
pub mod hold;
pub mod join;
pub mod leave;
pub mod mix;
pub mod mute;
pub mod open_stream;
pub mod peaks;
pub mod readmit;
pub mod redact;
pub mod remove;
pub mod restore;
pub mod retry;
pub mod tenant;
pub mod translate;

use crate::{
    domain::admission::Barred,
    store::{StoreError, hold::Hold},
};

/// Why a command did nothing. Its transaction is to be rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("admission is refused: {0:?}")]
    Barred(Barred),
    #[error("a guest who came by this link was removed")]
    LinkClosed,
    #[error("there is no such participant in this meeting")]
    NoParticipant,
    #[error("a stream of this meeting has this SSRC")]
    SsrcTaken,
    #[error("the meeting is live")]
    Live,
    #[error("the meeting has not begun")]
    NotBegun,
    #[error("the meeting is held: {}", .0.reason)]
    Held(Hold),
    #[error("something of the meeting is being deleted or redacted")]
    Deleting,
    #[error("the meeting ended too long ago")]
    TooLate,
    #[error("no mix is made: {0}")]
    NoMix(&'static str),
}

impl From<Barred> for Refused {
    fn from(barred: Barred) -> Self {
        Self::Barred(barred)
    }
}
