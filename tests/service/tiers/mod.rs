//! The job that moves files between storage tiers, on a real Postgres and a real S3 server: workers
//! that die, a store that is away, classes that it lacks.

mod operator;
mod sweep;
mod sweep_days;
mod world;
mod year;

use crate::support::faults::{Fault as Wrong, Rule};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use hansard::{
    domain::{fault::Away, tiering::Tier},
    embed::s3::Options,
    store::{self, job, tier},
    worker::Outcome,
};
use serde_json::json;
use std::time::Duration;
use world::{Made, Place, World, dear};

async fn set(world: &World, body: serde_json::Value) {
    world
        .app
        .call("PATCH", "/v1/tenant", &world.app.key, Some(body))
        .await
        .expect(200);
}

async fn jobs(world: &World, state: &str) -> i64 {
    sqlx::query_scalar("select count(*) from jobs where kind = 'tier' and state = $1")
        .bind(state)
        .fetch_one(&mut world.app.sql().await)
        .await
        .expect("Postgres answers")
}

#[tokio::test]
async fn a_file_goes_through_the_tiers_and_links_stay_good() {
    let world = World::start().await;
    let made = world.one().await;
    world.work().await;
    world.is_in(&made, Tier::Hot).await;
    // Nothing is to be done for a month, and nobody looks.
    assert_eq!(world.plan().await, 0);
    world.pass(29);
    assert_eq!(world.plan().await, 0);
    let content = format!("/v1/recordings/{}/content?redirect=false", made.recording);
    let link = world.app.get(&content).await.expect(200);
    let link = link["url"].as_str().expect("a link").to_owned();
    // The API runs on another clock here.
    sqlx::query("update recordings set last_played_at = null")
        .execute(&mut world.app.sql().await)
        .await
        .expect("it may");
    for (days, tier) in [(2, Tier::Warm), (60, Tier::Cold)] {
        world.pass(days);
        world.work().await;
        world.is_in(&made, tier).await;
        let fetched = reqwest::get(&link).await.expect("it answers");
        assert_eq!(fetched.bytes().await.expect("whole"), made.content);
        let path = format!("/v1/recordings/{}", made.recording);
        let read = world.app.get(&path).await.expect(200);
        assert_eq!(read["storageTier"], tier.to_string());
    }
    world.pass(280);
    world.work().await;
    world.is_in(&made, Tier::Archive).await;
    world.app.get(&content).await.problem(409, "not_ready");
    // From there nothing goes on.
    world.pass(3000);
    assert_eq!(world.plan().await, 0);
    let classes: Vec<_> = world.copies().into_iter().map(|(_, class)| class).collect();
    assert_eq!(classes, ["STANDARD_IA", "GLACIER_IR", "DEEP_ARCHIVE"]);
}

#[tokio::test]
async fn a_fetch_puts_a_move_off_and_is_noted_once_an_hour() {
    let world = World::start().await;
    let made = world.one().await;
    world.pass(31);
    let content = format!("/v1/recordings/{}/content", made.recording);
    assert_eq!(world.app.get(&content).await.status, 302);
    let played = "update recordings set last_played_at = $2 where id = $1";
    sqlx::query(played)
        .bind(made.recording)
        .bind(world.clock.now())
        .execute(&mut world.app.sql().await)
        .await
        .expect("it may");
    world.work().await;
    world.is_in(&made, Tier::Hot).await;
    world.pass(29);
    assert_eq!(world.plan().await, 0);
    world.pass(1);
    world.work().await;
    world.is_in(&made, Tier::Warm).await;

    let at = async || -> chrono::DateTime<chrono::Utc> {
        sqlx::query_scalar("select last_played_at from recordings where id = $1")
            .bind(made.recording)
            .fetch_one(&mut world.app.sql().await)
            .await
            .expect("Postgres answers")
    };
    let before = at().await;
    world.app.get(&content).await;
    assert_eq!(at().await, before, "it is within the hour");
    sqlx::query(played)
        .bind(made.recording)
        .bind(world.app.state.clock.now() - chrono::TimeDelta::hours(2))
        .execute(&mut world.app.sql().await)
        .await
        .expect("it may");
    let before = at().await;
    // Asking whether it is there is no fetch.
    world.app.call("HEAD", &content, &world.app.key, None).await;
    assert_eq!(at().await, before);
    world.app.get(&content).await;
    assert!(at().await > before);
}

#[tokio::test]
async fn other_days_move_what_there_is_and_never_back() {
    let world = World::start().await;
    let made = world.one().await;
    world.work().await;
    world.pass(10);
    assert_eq!(world.plan().await, 0);
    set(&world, json!({"tierDays": {"warm": 9}})).await;
    world.work().await;
    world.is_in(&made, Tier::Warm).await;
    set(&world, json!({"tierDays": {"warm": "never"}})).await;
    world.work().await;
    world.is_in(&made, Tier::Warm).await;
    // Another tenant's meetings are not looked at for that.
    assert_eq!(jobs(&world, "done").await, 1);
}

