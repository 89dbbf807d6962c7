//! What a meeting keeps of a stream that is being received, whichever way it comes.

use super::{Counts, Seen};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A stream being received. Dropped, it is no longer heard, and a port of its own rests
/// ([`super::Ports`]).
#[derive(Debug)]
pub struct Stream {
    counts: Arc<Counts>,
    seen: Arc<Mutex<Seen>>,
    handed_over: Arc<AtomicBool>,
    _close: DropGuard,
}

/// The side of whoever receives it.
#[derive(Debug)]
pub(super) struct Open {
    pub counts: Arc<Counts>,
    pub seen: Arc<Mutex<Seen>>,
    pub handed_over: Arc<AtomicBool>,
    /// Nobody wants it any more.
    pub closed: CancellationToken,
}

impl Stream {
    /// `seen`: what is known of its sender from before.
    pub(super) fn new(seen: Seen) -> (Self, Open) {
        let closed = CancellationToken::new();
        let open = Open {
            counts: Arc::default(),
            seen: Arc::new(Mutex::new(seen)),
            handed_over: Arc::default(),
            closed: closed.clone(),
        };
        let stream = Self {
            counts: open.counts.clone(),
            seen: open.seen.clone(),
            handed_over: open.handed_over.clone(),
            _close: closed.drop_guard(),
        };
        (stream, open)
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock()
    }

    /// Dropped after this, its port is closed at once, for another process that goes on with the
    /// stream on the same one.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Relaxed);
    }
}
