//! Who gets a job when: due, given back, its holder dead, its lease run out.

use super::world::World;
use hansard::{
    domain::{
        id::{JobId, RecordingId, UserId},
        job::{JobKind, Subject},
        time::{MeetingTime, Micros},
    },
    store::{Tx, job, lease, new_id, refine, unheard},
};
use serde_json::json;

async fn run_out(tx: &mut Tx, id: JobId) {
    sqlx::query(
        "update jobs set lease_until = clock_timestamp() - interval '2 seconds' where id = $1",
    )
    .bind(id.0)
    .execute(&mut **tx)
    .await
    .expect("it is written");
}

#[tokio::test]
async fn a_live_meeting_is_not_anybodys_because_its_lease_ran_out() {
    let world = World::new().await;
    let [one, other, third] = [new_id(), new_id(), new_id()];
    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    let capture = job::ensure(
        &mut tx,
        world.tenant,
        JobKind::Capture,
        world.meeting,
        &json!({}),
    )
    .await
    .expect("a job");
    let mix = job::ensure(
        &mut tx,
        world.tenant,
        JobKind::Mix,
        world.meeting,
        &json!({}),
    )
    .await
    .expect("a job");
    let kinds = ["capture", "mix"];
    let claimed = lease::claim(&mut tx, &kinds, one, &[], 10)
        .await
        .expect("asked");
    assert_eq!(claimed.len(), 2);
    assert!(
        lease::expired(&mut tx, other, 10)
            .await
            .expect("asked")
            .is_empty()
    );
    assert!(
        lease::take_over(&mut tx, capture, 1, other)
            .await
            .expect("asked")
            .is_none(),
        "it is held"
    );

    for id in [capture, mix] {
        run_out(&mut tx, id).await;
    }
    let claimed = lease::claim(&mut tx, &kinds, other, &[], 10)
        .await
        .expect("asked");
    assert_eq!(
        claimed.iter().map(|job| job.id).collect::<Vec<_>>(),
        [mix],
        "a job of files is anybody's"
    );
    assert!(
        lease::expired(&mut tx, one, 10)
            .await
            .expect("asked")
            .is_empty(),
        "one's own is not asked for"
    );
    let expired = lease::expired(&mut tx, other, 10).await.expect("asked");
    assert_eq!(
        expired
            .iter()
            .map(|it| (it.id, it.epoch, it.owner))
            .collect::<Vec<_>>(),
        [(capture, 1, Some(one))]
    );
    assert!(
        (1_900_000..60_000_000).contains(&expired[0].ago.0),
        "{:?}",
        expired[0].ago
    );

    // Its holder had Postgres back first.
    assert_eq!(
        lease::renew(&mut tx, one, &[(capture, 1)])
            .await
            .expect("asked"),
        [capture]
    );
    assert!(
        lease::take_over(&mut tx, capture, 1, other)
            .await
            .expect("asked")
            .is_none()
    );
    // Of two who both waited for it, one gets it; its holder learns that it is gone.
    run_out(&mut tx, capture).await;
    assert!(
        lease::take_over(&mut tx, capture, 2, other)
            .await
            .expect("asked")
            .is_none(),
        "another epoch"
    );
    let taken = lease::take_over(&mut tx, capture, 1, other)
        .await
        .expect("asked")
        .expect("it is taken");
    assert_eq!((taken.id, taken.epoch), (capture, 2));
    assert!(
        lease::take_over(&mut tx, capture, 1, third)
            .await
            .expect("asked")
            .is_none()
    );
    assert!(
        lease::renew(&mut tx, one, &[(capture, 1)])
            .await
            .expect("asked")
            .is_empty()
    );

    // Whoever is known to be dead holds nothing.
    let claimed = lease::claim(&mut tx, &kinds, third, &[other], 10)
        .await
        .expect("asked");
    assert_eq!(claimed.len(), 2);
    let holdings = unheard::holdings(&mut tx, world.meeting)
        .await
        .expect("read");
    assert_eq!(
        holdings
            .iter()
            .map(|(epoch, ..)| *epoch)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(expired[0].ago > Micros(0));
}

#[tokio::test]
async fn a_job_is_one_of_its_kind_and_its_subject() {
    let world = World::new().await;
    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    let (one, other) = (RecordingId(new_id()), RecordingId(new_id()));
    for recording in [one, other] {
        sqlx::query(
            "insert into recordings (id, tenant_id, meeting_id, kind, media_type, start_ms)
             values ($1, $2, $3, $4, 'audio/x-matroska', 0)",
        )
        .bind(recording.0)
        .bind(world.tenant.0)
        .bind(world.meeting.0)
        .bind(if recording == one { "track" } else { "mix" })
        .execute(&mut *tx)
        .await
        .expect("a recording");
    }
    let subjects: [Subject; 4] = [
        world.meeting.into(),
        one.into(),
        other.into(),
        UserId(new_id()).into(),
    ];
    let mut made = Vec::new();
    for kind in [JobKind::Clean, JobKind::Tier] {
        for subject in subjects {
            let id = job::ensure(&mut tx, world.tenant, kind, subject, &json!({}))
                .await
                .expect("a job");
            let again = job::ensure(&mut tx, world.tenant, kind, subject, &json!({}))
                .await
                .expect("the same");
            assert_eq!(id, again);
            made.push((id, subject));
        }
    }
    let mut claimed: Vec<(JobId, Subject)> =
        lease::claim(&mut tx, &["clean", "tier"], new_id(), &[], 10)
            .await
            .expect("claimed")
            .into_iter()
            .map(|job| (job.id, job.subject))
            .collect();
    claimed.sort();
    made.sort();
    assert_eq!(claimed, made);
    let of_meeting: i64 = sqlx::query_scalar("select count(*) from jobs where meeting_id = $1")
        .bind(world.meeting.0)
        .fetch_one(&mut *tx)
        .await
        .expect("counts");
    assert_eq!(of_meeting, 6, "what is about its recordings is its, too");
}

#[tokio::test]
async fn a_claim_takes_no_more_than_it_asks_for() {
    let world = World::new().await;
    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    let kind = JobKind::Erase;
    for _ in 0..3 {
        job::ensure(&mut tx, world.tenant, kind, UserId(new_id()), &json!({}))
            .await
            .expect("a job");
    }
    let mut taken = Vec::new();
    for left in (0..4).rev() {
        let claimed = lease::claim(&mut tx, &[kind.as_str()], new_id(), &[], 1)
            .await
            .expect("asked");
        assert_eq!(claimed.len(), left.min(1));
        taken.extend(claimed.iter().map(|job| job.id));
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 3);
}

#[tokio::test]
async fn how_far_a_job_is_is_kept_for_whoever_goes_on_and_not_for_the_next() {
    let world = World::new().await;
    let (meeting, owner) = (world.meeting, new_id());
    let [one, other] = [new_id(), new_id()];
    let mut tx = world.store.worker_tx().await.expect("Postgres answers");
    let kind = JobKind::Transcript;
    let id = job::ensure(&mut tx, world.tenant, kind, meeting, &json!({}))
        .await
        .expect("a job");
    let kinds = [kind.as_str()];
    let claimed = lease::claim(&mut tx, &kinds, owner, &[], 1)
        .await
        .expect("claimed");
    for (of, at) in [(one, 1), (other, 2), (one, 3)] {
        refine::set_place(&mut tx, meeting, id, of, MeetingTime(at))
            .await
            .expect("noted");
    }
    job::ensure_again(&mut tx, world.tenant, kind, meeting)
        .await
        .expect("asked for");
    job::release(&mut tx, id, owner, claimed[0].epoch)
        .await
        .expect("given back");
    lease::claim(&mut tx, &kinds, new_id(), &[], 1)
        .await
        .expect("claimed");
    for (of, at) in [(one, 3), (other, 2), (new_id(), 0)] {
        let place = refine::place(&mut tx, meeting, id, of).await;
        assert_eq!(place.expect("read"), MeetingTime(at));
    }
    assert!(job::is_asked_again(&mut tx, id).await.expect("read"));
    sqlx::query("update jobs set state = 'done' where id = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await
        .expect("done");
    job::ensure(&mut tx, world.tenant, kind, meeting, &json!({}))
        .await
        .expect("queued anew");
    let place = refine::place(&mut tx, meeting, id, one).await;
    assert_eq!(place.expect("read"), MeetingTime::ZERO);
}
