//! `hansard jobs`: what an operator sees of jobs, and does with them.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use super::commands::with_database;
use crate::{
    command::retry,
    config::{JobsCommand, Settings},
    domain::{
        id::TenantId,
        job::{JobKind, JobState},
        wire_time::wire_time,
    },
    store::{
        Store,
        backlog::{self, Listed},
        event,
    },
};
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};

pub async fn jobs(settings: &Settings, command: JobsCommand) -> anyhow::Result<()> {
    with_database(settings, async |url| {
        // Policies hide rows from whoever the URL names; the workers' role sees all.
        let store = Store::open(url, 1)?;
        let done = run(&store, command).await;
        store.close().await;
        done
    })
    .await
}

async fn run(store: &Store, command: JobsCommand) -> anyhow::Result<()> {
    let mut tx = store.worker_tx().await?;
    match command {
        JobsCommand::List { all, limit } => {
            let found = backlog::list(&mut tx, all, limit.into()).await?;
            if found.is_empty() {
                println!("no job waits, runs or failed");
            }
            for job in found {
                println!("{}", line(&job));
            }
        }
        JobsCommand::Show { id } => show(
            &backlog::get(&mut tx, id)
                .await?
                .with_context(|| nothing(id))?,
        ),
        JobsCommand::Retry { id } => {
            let job = backlog::get(&mut tx, id)
                .await?
                .with_context(|| nothing(id))?;
            let meeting = job.subject().meeting();
            if let Some(meeting) = meeting {
                event::lock(&mut tx, meeting).await?;
            }
            match (job.state, meeting) {
                (JobState::Running, _) => bail!("it runs"),
                (JobState::Done, _) => bail!("it is done"),
                // Its recordings are to say that they are being made.
                (JobState::Failed, Some(meeting))
                    if [JobKind::Join, JobKind::Mix].contains(&job.kind) =>
                {
                    // Without a queue here: sockets and workers find it when they look into the
                    // store for what they missed.
                    retry::files(&mut tx, TenantId(job.tenant_id), meeting).await?;
                }
                _ => {
                    backlog::retry(&mut tx, id).await?;
                }
            }
            tx.commit().await?;
            println!("{}", JobState::Queued);
        }
    }
    Ok(())
}

fn nothing(id: uuid::Uuid) -> String {
    format!("there is no job {id}; `hansard jobs list` shows them")
}

fn line(job: &Listed) -> String {
    let state = match &job.waiting_for {
        // Also while it looks whether that is back.
        Some(away) if [JobState::Queued, JobState::Running].contains(&job.state) => {
            format!("waits for {away}")
        }
        _ => job.state.to_string(),
    };
    let error = job
        .error
        .as_deref()
        .map(|error| format!("  {error}"))
        .unwrap_or_default();
    let failed = job.attempts - i32::from(job.state == JobState::Running);
    format!(
        "{}  {:<10} {state:<18} failed {failed}  {}{error}",
        job.id,
        job.kind,
        job.subject()
    )
}

fn show(job: &Listed) {
    let time = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), wire_time);
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    println!("job          {}", job.id);
    println!("tenant       {}", job.tenant_id);
    println!("{:<12} {}", job.subject_kind, job.subject);
    println!("kind         {}", job.kind);
    println!("state        {}", job.state);
    println!("attempts     {}", job.attempts);
    let progress = job.progress.map(|share| format!("{:.0} %", share * 100.0));
    println!("progress     {}", or(&progress));
    println!("waits        {} for {}", job.waits, or(&job.waiting_for));
    println!(
        "owner        {}",
        job.owner
            .map_or_else(|| "-".to_owned(), |owner| owner.to_string())
    );
    println!("lease until  {}", time(job.lease_until));
    println!("due          {}", time(Some(job.run_at)));
    println!("created      {}", time(Some(job.created_at)));
    println!("finished     {}", time(job.finished_at));
    println!("error        {}", or(&job.error));
}
