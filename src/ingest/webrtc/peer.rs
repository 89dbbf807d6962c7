//! A peer connection as the meeting has it: offers and answers go to the task that owns its state.

use super::receiver::Receiver;
use crate::{domain::codec::Codec, ingest::OpenError};
use std::collections::BTreeMap;
use str0m::media::Mid;
use tokio::sync::{mpsc, oneshot};

const COMMANDS_MAX: usize = 64;

/// A peer connection. It is over when the last clone is dropped, when the other side closes it, or
/// when it fails.
#[derive(Clone, Debug)]
pub struct Peer {
    commands: mpsc::Sender<Command>,
}

/// What is said to an offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub sdp: String,
    /// What is taken in each section, by its `mid`, and its payload type: Opus, VP8, or H264. Where
    /// the other side has none of them, a section is missing.
    pub codecs: BTreeMap<String, (Codec, u8)>,
}

/// Why an offer has no answer, or an answer is not taken. Where nothing else is said, the
/// connection is over then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Description(String),
    #[error("the peer connection is over")]
    Over,
    /// It met an offer of ours, which is told again. The connection stands.
    #[error("it met an offer of the server's: roll yours back, answer that one, and offer again")]
    Glare,
    /// An answer to no offer, or to another. The connection stands.
    #[error("the server has no such offer open")]
    Stale,
}

/// What the meeting wants of the task.
pub(super) enum Command {
    Offer {
        sdp: String,
        reply: oneshot::Sender<Result<Answer, Refused>>,
    },
    Answer {
        id: String,
        sdp: String,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Receive(Box<Receiver>),
    /// Somebody waits for a key frame of this section.
    KeyFrame(Mid),
}

impl Peer {
    /// With what comes to its task.
    pub(super) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (commands, to_task) = mpsc::channel(COMMANDS_MAX);
        (Self { commands }, to_task)
    }

    /// Answers an offer that [`crate::domain::negotiation`] has read: the first, or one that
    /// changes the connection.
    pub async fn offer(&self, sdp: String) -> Result<Answer, Refused> {
        let (reply, answer) = oneshot::channel();
        let offer = Command::Offer { sdp, reply };
        self.commands.send(offer).await.map_err(|_| Refused::Over)?;
        answer.await.unwrap_or(Err(Refused::Over))
    }

    /// Takes the answer to an offer of ours.
    pub async fn answer(&self, id: String, sdp: String) -> Result<(), Refused> {
        let (reply, taken) = oneshot::channel();
        let answer = Command::Answer { id, sdp, reply };
        self.commands
            .send(answer)
            .await
            .map_err(|_| Refused::Over)?;
        taken.await.unwrap_or(Err(Refused::Over))
    }

    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Asks for key frames of a section, for as long as the connection is kept otherwise.
    pub(super) fn key_frames(&self, mid: Mid) -> impl Fn() + Send + Sync + use<> {
        let commands = self.commands.downgrade();
        move || {
            if let Some(commands) = commands.upgrade() {
                // Without room it is asked for again: who waits for one does so until it comes.
                let _ = commands.try_send(Command::KeyFrame(mid));
            }
        }
    }

    pub(super) fn receive(&self, receiver: Receiver) -> Result<(), OpenError> {
        self.commands
            .try_send(Command::Receive(Box::new(receiver)))
            .map_err(|_| OpenError::Peer)
    }
}
