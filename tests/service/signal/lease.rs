//! Who gets a job when: due, given back, its holder dead, its lease run out.

use super::world::World;
use hansard::{
    domain::{id::JobId, time::Micros},
    store::{Tx, job, new_id, unheard},
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
    let capture = job::ensure(&mut tx, world.tenant, world.meeting, "capture", &json!({}))
        .await
        .expect("a job");
    let mix = job::ensure(&mut tx, world.tenant, world.meeting, "mix", &json!({}))
        .await
        .expect("a job");
    let kinds = ["capture", "mix"];
    let claimed = job::claim(&mut tx, &kinds, one, &[], 10)
        .await
        .expect("asked");
    assert_eq!(claimed.len(), 2);
    assert!(
        job::expired(&mut tx, other, 10)
            .await
            .expect("asked")
            .is_empty()
    );
    assert!(
        job::take_over(&mut tx, capture, 1, other)
            .await
            .expect("asked")
            .is_none(),
        "it is held"
    );

    for id in [capture, mix] {
        run_out(&mut tx, id).await;
    }
    let claimed = job::claim(&mut tx, &kinds, other, &[], 10)
        .await
        .expect("asked");
    assert_eq!(
        claimed.iter().map(|job| job.id).collect::<Vec<_>>(),
        [mix],
        "a job of files is anybody's"
    );
    assert!(
        job::expired(&mut tx, one, 10)
            .await
            .expect("asked")
            .is_empty(),
        "one's own is not asked for"
    );
    let expired = job::expired(&mut tx, other, 10).await.expect("asked");
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
        job::renew(&mut tx, one, &[(capture, 1)])
            .await
            .expect("asked"),
        [capture]
    );
    assert!(
        job::take_over(&mut tx, capture, 1, other)
            .await
            .expect("asked")
            .is_none()
    );
    // Of two who both waited for it, one gets it; its holder learns that it is gone.
    run_out(&mut tx, capture).await;
    assert!(
        job::take_over(&mut tx, capture, 2, other)
            .await
            .expect("asked")
            .is_none(),
        "another epoch"
    );
    let taken = job::take_over(&mut tx, capture, 1, other)
        .await
        .expect("asked")
        .expect("it is taken");
    assert_eq!((taken.id, taken.epoch), (capture, 2));
    assert!(
        job::take_over(&mut tx, capture, 1, third)
            .await
            .expect("asked")
            .is_none()
    );
    assert!(
        job::renew(&mut tx, one, &[(capture, 1)])
            .await
            .expect("asked")
            .is_empty()
    );

    // Whoever is known to be dead holds nothing.
    let claimed = job::claim(&mut tx, &kinds, third, &[other], 10)
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
