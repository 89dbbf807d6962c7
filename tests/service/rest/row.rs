//! What Postgres itself holds to: tenants apart, a log that only grows, events in order and for a
//! time.

use super::app::App;
use hansard::{
    domain::{
        event::{Event, RecordingReport, Retraction},
        id::{MeetingId, ParticipantId, SegmentId, TenantId, UserId},
        participant::{Answers, AnswersSince, Person, Role},
        recording_state::RecordingState,
        transcript::RetractionReason,
    },
    store::{self, attendance, consent, event, meeting, user},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

#[tokio::test]
async fn two_tenants_on_one_connection_see_their_own_rows() {
    let app = App::start().await;
    let (other, other_key) = app.other_tenant().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let body = json!({"email": "zoe@example.org", "displayName": "Zoe"});
    let zoe = super::app::id(
        &app.call("POST", "/v1/users", &other_key, Some(body))
            .await
            .expect(201),
    );

    // One connection for both, so that what the first left behind would show.
    let store = store::Store::open(&app.url, 1).expect("the URL is good");
    for (tenant, theirs) in [
        (app.tenant, [true, false]),
        (other, [false, true]),
        (app.tenant, [true, false]),
    ] {
        let mut tx = store.tenant_tx(tenant).await.expect("Postgres answers");
        let seen = [
            user::get(&mut tx, ana.into())
                .await
                .expect("Postgres answers")
                .is_some(),
            user::get(&mut tx, zoe.into())
                .await
                .expect("Postgres answers")
                .is_some(),
        ];
        assert_eq!(seen, theirs);
        let found = meeting::get(&mut tx, meeting)
            .await
            .expect("Postgres answers")
            .is_some();
        assert_eq!(found, theirs[0]);
        // Neither can rows be put into, or moved to, another tenant.
        tx.commit().await.expect("Postgres answers");
    }
    let mut tx = store.tenant_tx(other).await.expect("Postgres answers");
    let planted =
        sqlx::query("insert into users (id, tenant_id, display_name) values ($1, $2, 'Eve')")
            .bind(Uuid::now_v7())
            .bind(app.tenant.0)
            .execute(&mut *tx)
            .await;
    assert!(
        planted
            .expect_err("refused")
            .to_string()
            .contains("row-level security")
    );
    drop(tx);
    let mut tx = store.tenant_tx(other).await.expect("Postgres answers");
    let changed = sqlx::query("update meetings set status = 'ended'")
        .execute(&mut *tx)
        .await
        .expect("sees none");
    assert_eq!(changed.rows_affected(), 0);
    drop(tx);

    // Without a tenant nothing is seen at all.
    let mut tx = store.secret_tx(&[0; 32]).await.expect("Postgres answers");
    for table in tables(&app).await {
        let sql = format!("select count(*) from {table}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *tx)
            .await
            .expect("may look");
        assert_eq!(rows, 0, "{table}");
    }
}

/// The tables that belong to tenants: all with the column, but for keys, which are looked up to
/// find the tenant.
async fn tables(app: &App) -> Vec<String> {
    sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
         where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace
           and c.relname <> 'api_keys' order by 1",
    )
    .fetch_all(&mut app.sql().await)
    .await
    .expect("Postgres answers")
}

#[tokio::test]
async fn every_table_of_tenants_has_forced_row_level_security() {
    let app = App::start().await;
    assert!(tables(&app).await.len() >= 16);
    for table in tables(&app).await {
        let row =
            sqlx::query("select relrowsecurity, relforcerowsecurity from pg_class where oid = $1::text::regclass")
                .bind(&table)
                .fetch_one(&mut app.sql().await)
                .await
                .expect("Postgres answers");
        assert!(row.get::<bool, _>(0) && row.get::<bool, _>(1), "{table}");
    }
    // Partitions named directly would go around the policies of their parent: nobody but the owner
    // may.
    for role in ["hansard_app", "hansard_worker"] {
        let granted: i64 = sqlx::query_scalar(
            "select count(*) from pg_class where relispartition and relkind = 'r'
             and has_table_privilege($1, oid, 'select, insert, update, delete, truncate')",
        )
        .bind(role)
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");
        assert_eq!(granted, 0, "{role}");
    }
}

#[tokio::test]
async fn the_consent_log_only_grows() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    app.who_agreed(meeting, ana, "recording").await;

    let partition: String = sqlx::query_scalar("select tableoid::regclass::text from consent_log")
        .fetch_one(&mut app.sql().await)
        .await
        .expect("Postgres answers");
    let changes = |table: &str| {
        [
            format!("update {table} set status = 'withdrawn'"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("truncate {table} cascade"),
        ]
    };
    for statement in changes("consent_log")
        .into_iter()
        .chain(changes(&partition))
    {
        for role in ["hansard_app", "hansard_worker", "owner"] {
            let mut conn = store::owner(&app.url).await.expect("Postgres answers");
            if role != "owner" {
                sqlx::query(AssertSqlSafe(format!("set role {role}")))
                    .execute(&mut conn)
                    .await
                    .expect("a member");
            }
            sqlx::query("select set_config('app.tenant', $1, false)")
                .bind(app.tenant.to_string())
                .execute(&mut conn)
                .await
                .expect("set");
            let refused = sqlx::query(AssertSqlSafe(statement.clone()))
                .execute(&mut conn)
                .await;
            assert!(refused.is_err(), "{statement} as {role}: {refused:?}");
        }
    }
    let mut tx = app.tenant_tx().await;
    assert!(
        consent::verify(&mut tx, meeting)
            .await
            .expect("Postgres answers")
            .is_ok()
    );
}

#[tokio::test]
async fn migrations_run_again_and_side_by_side() {
    let app = App::start().await;
    let url = crate::support::postgres::shared()
        .await
        .empty_database()
        .await;
    let (one, two) = tokio::join!(store::migrate(&url), store::migrate(&url));
    one.and(two).expect("both find it done");
    store::migrate(&url).await.expect("again");
    store::migrate(&app.url)
        .await
        .expect("on what the tests use");
}

#[tokio::test]
async fn the_heads_lock_orders_events() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let meeting = app.meeting(ana).await;
    let (tenant, store): (TenantId, _) = (app.tenant, &app.state.store);
    let append = |n: u128| async move {
        let mut tx = store.tenant_tx(tenant).await?;
        event::lock(&mut tx, meeting).await?;
        let gone = Event::TranscriptRetracted(Retraction {
            segment_id: SegmentId(Uuid::from_u128(n)),
            reason: RetractionReason::Empty,
        });
        event::append(&mut tx, meeting, &gone).await?;
        tx.commit().await?;
        Ok::<(), store::StoreError>(())
    };
    for result in futures_util::future::join_all((0..20).map(append)).await {
        result.expect("appended");
    }
    let mut tx = store.tenant_tx(tenant).await.expect("Postgres answers");
    let seqs: Vec<i64> = event::after(&mut tx, meeting, 0, 100)
        .await
        .expect("read")
        .into_iter()
        .map(|event| event.seq)
        .collect();
    assert_eq!(seqs, (1..=20).collect::<Vec<_>>());
    let unknown = MeetingId(Uuid::now_v7());
    assert!(matches!(
        event::lock(&mut tx, unknown).await,
        Err(store::StoreError::NotFound)
    ));
}

