//! What waits to be written to one socket: bounded in bytes, filled by the room, emptied by the
//! socket's writer.

use crate::domain::{close_code::Close, id::ConsentId};
use axum::extract::ws::Utf8Bytes;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use tokio::sync::Notify;

/// A socket with more than this waiting is too slow, in bytes.
pub const QUEUED_BYTES_MAX: usize = 256 * 1024;
/// With more than this waiting, what may be skipped (partials) is skipped, in bytes.
const LAGS_BYTES: usize = 64 * 1024;
/// Requests of one socket that wait for the event that answers them: whatever may wait for the log,
/// and some that are told already.
const EXPECTED_MAX: usize = 512;

/// The next thing for the writer.
#[derive(Clone, PartialEq, Debug)]
pub enum Out {
    /// To be followed by [`Outbox::written`].
    Text(Utf8Bytes),
    Close(Close),
}

#[derive(Default)]
struct State {
    queue: VecDeque<Utf8Bytes>,
    /// In the queue and in the writer's hands.
    bytes: usize,
    closing: Option<Close>,
    expecting: HashMap<ConsentId, Value>,
}

#[derive(Default)]
pub struct Outbox {
    state: Mutex<State>,
    ready: Notify,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What must arrive, or the socket is closed as too slow.
    pub fn push(&self, text: Utf8Bytes) {
        let mut state = self.state();
        if state.closing.is_some() {
            return;
        }
        let length = text.as_str().len();
        if state.bytes + length > QUEUED_BYTES_MAX {
            state.queue.clear();
            state.closing = Some(Close::TooSlow);
        } else {
            state.bytes += length;
            state.queue.push_back(text);
        }
        drop(state);
        self.ready.notify_waiters();
    }

    /// What a socket that lags does without: a later revision says it again.
    pub fn push_skippable(&self, text: Utf8Bytes) {
        if self.state().bytes < LAGS_BYTES {
            self.push(text);
        } else {
            metrics::counter!("hansard_signal_partials_skipped_total").increment(1);
        }
    }

    /// Ends the socket after what is queued. The first reason stays.
    pub fn close(&self, close: Close) {
        self.state().closing.get_or_insert(close);
        self.ready.notify_waiters();
    }

    pub fn closing(&self) -> Option<Close> {
        self.state().closing
    }

    /// Waits until somebody wants this socket closed.
    pub async fn closed(&self) -> Close {
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            if let Some(close) = self.closing() {
                return close;
            }
            ready.await;
        }
    }

    /// The next text in order, then the close. Safe to cancel: nothing is taken before it is
    /// returned.
    pub async fn next(&self) -> Out {
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(text) = state.queue.pop_front() {
                    return Out::Text(text);
                }
                if let Some(close) = state.closing {
                    return Out::Close(close);
                }
            }
            ready.await;
        }
    }

    /// The writer handed so much to the network.
    pub fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// The `consent_updated` of this id answers the request `re` of this socket. `false` when too
    /// many wait.
    pub fn expect(&self, id: ConsentId, re: Value) -> bool {
        let mut state = self.state();
        if state.expecting.len() >= EXPECTED_MAX {
            return false;
        }
        state.expecting.insert(id, re);
        true
    }

    /// Takes the request that this id answers, once.
    pub fn expected(&self, id: ConsentId) -> Option<Value> {
        self.state().expecting.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(bytes: usize) -> Utf8Bytes {
        "x".repeat(bytes).into()
    }

    #[tokio::test]
    async fn gives_all_in_order_and_then_the_close() {
        let outbox = Outbox::default();
        outbox.push("a".to_owned().into());
        outbox.push("b".to_owned().into());
        outbox.close(Close::Ended);
        outbox.close(Close::Draining);
        outbox.push("late".to_owned().into());
        assert_eq!(outbox.next().await, Out::Text("a".to_owned().into()));
        assert_eq!(outbox.next().await, Out::Text("b".to_owned().into()));
        assert_eq!(outbox.next().await, Out::Close(Close::Ended));
        assert_eq!(outbox.closed().await, Close::Ended);
    }

    #[tokio::test]
    async fn a_slow_socket_skips_partials_and_is_closed_when_full() {
        let outbox = Outbox::default();
        outbox.push(text(LAGS_BYTES));
        outbox.push_skippable(text(1));
        outbox.push(text(QUEUED_BYTES_MAX - LAGS_BYTES));
        assert_eq!(outbox.closing(), None);
        // In the writer's hands it still counts.
        assert_eq!(outbox.next().await, Out::Text(text(LAGS_BYTES)));
        outbox.push(text(1));
        assert_eq!(outbox.next().await, Out::Close(Close::TooSlow));
    }

    #[tokio::test]
    async fn what_was_written_makes_room() {
        let outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(text(QUEUED_BYTES_MAX));
            let Out::Text(taken) = outbox.next().await else {
                panic!("closed")
            };
            outbox.written(taken.as_str().len());
        }
        assert_eq!(outbox.closing(), None);
    }

    #[test]
    fn an_answer_is_given_once() {
        let outbox = Outbox::default();
        let id = ConsentId(uuid::Uuid::from_u128(1));
        assert!(outbox.expect(id, json!("r1")));
        assert_eq!(outbox.expected(id), Some(json!("r1")));
        assert_eq!(outbox.expected(id), None);
    }
}
