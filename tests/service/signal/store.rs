//! The events and who is present, as rows.

use super::{
    log::decision,
    world::{World, updated},
};
use chrono::TimeDelta;
use hansard::{
    command::{self, end, join, leave, remove},
    domain::{
        admission::{Barred, EntryBy},
        consent::{ConsentStatus, ConsentType, Use},
        event::EventKind,
        id::SegmentId,
        participant::Removal,
        settings::{ConsentPolicy, MeetingSettings},
        wire_time::wire_time,
    },
    store::{
        StoreError, consent, consent::ConsentDecision, event, meeting, new_id, owner, presence,
    },
};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_first_to_come_starts_the_meeting_and_coming_twice_changes_nothing() {
    let world = World::new().await;
    let guest = world.invite("Ana").await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let door = EntryBy::Join(world.clock.now());
    let first = join::enter(&mut tx, world.meeting, guest.participant, door)
        .await
        .expect("read")
        .expect("let in");
    let again = join::enter(&mut tx, world.meeting, guest.participant, door)
        .await
        .expect("read")
        .expect("let in");
    assert_eq!(
        (first.effects.events.len(), again.effects.events.len()),
        (1, 0)
    );
    assert_eq!((first.socket, again.socket), (1, 2));
    assert!(!first.effects.jobs.is_empty() && again.effects.jobs.is_empty());
    let of = meeting::get(&mut tx, world.meeting)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (of.status.as_str(), of.start_time),
        ("live", first.person.joined_at)
    );
    let data = &first.effects.events[0].data;
    assert_eq!(data["displayName"], "Ana");
    assert_eq!(
        data["consent"],
        json!({"recording": null, "transcription": null})
    );
    assert_eq!(
        (&data["present"], &data["streams"], &data["leftAt"]),
        (&json!(true), &json!([]), &json!(null))
    );

    let roster = event::head(&mut tx, world.meeting)
        .await
        .expect("read")
        .roster;
    let left = leave::leave(&mut tx, world.meeting, guest.participant)
        .await
        .expect("left");
    assert_eq!(left.events[0].kind, EventKind::ParticipantLeft);
    assert!(
        leave::leave(&mut tx, world.meeting, guest.participant)
            .await
            .expect("read")
            .is_empty()
    );
    assert_eq!(
        event::head(&mut tx, world.meeting)
            .await
            .expect("read")
            .roster,
        roster + 1
    );

    // Back: the first join stays the first, a second visit is opened.
    let back = join::enter(&mut tx, world.meeting, guest.participant, door)
        .await
        .expect("read")
        .expect("let in");
    assert_eq!(back.person.joined_at, first.person.joined_at);
    let visits: Vec<(i32, bool)> = sqlx::query_as(
        "select n, left_at is null from participant_visits where meeting_id = $1 and participant_id = $2 order by n",
    )
    .bind(world.meeting.0)
    .bind(guest.participant.0)
    .fetch_all(&mut *tx)
    .await
    .expect("read");
    assert_eq!(visits, [(1, false), (2, true)]);
    let floor = event::before_first_join(&mut tx, world.meeting, guest.participant)
        .await
        .expect("read");
    assert_eq!(floor, Some(first.effects.events[0].seq - 1));
    let dismissed = end::dismiss(&mut tx, world.meeting)
        .await
        .expect("dismissed");
    assert_eq!(dismissed.events.len(), 1);
    meeting::end(&mut tx, world.meeting).await.expect("ends");
    assert_eq!(
        join::enter(&mut tx, world.meeting, guest.participant, door)
            .await
            .expect("read"),
        Err(Barred::Ended)
    );
}

