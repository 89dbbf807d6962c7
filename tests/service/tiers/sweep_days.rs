//! The sweep as days go by: old versions, and the loop of a worker.

use super::sweep::{FOREIGN, HOW, Yard};
use crate::{rest::keep_versions, support::eventually};
use chrono::{DateTime, Utc};
use hansard::{
    domain::{
        sweep::{MARK, SweepHold},
        tiering::Tier,
    },
    health::{self, Reason},
    jobs::sweep::{Sweep, SweepMode},
};
use std::{cell::Cell, collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// What is left where a bucket keeps versions and somebody deleted an object without them.
#[tokio::test]
async fn old_versions_without_an_object_go_by_the_same_rules() {
    let yard = Yard::start().await;
    keep_versions(&yard.world.bucket).await;
    let client = yard.world.bucket.client();
    let versions = async || -> BTreeSet<String> {
        let listed = client.list_object_versions().bucket("hansard").send().await;
        let listed = listed.expect("it answers");
        let versions = listed.versions().iter().map(|one| one.key());
        let markers = listed.delete_markers().iter().map(|one| one.key());
        versions
            .chain(markers)
            .flatten()
            .map(str::to_owned)
            .collect()
    };
    let hide = async |key: &str| {
        let delete = client.delete_object().bucket("hansard").key(key);
        let hidden = delete.send().await.expect("it answers");
        assert_eq!(hidden.delete_marker(), Some(true));
    };
    let hidden = yard.lost().await;
    yard.put(&hidden, "another").await;
    let foreign = FOREIGN.to_owned();
    yard.put(&foreign, "somebody's").await;
    let known = yard.world.file(yard.meeting, vec![5; 30]).await.key;
    let changed = yard.world.file(yard.meeting, vec![6; 30]).await.key;
    yard.put(&changed, "is not old").await;
    for key in [&hidden, &foreign, &known] {
        hide(key).await;
    }
    let report = yard.run(HOW).await;
    assert_eq!(
        (report.unknown, report.unknown_bytes, report.due),
        (1, 11, 0)
    );
    yard.pass(23);
    assert_eq!(yard.run(HOW).await.deleted, 0);
    assert!(versions().await.contains(&hidden));
    yard.pass(1);
    let few = SweepMode {
        any_number: false,
        ..HOW
    };
    assert_eq!(yard.run(few).await.held, Some(SweepHold::TooMany));
    let report = yard.run(HOW).await;
    assert_eq!((report.due, report.deleted), (1, 1));
    let left = versions().await;
    assert!(!left.contains(&hidden), "{left:?}");
    for key in [&foreign, &known, &changed, &yard.made.key] {
        assert!(left.contains(key), "{key}");
    }
    assert_eq!(yard.run(HOW).await.unknown, 0);
}

/// The loop that a worker runs, with nothing but time passing.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sweeps_by_itself_from_day_to_day() {
    let yard = Yard::start().await;
    for _ in 0..99 {
        yard.world.file(yard.meeting, vec![1; 9]).await;
    }
    let lost = yard.lost().await;
    let sweep = Sweep {
        store: yard.sweep.store.clone(),
        objects: yard.sweep.objects.clone(),
        clock: yard.sweep.clock.clone(),
    };
    let (ledger, stop) = (
        yard.world.app.state.ledger.clone(),
        CancellationToken::new(),
    );
    let look = Duration::from_millis(20);
    let sweeping = tokio::spawn(sweep.keep_sweeping(look, ledger, stop.clone()));
    let last = async || -> (Option<DateTime<Utc>>, Option<String>) {
        sqlx::query_as("select swept_at, held from deployment")
            .fetch_one(&mut yard.world.app.sql().await)
            .await
            .expect("Postgres answers")
    };
    // What other tests say of this process's health may hold one up: the next is six hours later, and
    // not before they are through, as days would pass so, too.
    let swept = async |before: Option<DateTime<Utc>>| {
        let before = Cell::new(before);
        eventually("it is swept", SOON, async || {
            let (at, held) = last().await;
            let is_swept = at > before.get();
            if is_swept && held.is_some() && !health::process().is_degraded(Reason::Ledger) {
                before.set(at);
                yard.pass(7);
            }
            is_swept && held.is_none()
        })
        .await;
        last().await.0
    };
    let first = swept(None).await;
    assert!(yard.has(&lost).await && yard.has(MARK).await);
    yard.pass(24);
    let later = yard.lost().await;
    yard.pass(1);
    let second = swept(first).await;
    eventually("what was seen twice goes", SOON, async || {
        !yard.has(&lost).await
    })
    .await;
    assert!(yard.has(&later).await, "it was seen once");
    yard.pass(25);
    let third = swept(second).await;
    eventually("what was seen later goes", SOON, async || {
        !yard.has(&later).await
    })
    .await;
    stop.cancel();
    sweeping.await.expect("it ends");
    yard.world.is_in(&yard.made, Tier::Hot).await;
    assert_eq!(last().await.0, third, "once a day");
}
