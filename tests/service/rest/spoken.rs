//! A live meeting with finals, which people edit, jobs refine and workers translate.

use super::{
    app::{Answer, App, Joined},
    recording::say,
};
use hansard::{
    command::{
        correct::{Correction, Outcome, correct},
        translate::translate,
    },
    domain::{
        correction::TextSource,
        event::Translation,
        id::{MeetingId, SegmentId},
    },
    store::event,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// An hour after the start: behind whatever is withdrawn while the test runs.
pub const LATER_MS: i64 = 3_600_000;

/// A live meeting with somebody who agreed.
pub struct Spoken {
    pub app: App,
    pub host: Uuid,
    pub meeting: MeetingId,
    pub ana: Joined,
}

impl Spoken {
    pub async fn new() -> Self {
        let app = App::start().await;
        let host = app.user("Ana").await;
        let meeting = app.meeting(host).await;
        let ana = app.who_agreed(meeting, host, "recording_ai").await;
        app.enter(meeting, ana.participant).await;
        Self {
            app,
            host,
            meeting,
            ana,
        }
    }

    pub fn path(&self, rest: impl std::fmt::Display) -> String {
        format!("/v1/meetings/{}/transcript{rest}", self.meeting)
    }

    /// A final, with its event, as a worker stores it. Revision 3.
    pub async fn said(&self, start_ms: i64, text: &str) -> Uuid {
        let who = self.ana.participant;
        let segment = say(
            &self.app,
            self.meeting,
            who,
            start_ms,
            start_ms + 2_000,
            text,
        )
        .await;
        let mut tx = self
            .app
            .state
            .store
            .worker_tx()
            .await
            .expect("Postgres answers");
        event::append_final(&mut tx, self.meeting, SegmentId(segment))
            .await
            .expect("stored");
        tx.commit().await.expect("commits");
        segment
    }

    pub async fn edit(&self, token: &str, segment: Uuid, text: &str, base: i32) -> Answer {
        let body = json!({"text": text, "baseRevision": base});
        self.app
            .call(
                "PATCH",
                &self.path(format!("/{segment}")),
                token,
                Some(body),
            )
            .await
    }

    pub async fn events(&self) -> Vec<event::StoredEvent> {
        let mut tx = self
            .app
            .state
            .store
            .tenant_tx(self.app.tenant)
            .await
            .expect("Postgres answers");
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = event::after(&mut tx, self.meeting, after, event::READ_MAX)
                .await
                .expect("read");
            let Some(last) = page.last() else { return all };
            after = last.seq;
            all.extend(page);
        }
    }

    pub async fn told(&self) -> Vec<(&'static str, Value)> {
        let events = self.events().await.into_iter();
        events
            .map(|event| (event.kind.as_str(), event.data))
            .filter(|(kind, _)| kind.starts_with("transcript"))
            .collect()
    }

    /// As a worker translates it.
    pub async fn translate(&self, segment: Uuid, revision: u32, text: &str) -> usize {
        let mut tx = self
            .app
            .state
            .store
            .worker_tx()
            .await
            .expect("Postgres answers");
        let translation = Translation {
            segment_id: SegmentId(segment),
            revision,
            language: "en".into(),
            text: text.into(),
        };
        let effects = translate(&mut tx, self.meeting, &translation)
            .await
            .expect("stored");
        tx.commit().await.expect("commits");
        effects.events.len()
    }

    /// As a job refines it.
    pub async fn refine(&self, segment: Uuid, base: i32, text: &str) -> Outcome {
        let asked = Correction {
            segment: SegmentId(segment),
            base,
            text: text.into(),
            words: None,
            language: None,
        };
        let mut tx = self
            .app
            .state
            .store
            .worker_tx()
            .await
            .expect("Postgres answers");
        let (outcomes, _) = correct(&mut tx, self.meeting, TextSource::Refine, None, vec![asked])
            .await
            .expect("decided");
        tx.commit().await.expect("commits");
        outcomes[0]
    }

    /// The tables whose rows say this anywhere.
    pub async fn tables_with(&self, needle: &str) -> Vec<String> {
        let mut sql = self.app.sql().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'public' and c.relkind = 'r' order by 1",
        )
        .fetch_all(&mut sql)
        .await
        .expect("listed");
        assert!(
            tables
                .iter()
                .any(|table| table == "transcript_revisions_00")
        );
        let mut found = Vec::new();
        for table in tables {
            // Row-level security is forced on the owner, too.
            let sql_text =
                format!("select count(*) from {table} t where t::text ilike '%' || $1 || '%'");
            sqlx::query(AssertSqlSafe(format!(
                "alter table {table} no force row level security"
            )))
            .execute(&mut sql)
            .await
            .expect("altered");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql_text))
                .bind(needle)
                .fetch_one(&mut sql)
                .await
                .expect("counted");
            sqlx::query(AssertSqlSafe(format!(
                "alter table {table} force row level security"
            )))
            .execute(&mut sql)
            .await
            .expect("altered");
            if rows > 0 {
                found.push(table);
            }
        }
        found
    }
}
