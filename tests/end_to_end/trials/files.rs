//! The files that hosts get, also those that earlier versions made.

use super::support::{Scratch, eventually, place::Place, postgres, stored::StoredMeeting};
use hansard::{
    domain::{codec::AudioCodec, tiering::Tier, time::MeetingTime},
    media::{
        containers::{
            matroska::{self, Shape},
            track,
        },
        frame::Frame,
    },
    store,
};
use hansard_client::rest::{Client, Recording};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(90);
const MIGRATION: &str = include_str!("../../../migrations/0021_track_files.sql");

/// The frames of a track as hosts get it.
async fn frames(client: &Client, recording: &Recording) -> Vec<Frame> {
    let scratch = Scratch::new();
    let path = scratch.path().join("track");
    let bytes = client.download(&recording.id).await.expect("downloads");
    std::fs::write(&path, bytes).expect("writes");
    let zero = MeetingTime::from_ms(recording.start_ms.expect("it is ready"));
    let mut reader = track::Reader::open(&path, zero)
        .expect("opens")
        .expect("has frames");
    let mut frames = Vec::new();
    while let Some(frame) = reader.read().expect("reads") {
        frames.push(frame);
    }
    frames
}

/// A track as an earlier version stored it.
fn matroska(frames: &[Frame], zero: MeetingTime, path: &Path) {
    let writer =
        matroska::Writer::create(path, Shape::Segment, AudioCodec::Opus, 1, zero).expect("creates");
    for frame in frames {
        writer.write(frame).expect("writes");
    }
    writer.finish().expect("finishes");
}

/// Whether no job is open, and the one that makes tracks of earlier versions anew was there.
async fn all_done(database: &str) -> bool {
    let mut sql = store::owner(database).await.expect("Postgres answers");
    sqlx::query("set role hansard_worker")
        .execute(&mut sql)
        .await
        .expect("it may");
    sqlx::query_scalar("select bool_and(state = 'done') and bool_or(kind = 'remux') from jobs")
        .fetch_one(&mut sql)
        .await
        .expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_of_earlier_versions_become_webm_and_nothing_else_changes() {
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::make(&place, &database, &client, 2, 4).await;
    stored.finalise().await;
    let list = async || {
        client
            .wait_recordings_ready(&stored.meeting, Instant::now() + SOON)
            .await
            .expect("ready")
    };
    let made = list().await;
    let tracks: Vec<&Recording> = made.iter().filter(|one| one.kind == "track").collect();
    assert_eq!(tracks.len(), 2);
    let mix = made.iter().find(|one| one.kind == "mix").expect("a mix");
    let objects = &place.bucket.objects;
    let keys = async || -> Vec<String> {
        let listed = objects.list("recordings/", 100).await.expect("lists");
        let ours = listed.into_iter().map(|object| object.key);
        ours.filter(|key| !key.ends_with(".mp4") && !key.ends_with(".peaks"))
            .collect()
    };

    let mut sql = store::owner(&database).await.expect("Postgres answers");
    let mut written = Vec::new();
    let scratch = Scratch::new();
    for track in &tracks {
        assert_eq!(track.media_type.as_deref(), Some("audio/webm"));
        let all = frames(&client, track).await;
        assert_eq!(all.len(), 4 * 200);
        let path = scratch.path().join("track.mkv");
        let zero = MeetingTime::from_ms(track.start_ms.expect("it is ready"));
        matroska(&all, zero, &path);
        written.push(all);
        let now = keys().await;
        let key = now
            .iter()
            .find(|key| key.contains(&track.id))
            .expect("its file");
        let before = key.replace(".webm", ".mkv");
        let put = objects
            .put_file(&before, &path, "audio/x-matroska", Tier::Hot)
            .await
            .expect("stored");
        objects.delete(key).await.expect("deleted");
        sqlx::query("set role hansard_worker")
            .execute(&mut sql)
            .await
            .expect("it may");
        sqlx::query(
            "update recordings set media_type = 'audio/x-matroska', blob_url = $2, sha256 = $3 where id = $1",
        )
        .bind(track.id.parse::<Uuid>().expect("an id"))
        .bind(objects.url(&before))
        .bind(&put.sha256)
        .execute(&mut sql)
        .await
        .expect("written");
        sqlx::query("update recordings set made_of = array_replace(made_of, $2, $3) where id = $1")
            .bind(mix.id.parse::<Uuid>().expect("an id"))
            .bind(&track.sha256)
            .bind(&put.sha256)
            .execute(&mut sql)
            .await
            .expect("written");
        sqlx::query("reset role")
            .execute(&mut sql)
            .await
            .expect("it may");
    }

    // The migration comes upon them; its job runs twice, and joining once more changes nothing.
    sqlx::raw_sql(MIGRATION)
        .execute(&mut sql)
        .await
        .expect("migrates");
    sqlx::query("set role hansard_worker")
        .execute(&mut sql)
        .await
        .expect("it may");
    for again in [true, false] {
        eventually("all jobs are done, this one, too", SOON, async || {
            all_done(&database).await
        })
        .await;
        if again {
            sqlx::query("update jobs set state = 'queued' where kind in ('remux', 'join')")
                .execute(&mut sql)
                .await
                .expect("written");
        }
    }

    let now = list().await;
    for (track, written) in tracks.iter().zip(&written) {
        let again = now.iter().find(|one| one.id == track.id).expect("a track");
        assert_eq!(
            (again.start_ms, again.duration_ms, &again.gaps),
            (track.start_ms, track.duration_ms, &track.gaps)
        );
        assert_eq!(again.media_type.as_deref(), Some("audio/webm"));
        let back = frames(&client, again).await;
        assert_eq!(back.len(), written.len());
        for (a, b) in written.iter().zip(&back) {
            assert_eq!(a.payload, b.payload);
            assert!(
                (a.span.start - b.span.start).0.abs() <= 1_000,
                "{a:?} {b:?}"
            );
        }
    }
    let keys = keys().await;
    assert!(
        keys.len() == 2 && keys.iter().all(|key| key.ends_with(".webm")),
        "{keys:?}"
    );
    let again = now.iter().find(|one| one.kind == "mix").expect("a mix");
    assert_eq!(again.sha256, mix.sha256, "the mix is not rendered again");
    server.terminate();
}
