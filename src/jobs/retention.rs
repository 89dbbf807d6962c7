//! Deletes what is kept no longer, once a minute, as anybody who asks for it would: through the
//! ledger, by the job that deletes.

use crate::{
    clock::Clock,
    command::{Refused, delete::Target},
    domain::{
        id::{MeetingId, TenantId},
        retention::AUTHOR,
    },
    ledger::{self, Ledger},
    published,
    queue::Queue,
    store::{Store, deletion::Asked, event, retention},
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, info_span, warn};
use uuid::Uuid;

const PERIOD: Duration = Duration::from_secs(60);
/// Meetings that are read at a time.
const PAGE: i64 = 200;

/// Asks for the deletion of what is due. Answers of how many meetings. Several processes may do so
/// at once.
pub async fn expire_due(
    ledger: &Ledger,
    store: &Store,
    queue: &Queue,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    if !ledger.is_current() {
        // A hold may be among what is missing.
        return Ok(0);
    }
    let (mut after, mut expired) = (MeetingId(Uuid::nil()), 0);
    loop {
        let mut tx = store.worker_tx().await?;
        let due = retention::due(&mut tx, now, after, PAGE).await?;
        tx.commit().await?;
        let Some((_, last)) = due.last() else {
            return Ok(expired);
        };
        after = *last;
        for (tenant, meeting) in due {
            // One meeting keeps no other waiting.
            match expire(ledger, store, queue, tenant, meeting, now).await {
                Ok(true) => expired += 1,
                Ok(false) => {}
                Err(error) => info_span!("meeting", id = %meeting).in_scope(|| {
                    let error = format!("{error:#}");
                    warn!(error, "what is due of the meeting is deleted later");
                }),
            }
        }
    }
}

async fn expire(
    ledger: &Ledger,
    store: &Store,
    queue: &Queue,
    tenant: TenantId,
    meeting: MeetingId,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let mut tx = store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let kept = retention::kept(&mut tx, meeting).await?;
    let Some(kept) = kept.filter(|kept| kept.is_due(now)) else {
        return Ok(false);
    };
    let asked = Asked {
        author: AUTHOR.to_owned(),
        reason: Some(kept.reason()),
        at: now,
        ledger: None,
    };
    let asked = ledger
        .delete(&mut tx, tenant, meeting, Target::Recorded, asked)
        .await;
    let effects = match asked {
        Ok(effects) => effects,
        Err(ledger::Refused::Behind) => {
            tx.rollback().await?;
            ledger.catch_up(tenant, false).await?;
            return Ok(false);
        }
        Err(ledger::Refused::Command(Refused::Held(_) | Refused::Live)) => return Ok(false),
        Err(error) => {
            ledger.look_soon();
            return Err(error.into());
        }
    };
    // Also where nothing was left.
    retention::finish(&mut tx, meeting).await?;
    super::commit_told(ledger, tx).await?;
    metrics::counter!("hansard_meetings_expired_total").increment(1);
    published::publish(queue, None, meeting, effects);
    Ok(true)
}

/// Does so for as long as the process runs.
pub async fn keep_expiring(
    ledger: Ledger,
    store: Store,
    queue: Queue,
    clock: Clock,
    stop: CancellationToken,
) {
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        match expire_due(&ledger, &store, &queue, clock.now()).await {
            Ok(0) => {}
            Ok(meetings) => info!(meetings, "what was kept long enough is deleted"),
            // Without Postgres nothing is known, and that is told elsewhere.
            Err(error) => debug!(
                error = format!("{error:#}"),
                "cannot look for what is due now"
            ),
        }
    }
}