#[tokio::test]
async fn a_removal_voids_tokens_and_only_a_request_bars_for_good() {
    let world = World::new().await;
    let guest = world.invite("Ana").await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let minted = world.clock.now();
    let enter = async |tx: &mut sqlx::PgConnection, door| {
        join::enter(tx, world.meeting, guest.participant, door)
            .await
            .expect("read")
            .map(drop)
    };
    assert_eq!(
        enter(&mut tx, EntryBy::Resume(minted)).await,
        Err(Barred::Absent)
    );
    assert_eq!(enter(&mut tx, EntryBy::Join(minted)).await, Ok(()));
    assert_eq!(enter(&mut tx, EntryBy::Resume(minted)).await, Ok(()));
    let gone = remove::remove(&mut tx, world.meeting, guest.participant, Removal::Required)
        .await
        .expect("removed");
    assert_eq!(gone.events.len(), 1);
    assert_eq!(gone.events[0].data["removed"], "required");
    assert_eq!(
        enter(&mut tx, EntryBy::Join(minted)).await,
        Err(Barred::Removed)
    );
    assert_eq!(
        enter(&mut tx, EntryBy::Resume(minted)).await,
        Err(Barred::Removed)
    );
    assert_eq!(enter(&mut tx, EntryBy::Stream).await, Err(Barred::Removed));
    let fresh = minted + TimeDelta::seconds(60);
    assert_eq!(enter(&mut tx, EntryBy::Join(fresh)).await, Ok(()));
    assert_eq!(
        enter(&mut tx, EntryBy::Join(minted)).await,
        Err(Barred::Removed),
        "still void"
    );
    remove::remove(&mut tx, world.meeting, guest.participant, Removal::Request)
        .await
        .expect("removed");
    let twice = remove::remove(&mut tx, world.meeting, guest.participant, Removal::Request)
        .await
        .expect("removed");
    assert!(twice.events.is_empty());
    assert_eq!(
        enter(&mut tx, EntryBy::Join(fresh)).await,
        Err(Barred::Removed)
    );
}

#[tokio::test]
async fn required_lets_nobody_in_without_consent_and_removes_who_takes_it_back() {
    let settings = MeetingSettings {
        consent_policy: ConsentPolicy::Required,
        ..MeetingSettings::default()
    };
    let world = World::with(settings).await;
    let guest = world.invite("Ana").await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let door = EntryBy::Join(world.clock.now());
    let barred = join::enter(&mut tx, world.meeting, guest.participant, door)
        .await
        .expect("read");
    assert_eq!(
        barred,
        Err(Barred::ConsentRequired(vec![
            Use::Recording,
            Use::Transcription
        ]))
    );
    let partly = ConsentDecision {
        consent_type: ConsentType::Recording,
        ..decision(&world, guest.participant, ConsentStatus::Accepted)
    };
    command::consent::record(&mut tx, &partly)
        .await
        .expect("said");
    let barred = join::enter(&mut tx, world.meeting, guest.participant, door)
        .await
        .expect("read");
    assert_eq!(
        barred,
        Err(Barred::ConsentRequired(vec![Use::Transcription]))
    );
    command::consent::record(
        &mut tx,
        &decision(&world, guest.participant, ConsentStatus::Accepted),
    )
    .await
    .expect("said");
    assert!(
        join::enter(&mut tx, world.meeting, guest.participant, door)
            .await
            .expect("read")
            .is_ok()
    );
    let back = command::consent::record(
        &mut tx,
        &decision(&world, guest.participant, ConsentStatus::Declined),
    )
    .await
    .expect("said");
    let kinds: Vec<_> = back
        .effects
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .collect();
    assert_eq!(kinds, ["consent_updated", "participant_left"]);
}

