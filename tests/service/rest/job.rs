//! One run of a job, as a worker makes it.

use super::app::App;
use hansard::{
    domain::lease::LeaseState,
    store::{job, lease, new_id},
    worker::{Claimed, Job, Outcome},
};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Claims one of its kind and runs it once; where that waits, it is queued again.
pub async fn run(app: &App, job: impl Job) -> Outcome {
    let outcome = once(app, Arc::new(job)).await.1;
    outcome.expect("it runs")
}

/// The same of one that fails: what the failure means.
pub async fn fails(app: &App, job: impl Job) -> Outcome {
    let job = Arc::new(job);
    let (row, outcome) = once(app, job.clone()).await;
    job.failed(row, outcome.expect_err("it fails")).await
}

async fn once(app: &App, job: Arc<impl Job>) -> (job::Job, anyhow::Result<Outcome>) {
    let owner = new_id();
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    let row = lease::claim(&mut tx, &[job.kind().as_str()], owner, &[], 1)
        .await
        .expect("claims")
        .pop()
        .expect("a job");
    tx.commit().await.expect("commits");
    let (_state, lease) = watch::channel(LeaseState::Held);
    let id = row.id;
    let claimed = Claimed {
        job: row.clone(),
        owner,
        lease,
        stop: CancellationToken::new(),
    };
    let outcome = job.run(claimed).await;
    if !matches!(outcome, Ok(Outcome::Settled | Outcome::Done)) {
        sqlx::query("update jobs set state = 'queued', owner = null, run_at = now() where id = $1")
            .bind(id.0)
            .execute(&mut app.sql().await)
            .await
            .expect("Postgres answers");
    }
    (row, outcome)
}
