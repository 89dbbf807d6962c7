//! A long meeting that has ended, with its segments in storage and its files still to be made,
//! without the time that it would have taken.

use super::{Scratch, place::Place};
use axum::http::Method;
use hansard::{
    domain::{
        codec::AudioCodec,
        tiering::Tier,
        time::{MeetingTime, Micros, Span},
    },
    media::{
        containers::{
            matroska::{Shape, Writer},
            track,
        },
        frame::Frame,
    },
};
use hansard_client::{meeting::Meeting, rest::Client};
use serde_json::json;
use sqlx::PgConnection;
use std::{path::Path, sync::Arc};
use uuid::Uuid;

const SEGMENT_MS: i64 = 4_000;
const FRAME_MS: i64 = 20;
const BEGIN_MS: i64 = 10_000;

pub struct StoredMeeting {
    pub meeting: String,
    tracks: i64,
    /// Of each track.
    segments: i64,
    database: String,
}

/// Segments that were fetched from behind the place's faults.
pub fn fetched(place: &Place) -> i64 {
    let seen = place.faults.seen();
    seen.iter()
        .filter(|seen| seen.method == Method::GET && seen.path.contains("/live/"))
        .count() as i64
}

impl StoredMeeting {
    /// `tracks` people who hum for `segments` times four seconds.
    pub async fn make(
        place: &Place,
        database: &str,
        client: &Client,
        tracks: i64,
        segments: i64,
    ) -> Self {
        let (made, people) = Self::ended(database, client, tracks, segments).await;
        let mut sql = made.sql().await;
        let scratch = Scratch::new();
        let path = scratch.path().join("segment.mkv");
        for (track, participant) in people.into_iter().enumerate() {
            made.track(place, &mut sql, &path, track as i64 + 1, participant)
                .await;
        }
        made
    }

    /// The same with the tracks joined, and only the mix to be made.
    pub async fn joined(
        place: &Place,
        database: &str,
        client: &Client,
        tracks: i64,
        segments: i64,
    ) -> Self {
        let (made, people) = Self::ended(database, client, tracks, segments).await;
        let mut sql = made.sql().await;
        let scratch = Scratch::new();
        let path = scratch.path().join("track.webm");
        for (track, participant) in people.into_iter().enumerate() {
            made.write_track(&path, voice(track as i64));
            let recording = Uuid::now_v7();
            made.recording(&mut sql, recording, participant).await;
            let key = format!("recordings/t/{}/{recording}-1.webm", made.meeting);
            let objects = &place.bucket.objects;
            let stored = objects
                .put_file(&key, &path, "audio/webm", Tier::Hot)
                .await
                .expect("stored");
            sqlx::query(
                "update recordings set status = 'ready', media_type = 'audio/webm', blob_url = $2, duration_ms = $3,
                     size_bytes = $4, sha256 = $5 where id = $1",
            )
            .bind(recording)
            .bind(objects.url(&key))
            .bind(made.length_ms())
            .bind(stored.size_bytes as i64)
            .bind(&stored.sha256)
            .execute(&mut sql)
            .await
            .expect("a track");
        }
        run(
            &mut sql,
            "insert into jobs (id, tenant_id, meeting_id, subject, kind, state)
             select $2, tenant_id, id, id, 'join', 'done' from meetings where id = $1",
            made.id(),
            Uuid::now_v7(),
        )
        .await;
        made
    }

    /// Asks for the mix.
    pub async fn mix(&self) {
        run(
            &mut self.sql().await,
            "insert into jobs (id, tenant_id, meeting_id, subject, kind) select $2, tenant_id, id, id, 'mix' from meetings where id = $1",
            self.id(),
            Uuid::now_v7(),
        )
        .await;
    }

