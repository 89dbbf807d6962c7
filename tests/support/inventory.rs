//! The inventory beside the bucket: what the one says and the other has.

use super::{eventually, s3::Bucket};
use std::{collections::BTreeSet, time::Duration};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Keys of the bucket but for what no inventory has: the ledger's, the mark, and probes, which a
/// kill may leave behind.
pub async fn listed(bucket: &Bucket) -> BTreeSet<String> {
    let listed = bucket.objects.list("", 10_000).await.expect("lists");
    let keys = listed.into_iter().map(|object| object.key);
    let without_rows = ["ledger/", "deployment/", "probe/"];
    keys.filter(|key| !without_rows.iter().any(|other| key.starts_with(other)))
        .collect()
}

/// Keys of the inventory in these states.
pub async fn rows(database: &str, states: &[&str]) -> BTreeSet<String> {
    let mut sql = hansard::store::owner(database)
        .await
        .expect("Postgres answers");
    let keys: Vec<String> = sqlx::query_scalar("select key from objects where state = any($1)")
        .bind(states)
        .fetch_all(&mut sql)
        .await
        .expect("it may look");
    keys.into_iter().collect()
}

/// Asserts that the inventory has every object of the bucket, and waits until every object that it
/// has as stored is there, and the bucket has nothing else than `planned` says may be there.
pub async fn agrees(bucket: &Bucket, database: &str) {
    // What is in the bucket was noted before, so it is read first.
    let there = listed(bucket).await;
    let known = rows(database, &["planned", "stored", "going", "deleted"]).await;
    let unknown: Vec<_> = there.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the inventory: {unknown:?}");
    eventually("the bucket is as the inventory says", SOON, async || {
        let may_be = rows(database, &["planned", "stored", "going"]).await;
        let there = listed(bucket).await;
        let stored = rows(database, &["stored"]).await;
        stored.is_subset(&there) && there.is_subset(&may_be)
    })
    .await;
}
