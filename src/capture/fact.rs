//! What tasks beside a meeting's loop tell it.

use super::{
    peer::{Negotiated, Offered},
    port::Found,
    read::MeetingRead,
};
use crate::{
    domain::id::ConsentId,
    queue::{Responder, message::Reply},
    store::stream::Stream,
};
use tokio::sync::oneshot;

/// What tasks started by the loop answer.
pub enum Fact {
    /// Read from the store; `None`: it could not be read, try again at the next poll.
    Read(Option<MeetingRead>),
    /// A stream's participant is present, its row and a port are here: open it.
    Open(Result<Box<(Stream, Found)>, Reply>, Responder),
    /// A stream has no port but that of the stream whose place it takes.
    MakeRoom(Box<Stream>, oneshot::Sender<()>),
    /// What came of a participant's offer.
    Negotiated(Box<Offered>, Result<Box<Negotiated>, Reply>, Responder),
    /// A withdrawal is (or is not) on disk.
    Journalled(bool, Responder),
    /// A withdrawal had been said before, under another id: what the log says up to `head` stands.
    SaidBefore { id: ConsentId, head: i64 },
}