#[tokio::test]
async fn tiers_of_one_class_move_the_row_only() {
    let mut tariff = dear();
    for tier in [Tier::Warm, Tier::Cold, Tier::Archive] {
        let standard = Tier::Hot.class().to_owned();
        tariff.classes.set(tier, standard).expect("it may");
    }
    let world = World::with(tariff, Options::default()).await;
    let made = world.one().await;
    for (days, tier) in [(31, "warm"), (60, "cold"), (300, "archive")] {
        world.pass(days);
        world.work().await;
        let place = Place {
            tier: tier.to_owned(),
            class: "STANDARD".to_owned(),
            is_marked: false,
        };
        assert_eq!(world.place(&made).await, place);
    }
    assert_eq!(world.copies(), []);
    // It can be read as ever, and there is nothing to restore.
    let path = format!("/v1/recordings/{}", made.recording);
    assert_eq!(world.app.get(&format!("{path}/content")).await.status, 302);
    let path = format!("{path}/restore");
    let asked = world.app.post(&path, json!({"days": 1})).await;
    asked.problem(409, "not_archived");
}

#[tokio::test]
async fn a_class_that_the_store_lacks_leaves_files_where_they_are() {
    let world = World::start().await;
    let made = world.one().await;
    let lacks = Rule::all(Wrong::Answer(400, "InvalidStorageClass"));
    world
        .faults
        .set(&[lacks.with_header("x-amz-storage-class")]);
    world.pass(31);
    world.work().await;
    world.is_in(&made, Tier::Hot).await;
    // The next tier is tried in its time.
    world.faults.heal();
    world.pass(60);
    world.work().await;
    world.is_in(&made, Tier::Cold).await;
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let world = World::start().await;
    let made = world.one().await;
    world.pass(31);
    world.plan().await;
    for rule in [
        Rule::all(Wrong::Answer(503, "SlowDown")),
        // The copy is made, and nobody hears of it.
        Rule::all(Wrong::Cut).with_header("x-amz-copy-source"),
    ] {
        world.faults.set(&[rule]);
        let claimed = world.claim().await.expect("it is due");
        let outcome = world.run(claimed).await;
        let is_waiting = matches!(
            outcome,
            Outcome::Waiting {
                away: Some(Away::Storage),
                ..
            }
        );
        assert!(is_waiting, "{outcome:?}");
        let tier = world.place(&made).await.tier;
        assert_eq!(tier, "hot", "nothing is told that was not checked");
    }
    world.faults.heal();
    let claimed = world.claim().await.expect("it is tried again");
    assert!(matches!(world.run(claimed).await, Outcome::Done));
    world.is_in(&made, Tier::Warm).await;
}

