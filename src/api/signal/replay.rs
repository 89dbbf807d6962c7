//! What a socket hears first: the answer to `join_room`, then the events that it asked for.

use super::{Signal, join::Joined, message, outbox::Outbox, writer::WRITE_MAX};
use crate::{
    domain::{
        close_code::Close,
        id::{MeetingId, ParticipantId, TenantId},
        participant,
    },
    store::event::{self, READ_MAX, StoredEvent},
};
use axum::extract::ws::Utf8Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

impl Signal {
    /// Answers, tells the events that the client asked for, and gives the writer over to the room.
    pub(super) async fn replay(
        self,
        of: ReplayOf,
        answer: Utf8Bytes,
        first: mpsc::Sender<Utf8Bytes>,
        outbox: Arc<Outbox>,
    ) {
        if first.send(answer).await.is_err() {
            return;
        }
        let mut after = of.after;
        while after < of.until {
            let page = async {
                let mut tx = self.state().store.tenant_tx(of.tenant).await?;
                event::after(&mut tx, of.meeting, after, READ_MAX.min(of.until - after)).await
            };
            let events = match tokio::time::timeout(WRITE_MAX, page).await {
                Ok(Ok(events)) if !events.is_empty() => events,
                // With a hole it must not go on; the client comes again with its last seq.
                _ => {
                    outbox.close(Close::Unread);
                    return;
                }
            };
            for StoredEvent {
                seq,
                kind,
                at,
                data,
            } in events
            {
                after = seq;
                let data = participant::seen_by(of.seen_as, data);
                if first
                    .send(message::envelope(
                        kind.as_str(),
                        None,
                        Some((seq, at)),
                        &data,
                    ))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
        if of.over {
            drop(first);
            outbox.close(Close::Ended);
        }
    }
}

/// What to replay.
pub(super) struct ReplayOf {
    tenant: TenantId,
    meeting: MeetingId,
    seen_as: Option<ParticipantId>,
    after: i64,
    until: i64,
    over: bool,
}

impl ReplayOf {
    pub(super) fn new(joined: &Joined) -> Self {
        let Joined {
            tenant,
            meeting,
            seen_as,
            replay_after: after,
            seq: until,
            over,
            ..
        } = *joined;
        Self {
            tenant,
            meeting,
            seen_as,
            after,
            until,
            over,
        }
    }
}
