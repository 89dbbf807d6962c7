//! Writes to one socket, in order, with pings between, until its close.

use super::outbox::{Out, Outbox};
use crate::domain::close_code::Close;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, stream::SplitSink};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How often the server pings.
const PING_EVERY: Duration = Duration::from_secs(10);
/// The longest that one message may take to leave, while a socket is answered or replayed to.
pub(super) const WRITE_MAX: Duration = Duration::from_secs(15);
/// From the close frame to dropping the connection: time for the client to read it.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// Writes what comes first in person, then what the outbox holds, with pings between, until the
/// close.
pub(super) async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut firsts: mpsc::Receiver<Utf8Bytes>,
    outbox: Arc<Outbox>,
) {
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut in_person = true;
    let mut ending = false;
    let close = loop {
        let (message, bytes) = tokio::select! {
            biased;
            text = firsts.recv(), if in_person => match text {
                Some(text) => (Message::Text(text), 0),
                None => {
                    in_person = false;
                    continue;
                }
            },
            close = outbox.closed(), if in_person && !ending => match close {
                // Not another word.
                Close::TooSlow | Close::Replaced | Close::NotAllowed => break close,
                Close::Draining => {
                    in_person = false;
                    continue;
                }
                // The replay is told to its end.
                _ => {
                    ending = true;
                    continue;
                }
            },
            out = outbox.next(), if !in_person => match out {
                Out::Text(text) => {
                    let bytes = text.as_str().len();
                    (Message::Text(text), bytes)
                }
                Out::Close(close) => break close,
            },
            _ = ping.tick() => (Message::Ping(Vec::new().into()), 0),
        };
        // A full outbox ends the wait for a client that does not read.
        let sent = tokio::select! {
            sent = send(&mut sink, message) => sent,
            () = too_slow(&outbox) => false,
        };
        outbox.written(bytes);
        if !sent {
            outbox.close(Close::TooSlow);
            break Close::TooSlow;
        }
    };
    let frame = CloseFrame {
        code: close.code(),
        reason: close.reason().into(),
    };
    let _ = tokio::time::timeout(LINGER, sink.send(Message::Close(Some(frame)))).await;
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> bool {
    matches!(
        tokio::time::timeout(WRITE_MAX, sink.send(message)).await,
        Ok(Ok(()))
    )
}

async fn too_slow(outbox: &Outbox) {
    if outbox.closed().await != Close::TooSlow {
        std::future::pending().await
    }
}
