//! What comes to a meeting from outside the process, before it runs and while it does.

use crate::{
    capture::head_watch::{News, Watched},
    domain::lease::LeaseState,
    queue::{Responder, Serving, message::Ask},
    worker::Claimed,
};

/// The claim of a meeting, what is asked of it, and its head.
pub struct Outside {
    pub claimed: Claimed,
    pub serving: Serving,
    pub watched: Watched,
}

pub enum OutsideEvent {
    /// The process stops.
    Stop,
    /// Another worker may have the meeting.
    LeaseLost,
    /// The queue asks nothing of it any more.
    Unserved,
    Ask(Ask, Responder),
    /// The head was polled, and is another than before.
    Head(News),
}

impl Outside {
    /// Waits for the next one. May be dropped while it waits; nothing is lost by that.
    pub async fn next(&mut self) -> OutsideEvent {
        loop {
            tokio::select! {
                biased;
                () = self.claimed.stop.cancelled() => return OutsideEvent::Stop,
                Ok(()) = self.claimed.lease.changed() => {
                    if *self.claimed.lease.borrow_and_update() == LeaseState::Lost {
                        return OutsideEvent::LeaseLost;
                    }
                }
                ask = self.serving.recv() => {
                    return ask.map_or(OutsideEvent::Unserved, |(ask, responder)| OutsideEvent::Ask(ask, responder));
                }
                Ok(()) = self.watched.news.changed() => {
                    return OutsideEvent::Head(self.watched.news.borrow_and_update().clone());
                }
            }
        }
    }
}