#[tokio::test]
async fn finals_are_rendered_from_their_row_and_a_rollback_leaves_no_hole() {
    let world = World::new().await;
    let guest = world.invite("Ana").await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    join::enter(&mut tx, world.meeting, guest.participant, EntryBy::Stream)
        .await
        .expect("read")
        .expect("let in");
    command::consent::record(
        &mut tx,
        &decision(&world, guest.participant, ConsentStatus::Accepted),
    )
    .await
    .expect("said");
    tx.commit().await.expect("commits");

    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    event::append(&mut tx, world.meeting, &updated("Somebody"))
        .await
        .expect("stored");
    tx.rollback().await.expect("rolls back");

    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    let segment = SegmentId(new_id());
    sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, language, text,
                                          words, revision, epoch, consent_entry)
         values ($1, $2, $3, $4, 61230, 63410, 'en', 'naïve 😀', '[]', 3, 1, 1)",
    )
    .bind(world.meeting.0)
    .bind(segment.0)
    .bind(world.tenant.0)
    .bind(guest.participant.0)
    .execute(&mut *tx)
    .await
    .expect("stored");
    let told = event::append_final(&mut tx, world.meeting, segment)
        .await
        .expect("stored");
    tx.commit().await.expect("commits");
    assert_eq!((told.seq, told.kind.as_str()), (3, "transcript_update"));
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let start = meeting::get(&mut tx, world.meeting)
        .await
        .expect("read")
        .and_then(|m| m.start_time)
        .expect("started");
    assert_eq!(
        told.data,
        json!({
            "segmentId": segment,
            "revision": 3,
            "final": true,
            "participant": {"id": guest.participant, "displayName": "Ana"},
            "startMs": 61230,
            "endMs": 63410,
            "startAt": wire_time(start + TimeDelta::milliseconds(61230)),
            "language": "en",
            "text": "naïve 😀",
            "stableChars": 8,
            "words": [],
        })
    );
    assert_eq!(world.all_events().await.last(), Some(&told));
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let world = World::new().await;
    let guest = world.invite("Ana").await;
    world.store_update("Somebody").await;
    let mut conn = owner(&world.url).await.expect("Postgres answers");
    let other = hansard::store::tenant::ensure(&mut conn, "Other")
        .await
        .expect("a tenant");
    let mut tx = world
        .store
        .tenant_tx(other)
        .await
        .expect("Postgres answers");
    assert!(
        event::after(&mut tx, world.meeting, 0, 10)
            .await
            .expect("read")
            .is_empty()
    );
    assert!(matches!(
        event::head(&mut tx, world.meeting).await,
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        event::lock(&mut tx, world.meeting).await,
        Err(StoreError::NotFound)
    ));
    let decision = decision(&world, guest.participant, ConsentStatus::Accepted);
    assert!(matches!(
        command::consent::record(&mut tx, &decision).await,
        Err(StoreError::NotFound)
    ));
}

#[tokio::test]
async fn hot_queries_touch_one_partition_of_each_table() {
    let world = World::new().await;
    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    for (name, query, third) in [
        ("events after", event::AFTER, Some(200_i64)),
        ("log above", consent::ABOVE, Some(50)),
        ("people", presence::PEOPLE, None),
        ("streams", presence::STREAMS, Some(16)),
    ] {
        // Planned as for a prepared statement that is used again and again.
        sqlx::query("set local plan_cache_mode = force_generic_plan")
            .execute(&mut *tx)
            .await
            .expect("set");
        let explain = format!("explain (analyze, costs off, timing off) {query}");
        let plan =
            sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(explain)).bind(world.meeting.0);
        let plan = if query.contains("$2::uuid") {
            plan.bind(None::<uuid::Uuid>)
        } else {
            plan.bind(0_i64)
        };
        let plan = if let Some(third) = third {
            plan.bind(third)
        } else {
            plan
        };
        let lines = plan.fetch_all(&mut *tx).await.expect("explained");
        let touched: BTreeSet<&str> = lines
            .iter()
            .filter(|line| !line.contains("never executed"))
            .filter_map(|line| line.split(" on ").nth(1)?.split_whitespace().next())
            .filter(|table| {
                table
                    .rsplit('_')
                    .next()
                    .is_some_and(|end| end.len() == 2 && end.parse::<u8>().is_ok())
            })
            .collect();
        let tables: BTreeSet<&str> = touched
            .iter()
            .map(|table| &table[..table.len() - 3])
            .collect();
        assert_eq!(touched.len(), tables.len(), "{name}: {lines:#?}");
        assert!(!touched.is_empty(), "{name}: {lines:#?}");
    }
}