fn report(state: RecordingState) -> Event {
    Event::RecordingState(RecordingReport::idle(state, None, 1))
}

fn somebody() -> Person {
    Person {
        id: ParticipantId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        display_name: "Ana".into(),
        role: Role::Participant,
        joined_at: None,
        left_at: None,
        present: true,
        removed: None,
        tokens_from: None,
        consent: Answers::default(),
        consent_since: AnswersSince::default(),
        streams: Vec::new(),
    }
}

/// Events hold names: they go a day after the end, and what files are made of later stays.
#[tokio::test]
async fn events_go_a_day_after_the_end() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let store = &app.state.store;
    let mut meetings = Vec::new();
    for _ in 0..14 {
        let meeting = app.meeting(ana).await;
        let mut tx = store.tenant_tx(app.tenant).await.expect("Postgres answers");
        event::append(&mut tx, meeting, &Event::ParticipantJoined(somebody()))
            .await
            .expect("appended");
        use RecordingState::{Paused, Recording};
        for state in [Recording, Paused, Recording] {
            event::append(&mut tx, meeting, &report(state))
                .await
                .expect("appended");
        }
        tx.commit().await.expect("Postgres answers");
        meetings.push(meeting);
    }
    let (running, recent) = (meetings[0], meetings[1]);
    let ended = |ago: &str| {
        format!(
            "update meetings set status = 'ended', end_time = now() - interval '{ago}' where id = any($1)"
        )
    };
    for (ago, which) in [("23 hours", &meetings[1..2]), ("25 hours", &meetings[2..])] {
        let ids: Vec<Uuid> = which.iter().map(|meeting| meeting.0).collect();
        let mut tx = store.worker_tx().await.expect("Postgres answers");
        sqlx::query(AssertSqlSafe(ended(ago)))
            .bind(ids)
            .execute(&mut *tx)
            .await
            .expect("updated");
        tx.commit().await.expect("Postgres answers");
    }
    assert_eq!(store::sweep(store).await.expect("Postgres answers"), 12);
    assert_eq!(store::sweep(store).await.expect("Postgres answers"), 0);
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    for meeting in &meetings {
        let left = event::after(&mut tx, *meeting, 0, 10)
            .await
            .expect("read")
            .len();
        assert_eq!(
            left,
            if [running, recent].contains(meeting) {
                4
            } else {
                0
            }
        );
        let paused = attendance::paused(&mut tx, *meeting).await.expect("read");
        assert!(matches!(paused[..], [(_, Some(_))]), "{paused:?}");
    }
    drop(tx);
    // One that is worked on again numbers on, and is forgotten again.
    let again = meetings[5];
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    let told = event::append(&mut tx, again, &report(RecordingState::Ready))
        .await
        .expect("appended");
    tx.commit().await.expect("Postgres answers");
    assert_eq!(told.seq, 5);
    assert_eq!(store::sweep(store).await.expect("Postgres answers"), 1);
}

#[tokio::test]
async fn what_has_had_its_time_is_forgotten() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    for age in ["23 hours", "25 hours"] {
        sqlx::query(AssertSqlSafe(format!(
            "insert into idempotency_keys (tenant_id, route, key, body_hash, created_at)
             values ($1, 'POST /', '{age}', '', now() - interval '{age}')"
        )))
        .bind(app.tenant.0)
        .execute(&mut app.sql().await)
        .await
        .expect("inserted");
    }
    app.post(
        &format!("/v1/users/{ana}/sessions"),
        json!({"ttlSeconds": 60}),
    )
    .await
    .expect(201);
    sqlx::query("update session_codes set expires_at = now() - interval '2 hours'")
        .execute(&mut app.sql().await)
        .await
        .expect("updated");
    assert_eq!(
        store::sweep(&app.state.store)
            .await
            .expect("Postgres answers"),
        2
    );
    assert_eq!(
        store::sweep(&app.state.store)
            .await
            .expect("Postgres answers"),
        0
    );
}
