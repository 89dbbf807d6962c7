//! What waveforms are drawn from: there with the files, and made of older ones when somebody looks.

use super::support::{
    eventually,
    inventory::{listed, rows},
    place::Place,
    postgres,
    stored::StoredMeeting,
};
use hansard::store;
use hansard_client::rest::{Client, Recording};
use serde_json::Value;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);
const EACH_MS: u64 = 50;
/// So much the same sound may be apart after it was encoded.
const APART: f64 = 0.1;

async fn told(client: &Client, recording: &Recording) -> Value {
    let path = format!("/v1/recordings/{}/peaks?points=4000", recording.id);
    client.get(&path).await.expect("it is told")
}

fn peaks(told: &Value) -> Vec<f64> {
    serde_json::from_value(told["peaks"].clone()).unwrap_or_default()
}

/// As if an earlier version had made the files.
async fn forget(place: &Place, database: &str) {
    let mut sql = store::owner(database).await.expect("Postgres answers");
    let forgotten: Vec<String> =
        sqlx::query_scalar("delete from objects where kind = 'derived' returning key")
            .fetch_all(&mut sql)
            .await
            .expect("written");
    assert_eq!(forgotten.len(), 3, "{forgotten:?}");
    for key in forgotten {
        let deleted = place.bucket.objects.delete(&key).await;
        deleted.expect("it is deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_has_peaks_and_older_ones_when_somebody_looks() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, 2, 4).await;
    stored.finalise().await;
    let made = client
        .wait_recordings_ready(&stored.meeting, Instant::now() + SOON)
        .await
        .expect("ready");
    assert_eq!(made.len(), 3, "two tracks and the mix");
    let mut first = Vec::new();
    for one in &made {
        let found = peaks(&told(&client, one).await);
        let length = u64::try_from(one.duration_ms.expect("it is ready")).expect("it has one");
        let wanted = usize::try_from(length.div_ceil(EACH_MS)).expect("a few");
        assert!(
            found.len().abs_diff(wanted) <= 1,
            "{}: {one:?}",
            found.len()
        );
        assert!(
            found.iter().copied().fold(0.0, f64::max) > 0.05,
            "{found:?}"
        );
        first.push(found);
    }

    forget(&place, &database).await;
    let asked = told(&client, &made[0]).await;
    assert_eq!(
        (&asked["peaks"], &asked["making"]),
        (&Value::Null, &Value::Bool(true))
    );
    for (one, first) in made.iter().zip(&first) {
        eventually("they are made", SOON, async || {
            !peaks(&told(&client, one).await).is_empty()
        })
        .await;
        let again = peaks(&told(&client, one).await);
        assert!(again.len().abs_diff(first.len()) <= 1);
        for (n, (first, again)) in first.iter().zip(&again).enumerate() {
            assert!(
                (first - again).abs() < APART,
                "{n}: {first} {again} {one:?}"
            );
        }
    }
    eventually("the bucket has what is told of alone", SOON, async || {
        listed(&place.bucket).await == rows(&database, &["stored"]).await
    })
    .await;

    // They go with their file.
    let track = made
        .iter()
        .find(|one| one.kind == "track")
        .expect("a track");
    let path = format!("/v1/recordings/{}", track.id);
    let deleted = client
        .call(reqwest::Method::DELETE, &path, client.api_key(), None)
        .await;
    deleted.expect("it is deleted");
    eventually("nothing is left of the track", SOON, async || {
        listed(&place.bucket)
            .await
            .iter()
            .all(|key| !key.contains(&track.id))
    })
    .await;
    server.terminate();
}
