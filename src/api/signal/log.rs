//! What one socket said about consent and waits for the log, in the order in which it was said.
//! Declining and withdrawing always find a place, and whatever waits before them is given up when
//! it keeps them too long: with the database away a grant waits for seconds and is refused in the
//! end.

use crate::{api::acting::Acting, store::consent::ConsentDecision};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Grants that may wait, per socket.
const GRANTS_MAX: usize = 64;
/// Refusals that may wait before the socket is read no further: each acts already, and takes some
/// seconds at most.
const REFUSALS_MAX: usize = 256;
/// How long a refusal waits for the grants before it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Something said, with the request that it answers.
pub(super) struct Waiting {
    pub re: Option<Value>,
    pub decision: ConsentDecision,
    /// The refusal acts already.
    pub acting: Option<Acting>,
    since: Instant,
}

impl Waiting {
    fn refuses(&self) -> bool {
        !self.decision.status.accepts()
    }
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    refusals: usize,
    closed: bool,
}

#[derive(Default)]
pub(super) struct Log {
    line: Mutex<Line>,
    changed: Notify,
}

impl Log {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock()
    }

    /// Whether the grant found a place.
    pub fn grant(&self, re: Option<Value>, decision: ConsentDecision) -> bool {
        let mut line = self.line();
        if line.waiting.len() - line.refusals >= GRANTS_MAX {
            return false;
        }
        line.waiting.push_back(Waiting {
            re,
            decision,
            acting: None,
            since: Instant::now(),
        });
        drop(line);
        self.changed.notify_waiters();
        true
    }

    /// Waits only behind very many refusals. It acts already, whatever else waits.
    pub async fn refuse(&self, re: Option<Value>, decision: ConsentDecision, acting: Acting) {
        self.until(|line| (line.refusals < REFUSALS_MAX).then_some(()))
            .await;
        let mut line = self.line();
        line.refusals += 1;
        line.waiting.push_back(Waiting {
            re,
            decision,
            acting: Some(acting),
            since: Instant::now(),
        });
        drop(line);
        self.changed.notify_waiters();
    }

    /// What comes next; `None` once the socket is gone and nothing waits.
    pub async fn next(&self) -> Option<Waiting> {
        let next = self
            .until(|line| match line.waiting.pop_front() {
                None => line.closed.then_some(None),
                Some(next) => {
                    line.refusals -= usize::from(next.refuses());
                    Some(Some(next))
                }
            })
            .await;
        self.changed.notify_waiters();
        next
    }

    /// When a refusal has waited long enough for what was said before it.
    pub async fn is_kept_waiting(&self) {
        let first = |line: &mut Line| {
            line.waiting
                .iter()
                .find(|waiting| waiting.refuses())
                .map(|one| one.since)
        };
        let since = self.until(first).await;
        tokio::time::sleep_until((since + PATIENCE).into()).await;
    }

    /// Takes the grants out that stand before the first refusal.
    pub fn grants_before_a_refusal(&self) -> Vec<Waiting> {
        let mut line = self.line();
        let before = line.waiting.iter().position(Waiting::refuses).unwrap_or(0);
        line.waiting.drain(..before).collect()
    }

    /// The socket is gone; what waits is written all the same.
    pub fn close(&self) {
        self.line().closed = true;
        self.changed.notify_waiters();
    }

    async fn until<T>(&self, mut found: impl FnMut(&mut Line) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = found(&mut self.line());
            if let Some(found) = now {
                return found;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        consent::{ConsentStatus, ConsentType},
        id::{ConsentId, MeetingId, ParticipantId},
    };
    use uuid::Uuid;

    fn decision(status: ConsentStatus) -> ConsentDecision {
        ConsentDecision {
            meeting: MeetingId(Uuid::nil()),
            participant: ParticipantId(Uuid::nil()),
            id: ConsentId(Uuid::now_v7()),
            consent_type: ConsentType::Recording,
            status,
            actor: "self".into(),
            statement: None,
            timestamp: chrono::Utc::now(),
            once: None,
        }
    }

    #[tokio::test]
    async fn a_refusal_has_a_place_behind_a_full_line_and_is_not_kept_waiting() {
        let log = Log::default();
        for _ in 0..GRANTS_MAX {
            assert!(log.grant(None, decision(ConsentStatus::Accepted)));
        }
        assert!(
            !log.grant(None, decision(ConsentStatus::Accepted)),
            "there is no more room"
        );
        let mut kept = Box::pin(log.is_kept_waiting());
        assert!(
            tokio::time::timeout(PATIENCE / 10, &mut kept)
                .await
                .is_err(),
            "grants alone wait as long as they must"
        );
        for status in [ConsentStatus::Withdrawn, ConsentStatus::Declined] {
            log.refuse(None, decision(status), Acting::begun()).await;
        }
        kept.await;
        assert_eq!(log.grants_before_a_refusal().len(), GRANTS_MAX);
        assert!(
            log.grant(None, decision(ConsentStatus::Accepted)),
            "the room is theirs again"
        );
        for status in [
            ConsentStatus::Withdrawn,
            ConsentStatus::Declined,
            ConsentStatus::Accepted,
        ] {
            assert_eq!(
                log.next().await.map(|next| next.decision.status),
                Some(status)
            );
        }
        log.close();
        assert!(log.next().await.is_none());
    }
}
