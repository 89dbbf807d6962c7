//! The inventory of objects, from outside: what it says and what the bucket has, with processes
//! that die in between.

use super::support::{
    eventually,
    inventory::{agrees, listed, rows},
    place::Place,
    tone_meeting::ToneMeeting,
};
use std::time::Duration;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// A whole meeting whose server is killed while it stores: no object is ever in the bucket without
/// its row, and at the end each row says what is there.
#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_in_the_inventory_whoever_dies() {
    let place = Place::new().await;
    // Uploads take their time, so that some are on their way when it ends.
    place.faults.delay(Duration::from_millis(300));
    let server = place.serve(&[]);
    let mut tones = ToneMeeting::begin(&server.client(), 2).await;
    eventually("segments are stored", SOON, async || {
        listed(&place.bucket).await.len() >= 4
    })
    .await;
    agrees(&place.bucket, &place.database()).await;
    server.kill();
    let died_with = listed(&place.bucket).await;
    let server = place.serve(&[]);
    let client = server.client();
    let known = rows(
        &place.database(),
        &["planned", "stored", "going", "deleted"],
    )
    .await;
    assert!(died_with.is_subset(&known), "{died_with:?} {known:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    tones.end(&client).await;
    tones.files(&client, SOON).await;
    // The segments go, and with them what died on its way; tracks, the mix and their peaks stay.
    eventually("the segments are deleted", SOON, async || {
        let stored = rows(&place.database(), &["stored", "planned"]).await;
        stored.len() == 6 && stored.iter().all(|key| key.starts_with("recordings/"))
    })
    .await;
    eventually("the bucket has the files alone", SOON, async || {
        listed(&place.bucket).await == rows(&place.database(), &["stored"]).await
    })
    .await;
    server.terminate();
}
