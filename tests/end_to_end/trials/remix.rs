//! A mix that was deleted and is wanted after all, by the running product: it is listened to.

use super::{
    redaction::archive,
    support::{
        eventually,
        inventory::listed,
        place::Place,
        server::Server,
        tone_meeting::{Files, ToneMeeting, later},
    },
};
use axum::http::Method;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;

/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

struct Remix {
    place: Place,
    server: Server,
    tones: ToneMeeting,
    ended: DateTime<Utc>,
}

impl Remix {
    async fn call(&self, method: Method, path: &str) -> (u16, Value) {
        let answer = reqwest::Client::new()
            .request(method, format!("{}{path}", self.server.url()))
            .bearer_auth(self.server.key())
            .send()
            .await
            .expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn files(&self) -> Files {
        self.tones.files(&self.server.client(), SOON).await
    }

    async fn mix(&self) -> String {
        let files = self.files().await;
        let mut all = files.files.iter().map(|(recording, _)| recording);
        all.find(|one| one.kind == "mix").expect("a mix").id.clone()
    }

    /// Deletes this mix and asks for another, whose id is the answer.
    async fn again(&self, before: &str) -> String {
        let path = format!("/v1/recordings/{before}");
        assert_eq!(self.call(Method::DELETE, &path).await.0, 204);
        eventually("it is deleted everywhere", SOON, async || {
            let (status, body) = self.call(Method::GET, &path).await;
            status == 410 && body["tombstone"]["deletedAt"].is_string()
        })
        .await;
        let left = listed(&self.place.bucket).await;
        assert!(left.iter().all(|key| !key.contains(before)), "{left:?}");
        let mix = format!("/v1/meetings/{}/mix", self.tones.meeting);
        let (status, made) = self.call(Method::POST, &mix).await;
        assert_eq!(
            (status, &made["status"]),
            (202, &"processing".into()),
            "{made}"
        );
        let made = made["id"].as_str().expect("an id").to_owned();
        assert_ne!(made, before);
        made
    }

    /// Everybody is heard in the mix that is there now, and the one before stays away.
    async fn is_heard(&self, made: &str, before: &str) {
        let files = self.files().await;
        let mixes: Vec<&str> = files
            .files
            .iter()
            .filter(|(one, _)| one.kind == "mix")
            .map(|(one, _)| one.id.as_str())
            .collect();
        assert_eq!(mixes, [made]);
        for voice in &self.tones.voices {
            let from = later(voice.begin, 1_500);
            assert_eq!(files.silent(voice, from, later(self.ended, -300)), []);
        }
        let content = format!("/v1/recordings/{before}/content");
        assert_eq!(self.call(Method::GET, &content).await.0, 410);
    }
}

/// Once from tracks that can be read, once from the archive.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_mix_is_made_again_from_tracks_wherever_they_are() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ended = tones.end(&client).await;
    let remix = Remix {
        place,
        server,
        tones,
        ended,
    };
    let first = remix.mix().await;
    let is_settled = async || listed(&remix.place.bucket).await.len() == 6;
    eventually("the segments are cleaned up", SOON, is_settled).await;
    let second = remix.again(&first).await;
    remix.is_heard(&second, &first).await;

    eventually("its peaks are there, too", SOON, is_settled).await;
    archive(&remix.place).await;
    let third = remix.again(&second).await;
    let path = format!("/v1/recordings/{third}");
    eventually("it waits for storage", SOON, async || {
        let (_, waits) = remix.call(Method::GET, &path).await;
        waits["status"] == "processing" && waits["waitingFor"] == "storage"
    })
    .await;
    remix.place.bucket.pass(Duration::from_secs(13 * 3_600));
    let database = remix.place.database();
    let mut sql = hansard::store::owner(&database)
        .await
        .expect("Postgres answers");
    // Sooner than it would be looked at.
    sqlx::query("update jobs set run_at = now() where kind = 'mix' and state = 'queued'")
        .execute(&mut sql)
        .await
        .expect("it may");
    eventually("it is made", SOON, async || {
        remix.call(Method::GET, &path).await.1["status"] == "ready"
    })
    .await;
    // The tracks are still archived, and can be read for a while.
    sqlx::query("update recordings set storage_tier = 'hot'")
        .execute(&mut sql)
        .await
        .expect("it may");
    remix.is_heard(&third, &second).await;
    remix.server.terminate();
}