#[tokio::test]
async fn what_is_not_what_was_stored_stays_and_is_told() {
    let world = World::start().await;
    let (made, meeting) = (world.one().await, world.ended(0).await);
    let well = world.file(meeting, vec![8; 5_000]).await;
    let other = world
        .bucket
        .objects
        .put_bytes(&made.key, vec![9; 5_000], "audio/webm", Tier::Hot);
    other.await.expect("stored");
    world.pass(31);
    assert_eq!(world.plan().await, 2);
    let mut failed = 0;
    while let Some(claimed) = world.claim().await {
        let outcome = world.run(claimed).await;
        match outcome {
            Outcome::Done => {}
            Outcome::Failed(error) => {
                assert!(
                    format!("{error:#}").contains("is not what was stored"),
                    "{error:#}"
                );
                failed += 1;
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    assert!(failed > 0);
    let place = world.place(&made).await;
    assert_eq!((place.tier.as_str(), place.is_marked), ("hot", false));
    world.is_in(&well, Tier::Warm).await;
}

#[tokio::test]
async fn while_something_is_made_of_a_meeting_its_files_stay() {
    let world = World::start().await;
    let made = world.one().await;
    world.pass(31);
    let mut tx = world.app.state.store.worker_tx().await.expect("answers");
    let kind = hansard::domain::job::JobKind::Mix;
    let (tenant, payload) = (world.app.tenant, json!({}));
    let mixing = job::ensure(&mut tx, tenant, kind, made.meeting, &payload)
        .await
        .expect("made");
    tx.commit().await.expect("commits");
    world.work().await;
    world.is_in(&made, Tier::Hot).await;
    assert_eq!(world.plan().await, 0);
    sqlx::query("update jobs set state = 'done' where id = $1")
        .bind(mixing.0)
        .execute(&mut world.app.sql().await)
        .await
        .expect("it may");
    world.bucket.pass(Duration::from_secs(601));
    world.work().await;
    world.is_in(&made, Tier::Warm).await;
}

/// A move that is marked is brought to its end whatever its worker got done, also where it would
/// not begin any more, and only its own versions are left.
#[tokio::test]
async fn a_move_that_has_begun_is_brought_to_its_end() {
    let world = World::start().await;
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let client = world.bucket.client();
    let put = client.put_bucket_versioning().bucket("hansard");
    let put = put.versioning_configuration(enabled).send().await;
    put.expect("it keeps versions");
    let versions = async |made: &Made| {
        let listed = client.list_object_versions().bucket("hansard");
        let listed = listed.prefix(&made.key).send().await;
        listed.expect("it answers").versions().len()
    };
    set(
        &world,
        json!({"tierDays": {"warm": "never", "cold": "never"}}),
    )
    .await;
    // What its worker got done: a mark, the copy, the rows.
    for done in 0..3 {
        let made = world.one().await;
        let mut tx = world.app.state.store.worker_tx().await.expect("answers");
        let file = tier::files(&mut tx, made.meeting, None).await;
        let file = file.expect("reads").pop().expect("it is there");
        let class = Tier::Cold.class();
        tier::mark(&mut tx, made.meeting, &file, Tier::Cold, None, None)
            .await
            .expect("marked");
        if done > 0 {
            let wanted = hansard::objects::Wanted {
                size_bytes: file.size_bytes,
                sha256: &file.sha256,
                sum: None,
            };
            let objects = &world.bucket.objects;
            let version = objects.transfer(&file.key, class, wanted, None).await;
            let version = version.expect("copied");
            assert_eq!(versions(&made).await, 2);
            if done > 1 {
                let to = tier::Moved {
                    tier: Tier::Cold,
                    class,
                    version: version.as_deref(),
                    at: Some(world.clock.now()),
                };
                tier::moved(&mut tx, made.meeting, &file, to)
                    .await
                    .expect("told");
            }
        }
        tx.commit().await.expect("commits");
        world.work().await;
        world.is_in(&made, Tier::Cold).await;
        assert_eq!(versions(&made).await, 1, "{done}");
    }
}

/// From the moment in which a file is on its way into the archive nobody is given a link to it.
#[tokio::test]
async fn nobody_gets_a_link_to_what_is_going_into_the_archive() {
    let world = World::start().await;
    let made = world.one().await;
    let mut tx = world.app.state.store.worker_tx().await.expect("answers");
    let file = tier::files(&mut tx, made.meeting, None).await;
    let file = file.expect("reads").pop().expect("it is there");
    let class = Some(Tier::Archive.class());
    tier::mark(&mut tx, made.meeting, &file, Tier::Archive, None, class)
        .await
        .expect("marked");
    tx.commit().await.expect("commits");
    let path = format!("/v1/recordings/{}", made.recording);
    let answer = world.app.get(&format!("{path}/content")).await;
    answer.problem(409, "not_ready");
    assert_eq!(world.app.get(&path).await.expect(200)["storageTier"], "hot");
    // A store that cannot do it gives it back.
    let lacks = Rule::all(Wrong::Answer(501, "NotImplemented"));
    world
        .faults
        .set(&[lacks.with_header("x-amz-storage-class")]);
    world.work().await;
    world.is_in(&made, Tier::Hot).await;
    assert_eq!(world.app.get(&format!("{path}/content")).await.status, 302);
}

/// What is deleted while it is copied does not come back.
#[tokio::test]
async fn a_copy_does_not_bring_back_what_was_deleted() {
    let world = World::start().await;
    let made = world.one().await;
    world.pass(31);
    world.plan().await;
    world.faults.delay(Duration::from_secs(5));
    let claimed = world.claim().await.expect("it is due");
    let running = tokio::spawn({
        let job = world.job.clone();
        async move { hansard::worker::Job::run(job, claimed).await }
    });
    crate::support::eventually("the move is marked", Duration::from_secs(20), async || {
        world.place(&made).await.is_marked
    })
    .await;
    let mut tx = world.app.state.store.worker_tx().await.expect("answers");
    sqlx::query("update recordings set status = 'deleting' where id = $1")
        .bind(made.recording)
        .execute(&mut *tx)
        .await
        .expect("it may");
    let keys = [made.key.clone()];
    store::inventory::going(&mut tx, made.meeting, &keys)
        .await
        .expect("noted");
    tx.commit().await.expect("commits");
    world
        .bucket
        .objects
        .delete(&made.key)
        .await
        .expect("deleted");
    let mut tx = world.app.state.store.worker_tx().await.expect("answers");
    let left = store::inventory::gone(&mut tx, made.meeting, &keys).await;
    // The copy may still come, so it is looked for again.
    assert_eq!(left.expect("noted"), 1);
    tx.commit().await.expect("commits");
    let ended = running.await.expect("it does not panic");
    assert!(
        ended.is_ok() || format!("{ended:?}").contains("no object"),
        "{ended:?}"
    );
    assert_eq!(
        world.bucket.objects.head(&made.key).await.expect("answers"),
        None
    );
}

/// Whatever a worker got done before it was killed, the next brings it to its end.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_leave_nothing_half_done() {
    let world = World::start().await;
    let meeting = world.ended(0).await;
    let mut made = Vec::new();
    for n in 0..12 {
        made.push(world.file(meeting, vec![n; 5_000]).await);
    }
    for (days, tier) in [(31, Tier::Warm), (60, Tier::Cold), (280, Tier::Archive)] {
        world.pass(days);
        world.plan().await;
        for n in 0..8 {
            let Some(claimed) = world.claim().await else {
                break;
            };
            world.kill(claimed, Duration::from_millis(7 * n)).await;
        }
        world.work().await;
        for one in &made {
            world.is_in(one, tier).await;
        }
    }
}
