//! Meetings that ended long ago, with files that are to move between storage tiers.

use super::{Scratch, place::Place, server::Server};
use hansard::{
    domain::{
        id::{MeetingId, TenantId},
        job::JobKind,
        tiering::Tier,
    },
    store::{Store, job},
};
use hansard_client::rest::Client;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

pub struct OldFiles {
    /// What lies under which key.
    pub files: BTreeMap<String, Vec<u8>>,
    tenant: TenantId,
    pub meetings: Vec<MeetingId>,
    database: String,
}

/// Prices at which age alone decides, as a file, and the database: what a server is given.
pub struct Free {
    scratch: Scratch,
    database: String,
}

impl Free {
    pub fn new(database: &str) -> Self {
        let scratch = Scratch::new();
        let prices: String = Tier::ALL
            .iter()
            .map(|tier| format!("[{}]\ngbMonth = 0\nwrites1000 = 0\n", tier.class()))
            .collect();
        std::fs::write(scratch.path().join("prices.toml"), prices).expect("there is room");
        Self {
            scratch,
            database: database.to_owned(),
        }
    }

    pub fn serve(&self, place: &Place) -> Server {
        let prices = self.scratch.path().join("prices.toml");
        let prices = prices.to_str().expect("it is text");
        let environment = [
            ("DATABASE_URL", self.database.as_str()),
            ("HANSARD_TIER_PRICES", prices),
        ];
        place.serve_on(place.data.path(), &[], &environment)
    }
}

impl OldFiles {
    /// So many meetings that have just ended, with so many files of so many bytes each.
    pub async fn make(
        place: &Place,
        database: &str,
        client: &Client,
        (meetings, files, bytes): (usize, usize, usize),
    ) -> Self {
        let host = client
            .create_user("host@example.org", "Host")
            .await
            .expect("a user");
        let mut sql = hansard::store::owner(database)
            .await
            .expect("Postgres answers");
        sqlx::query("set role hansard_worker")
            .execute(&mut sql)
            .await
            .expect("it may");
        let mut made = Self {
            files: BTreeMap::new(),
            tenant: TenantId(Uuid::nil()),
            meetings: Vec::new(),
            database: database.to_owned(),
        };
        for _ in 0..meetings {
            let meeting = client
                .create_meeting(&host, json!({}))
                .await
                .expect("a meeting");
            let meeting: Uuid = meeting["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("an id");
            let tenant: Uuid = sqlx::query_scalar(
                "update meetings set status = 'ended', start_time = clock_timestamp(), end_time = clock_timestamp()
                 where id = $1 returning tenant_id",
            )
            .bind(meeting)
            .fetch_one(&mut sql)
            .await
            .expect("it may");
            made.tenant = TenantId(tenant);
            made.meetings.push(MeetingId(meeting));
            for n in 0..files {
                let recording = Uuid::now_v7();
                let key = format!("recordings/{tenant}/{meeting}/{recording}-1.webm");
                let content = vec![n as u8; bytes];
                let objects = &place.bucket.objects;
                let stored = objects
                    .put_bytes(&key, content.clone(), "audio/webm", Tier::Hot)
                    .await
                    .expect("stored");
                sqlx::query(
                    "with file as (
                         insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms, duration_ms, status,
                             blob_url, size_bytes, sha256)
                         values ($1, $2, $3, 'track', 'audio/webm', 0, 1000, 'ready', $4, $5, $6))
                     insert into objects (meeting_id, key, tenant_id, recording_id, kind, participants, state, uploading,
                         size_bytes, sha256, version, stored_at)
                     values ($3, $7, $2, $1, 'track', '{}', 'stored', false, $5, $6, $8, clock_timestamp())",
                )
                .bind(recording)
                .bind(tenant)
                .bind(meeting)
                .bind(objects.url(&key))
                .bind(bytes as i64)
                .bind(&stored.sha256)
                .bind(&key)
                .bind(&stored.version)
                .execute(&mut sql)
                .await
                .expect("a file");
                made.files.insert(key, content);
            }
        }
        made
    }

    /// So many days pass, and workers look at the files.
    pub async fn age(&self, days: i32) {
        let store = Store::open(&self.database, 1).expect("an address");
        for meeting in &self.meetings {
            // Workers lock a meeting's jobs meanwhile, in an order of their own.
            let mut tx = store.worker_tx().await.expect("Postgres answers");
            sqlx::query(
                "update meetings set start_time = start_time - make_interval(days => $2),
                     end_time = end_time - make_interval(days => $2) where id = $1",
            )
            .bind(meeting.0)
            .bind(days)
            .execute(&mut *tx)
            .await
            .expect("it may");
            job::ensure(&mut tx, self.tenant, JobKind::Tier, *meeting, &json!({}))
                .await
                .expect("a job");
            tx.commit().await.expect("commits");
        }
        store.close().await;
    }

    /// How many files are in each tier, as their rows say, and how many moves are under way.
    pub async fn tiers(&self) -> (BTreeMap<String, i64>, i64) {
        let mut sql = hansard::store::owner(&self.database)
            .await
            .expect("Postgres answers");
        sqlx::query("set role hansard_worker")
            .execute(&mut sql)
            .await
            .expect("it may");
        let tiers: Vec<(String, i64)> =
            sqlx::query_as("select storage_tier, count(*) from objects group by 1")
                .fetch_all(&mut sql)
                .await
                .expect("it may look");
        let moving = sqlx::query_scalar("select count(*) from objects where moving_to is not null")
            .fetch_one(&mut sql)
            .await
            .expect("it may look");
        (tiers.into_iter().collect(), moving)
    }

    /// Whether all are in a tier, and nothing is left to do.
    pub async fn are_all_in(&self, tier: Tier) -> bool {
        let all = BTreeMap::from([(tier.to_string(), self.files.len() as i64)]);
        self.tiers().await == (all, 0)
    }
}