    /// A meeting that is over, and the people who were in it.
    async fn ended(
        database: &str,
        client: &Client,
        tracks: i64,
        segments: i64,
    ) -> (Self, Vec<Uuid>) {
        let host = client
            .create_user("host@example.org", "Host")
            .await
            .expect("a user");
        let meeting = client
            .create_meeting(&host, json!({"aiEnabled": false}))
            .await
            .expect("a meeting");
        let id = meeting["id"].as_str().expect("an id").to_owned();
        let mut people: Vec<Uuid> = Vec::new();
        for n in 0..tracks {
            let user = client
                .create_user(&format!("guest-{n}@example.org"), "Guest")
                .await
                .expect("a user");
            let joined = client.join(&id, &user).await.expect("joins");
            client
                .consent(&joined.token, &id, "recording", "accepted")
                .await
                .expect("agrees");
            people.push(joined.participant_id.parse().expect("an id"));
        }
        let made = Self {
            meeting: id,
            tracks,
            segments,
            database: database.to_owned(),
        };
        let mut sql = made.sql().await;
        run(
            &mut sql,
            "update meetings set status = 'ended', start_time = clock_timestamp(), end_time = clock_timestamp() where id = $1",
            made.id(),
            Uuid::nil(),
        )
        .await;
        (made, people)
    }

    async fn sql(&self) -> PgConnection {
        let mut sql = hansard::store::owner(&self.database)
            .await
            .expect("Postgres answers");
        sqlx::query("set role hansard_worker")
            .execute(&mut sql)
            .await
            .expect("it may");
        sql
    }

    fn id(&self) -> Uuid {
        self.meeting.parse().expect("an id")
    }

    /// A whole track as a file.
    fn write_track(&self, path: &Path, frames: impl Iterator<Item = Arc<[u8]>>) {
        let begin = MeetingTime::from_ms(BEGIN_MS);
        let mut writer = track::Writer::create(path, AudioCodec::Opus, 1, begin).expect("creates");
        for (n, payload) in (0..self.length_ms() / FRAME_MS).zip(frames) {
            let at = begin + Micros::from_ms(FRAME_MS * n);
            let span = Span::of(at, Micros::from_ms(FRAME_MS));
            writer.write(&Frame { payload, span }).expect("writes");
        }
        writer.finish().expect("finishes");
    }

