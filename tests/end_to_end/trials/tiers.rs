//! Moves between storage tiers in the running product: processes that die, a store that is away.

use super::support::{
    eventually, number,
    old_files::{Free, OldFiles},
    place::Place,
    postgres,
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use hansard::domain::tiering::Tier;
use std::time::Duration;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(120);
/// To the tiers warm and cold.
const AGES: [i32; 2] = [31, 60];

/// Asserts that the bucket has each file once, whole, and in the class of the tier.
async fn are_whole(place: &Place, old: &OldFiles, tier: Tier) {
    for (key, content) in &old.files {
        let head = place.bucket.objects.head(key).await.expect("it answers");
        assert_eq!(head.expect("it is there").class, tier.class(), "{key}");
        let read = place.bucket.objects.get_bytes(key).await;
        assert!(read.expect("it can be read") == *content, "{key}");
    }
    let client = place.bucket.client();
    let listed = client.list_object_versions().bucket("hansard");
    let listed = listed.prefix("recordings/").send().await;
    let listed = listed.expect("it answers");
    let (versions, markers) = (listed.versions().len(), listed.delete_markers().len());
    assert_eq!((versions, markers), (old.files.len(), 0));
}

/// Killed again and again while files move, at moments that nobody chose: each gets where it
/// belongs, by itself, and nothing else is left of it. `HANSARD_KILLS` says how often.
#[tokio::test(flavor = "multi_thread")]
async fn moves_outlive_kills_at_any_moment() {
    let kills = number("HANSARD_KILLS", 4);
    let place = Place::new().await;
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let client = place.bucket.client();
    let put = client.put_bucket_versioning().bucket("hansard");
    let put = put.versioning_configuration(enabled).send().await;
    put.expect("it keeps versions");
    let database = postgres::database().await;
    let free = Free::new(&database);
    let mut server = free.serve(&place);
    let size = (2, 40, 2_000);
    let old = OldFiles::make(&place, &database, &server.client(), size).await;
    // So that a kill is in the middle of something.
    place.faults.delay(Duration::from_millis(150));
    let (mut ages, mut in_between) = (AGES.into_iter(), 0);
    for n in 0..kills {
        if n * AGES.len() as u32 % kills < AGES.len() as u32 {
            old.age(ages.next().unwrap_or(0)).await;
            eventually("a move has begun", SOON, async || old.tiers().await.1 > 0).await;
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1_500))).await;
        server.kill();
        in_between += u32::from(old.tiers().await.1 > 0);
        server = free.serve(&place);
    }
    println!("{in_between} of {kills} kills left moves that had begun");
    place.faults.delay(Duration::ZERO);
    for days in ages.chain([0]) {
        old.age(days).await;
    }
    eventually("all are cold", SOON, async || {
        old.are_all_in(Tier::Cold).await
    })
    .await;
    are_whole(&place, &old, Tier::Cold).await;
    assert!(in_between > 0, "no kill was in the middle of a move");
    server.terminate();
}

/// The store goes away in the middle of moves and comes back: they go on by themselves.
/// `HANSARD_AWAY_SECONDS` says for how long.
#[tokio::test(flavor = "multi_thread")]
async fn moves_wait_for_a_store_that_goes_away() {
    let away = number("HANSARD_AWAY_SECONDS", 8);
    let place = Place::new().await;
    let database = postgres::database().await;
    let free = Free::new(&database);
    let server = free.serve(&place);
    let size = (2, 40, 2_000);
    let old = OldFiles::make(&place, &database, &server.client(), size).await;
    place.faults.delay(Duration::from_millis(300));
    old.age(AGES[0]).await;
    eventually("some have moved", SOON, async || {
        old.tiers().await.0.contains_key("warm")
    })
    .await;
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(away.into())).await;
    let (tiers, _) = old.tiers().await;
    assert!(tiers.contains_key("hot"), "all moved before: {tiers:?}");
    place.faults.delay(Duration::ZERO);
    place.faults.heal();
    eventually("all are warm", SOON, async || {
        old.are_all_in(Tier::Warm).await
    })
    .await;
    are_whole(&place, &old, Tier::Warm).await;
    server.terminate();
}