    /// `entry`: the number of the participant's consent.
    async fn track(
        &self,
        place: &Place,
        sql: &mut PgConnection,
        path: &Path,
        entry: i64,
        participant: Uuid,
    ) {
        let recording = Uuid::now_v7();
        self.recording(sql, recording, participant).await;
        let mut frames = voice(entry);
        for n in 0..self.segments {
            let begin = MeetingTime::from_ms(BEGIN_MS + n * SEGMENT_MS);
            let writer =
                Writer::create(path, Shape::Segment, AudioCodec::Opus, 1, MeetingTime::ZERO)
                    .expect("creates");
            for at in 0..SEGMENT_MS / FRAME_MS {
                let payload = frames.next().expect("it goes on");
                let span = Span::of(
                    begin + Micros::from_ms(FRAME_MS * at),
                    Micros::from_ms(FRAME_MS),
                );
                writer.write(&Frame { payload, span }).expect("writes");
            }
            writer.finish().expect("finishes");
            let key = format!("live/t/{}/1/{recording}/{n}-1.mkv", self.meeting);
            let objects = &place.bucket.objects;
            let stored = objects
                .put_file(&key, path, "audio/x-matroska", Tier::Hot)
                .await
                .expect("stored");
            sqlx::query(
                "insert into recording_segments (meeting_id, recording_id, epoch, n, tenant_id, start_us, end_us,
                     consent_entry, object_key, size_bytes, sha256)
                 select $1, $2, 1, $3, tenant_id, $4, $5, $6, $7, $8, $9 from meetings where id = $1",
            )
            .bind(self.id())
            .bind(recording)
            .bind(n as i32)
            .bind(begin.0)
            .bind(begin.0 + SEGMENT_MS * 1_000)
            .bind(entry)
            .bind(&key)
            .bind(stored.size_bytes as i64)
            .bind(&stored.sha256)
            .execute(&mut *sql)
            .await
            .expect("a segment");
            sqlx::query(
                "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, state, uploading,
                     size_bytes, sha256)
                 select $1, $2, tenant_id, $3, 'segment', array[$4], 'stored', false, $5, $6 from meetings where id = $1",
            )
            .bind(self.id())
            .bind(&key)
            .bind(recording)
            .bind(participant)
            .bind(stored.size_bytes as i64)
            .bind(&stored.sha256)
            .execute(&mut *sql)
            .await
            .expect("a row of the inventory");
        }
    }

    /// A track of somebody who was there from the beginning.
    async fn recording(&self, sql: &mut PgConnection, recording: Uuid, participant: Uuid) {
        run(
            sql,
            "insert into participant_visits (meeting_id, participant_id, n, tenant_id, joined_at)
             select $1, $2, 1, tenant_id, start_time from meetings where id = $1",
            self.id(),
            participant,
        )
        .await;
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, participant_id, source, codec, media_type, start_ms, status)
             select $2, tenant_id, $1, 'track', $3, 'microphone', 'opus', 'audio/x-matroska', $4, 'processing'
             from meetings where id = $1",
        )
        .bind(self.id())
        .bind(recording)
        .bind(participant)
        .bind(BEGIN_MS as i32)
        .execute(&mut *sql)
        .await
        .expect("a track");
    }

    /// Puts all but the last minute of each track into blocks of five minutes, as its worker would
    /// have. Answers with how many objects there are now.
    pub async fn gather_blocks(&self, place: &Place) -> i64 {
        const BLOCK: usize = 75;
        const LAST: i64 = 15;
        let mut sql = self.sql().await;
        let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(
            "select recording_id, n, object_key from recording_segments where meeting_id = $1 and n < $2
             order by recording_id, n",
        )
        .bind(self.id())
        .bind((self.segments - LAST) as i32)
        .fetch_all(&mut sql)
        .await
        .expect("its segments");
        let objects = &place.bucket.objects;
        let mut blocks = 0;
        for of_track in rows.chunk_by(|a, b| a.0 == b.0) {
            for block in of_track.chunks(BLOCK) {
                let recording = block[0].0;
                let key = format!("live/t/{}/1/{recording}/b{}.mkv", self.meeting, block[0].1);
                let mut bytes = Vec::new();
                for (_, n, own) in block {
                    sqlx::query(
                        "update recording_segments set block_key = $3, block_at = $4
                         where meeting_id = $1 and recording_id = $2 and n = $5",
                    )
                    .bind(self.id())
                    .bind(recording)
                    .bind(&key)
                    .bind(bytes.len() as i64)
                    .bind(n)
                    .execute(&mut sql)
                    .await
                    .expect("it is written");
                    bytes.extend(objects.get_bytes(own).await.expect("it is there"));
                    objects.delete(own).await.expect("deletes");
                }
                objects
                    .put_bytes(&key, bytes, "audio/x-matroska", Tier::Hot)
                    .await
                    .expect("stored");
                sqlx::query(
                    "insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, state, uploading)
                     select $1, $2, tenant_id, $3, 'block', '{}', 'stored', false from meetings where id = $1",
                )
                .bind(self.id())
                .bind(&key)
                .bind(recording)
                .execute(&mut sql)
                .await
                .expect("a row of the inventory");
                blocks += 1;
            }
        }
        blocks + self.tracks * LAST.min(self.segments)
    }

    /// Of all tracks.
    pub fn segments(&self) -> i64 {
        self.tracks * self.segments
    }

    pub fn length_ms(&self) -> i64 {
        self.segments * SEGMENT_MS
    }

    /// Asks for its files.
    pub async fn finalise(&self) {
        run(
            &mut self.sql().await,
            "insert into jobs (id, tenant_id, meeting_id, subject, kind) select $2, tenant_id, id, id, 'join' from meetings where id = $1",
            self.id(),
            Uuid::now_v7(),
        )
        .await;
    }
}

/// Somebody's voice, in frames of 20 ms: one of the bundled meeting's, again and again.
fn voice(track: i64) -> impl Iterator<Item = Arc<[u8]>> {
    let set = Meeting::test_set("planning").expect("the bundled meeting");
    let nth = track.unsigned_abs() as usize % set.voices.len();
    let frames: Vec<Arc<[u8]>> = set.voices[nth]
        .frames
        .iter()
        .map(|frame| frame.payload.as_ref().into())
        .collect();
    frames.into_iter().cycle()
}

/// A statement about a meeting and one more id.
async fn run(sql: &mut PgConnection, statement: &'static str, meeting: Uuid, other: Uuid) {
    let query = sqlx::query(statement).bind(meeting);
    let query = if statement.contains("$2") {
        query.bind(other)
    } else {
        query
    };
    query.execute(sql).await.expect("it is written");
}
