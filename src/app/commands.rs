//! Commands that do one thing and end.
#![allow(clippy::print_stdout, reason = "their output is what they are for")]

use crate::{
    api::secret::Secret,
    command,
    config::{ConsentCommand, KeyCommand, ModelCommand, OpenapiFlags, Settings, TenantCommand},
    doctor,
    domain::{id::MeetingId, tenant_settings::Change},
    embed::postgres::{Durability, Postgres},
    objects::Objects,
    speech::{fetch, model::Registry},
    store::{self, Store, StoreError, consent, key, tenant},
};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgConnection;
use std::{process::ExitCode, time::Duration};

/// The database of a command: the one given, or the private one, started when `serve` does not run.
pub(super) async fn with_database<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if let Some(url) = &settings.database_url {
        return work(url.reveal()).await;
    }
    let folder = settings.data.join("postgres");
    // `serve` may have it running: then it is used and left alone.
    if let Some(url) = Postgres::running_url(&folder) {
        return work(&url).await;
    }
    let mut postgres =
        tokio::task::spawn_blocking(move || Postgres::start(&folder, Durability::Real)).await??;
    postgres.create_own().await?;
    let done = work(&postgres.own_url()).await;
    tokio::task::spawn_blocking(move || postgres.stop()).await??;
    done
}

/// The database and the bucket of a command, of which `serve` brings its own.
pub(super) async fn with_bucket<T>(
    settings: &Settings,
    connections: u32,
    work: impl AsyncFnOnce(Store, Objects) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (bucket, _, server) = doctor::reach_bucket(settings).await.map_err(|finding| {
        let mend = finding.mend.unwrap_or_default();
        anyhow::anyhow!("object storage: {}; {mend}", finding.found)
    })?;
    let objects = Objects::new(&bucket);
    let done = with_database(settings, async |url| {
        let store = Store::open(url, connections)?;
        let done = work(store.clone(), objects).await;
        store.close().await;
        done
    })
    .await;
    if let Some(server) = server {
        server.stop().await;
    }
    done
}

pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    with_database(settings, async |url| {
        store::migrate(url).await?;
        println!("the database is up to date");
        Ok(())
    })
    .await
}

/// Commands that only look, or take away, must work on a database of any version, and leave its
/// schema as it is.
async fn as_it_is(url: &str) -> anyhow::Result<PgConnection> {
    let mut conn = store::owner(url).await?;
    let there: bool = sqlx::query_scalar("select to_regclass('tenants') is not null")
        .fetch_one(&mut conn)
        .await?;
    anyhow::ensure!(
        there,
        "this database has no schema of ours yet: `hansard migrate` makes it"
    );
    Ok(conn)
}

pub async fn keys(settings: &Settings, command: KeyCommand) -> anyhow::Result<()> {
    with_database(settings, async |url| {
        if let KeyCommand::Create { .. } = command {
            store::migrate(url).await?;
        }
        let mut conn = as_it_is(url).await?;
        match command {
            KeyCommand::Create { tenant } => {
                let secret = Secret::random(Secret::API_KEY)?;
                let owner = tenant::ensure(&mut conn, &tenant).await?;
                key::insert(&mut conn, owner, &secret.hash(), secret.hint()).await?;
                println!("{}", secret.reveal());
            }
            KeyCommand::List { tenant } => {
                for row in key::list(&mut conn).await?.into_iter().filter(|row| row.tenant_name == tenant) {
                    println!("{}  {}…{}", row.id, row.hint, if row.revoked { "  revoked" } else { "" });
                }
            }
            KeyCommand::Revoke { id } => {
                if !key::revoke(&mut conn, id).await? {
                    bail!("there is no key {id} that still works; `hansard key list --tenant NAME` shows them");
                }
                println!("revoked");
            }
        }
        Ok(())
    })
    .await
}

pub async fn tenants(settings: &Settings, command: TenantCommand) -> anyhow::Result<()> {
    with_database(settings, async |url| {
        if let TenantCommand::Create { .. } | TenantCommand::Set { .. } = command {
            store::migrate(url).await?;
        }
        let mut conn = as_it_is(url).await?;
        match command {
            TenantCommand::Create { name } => {
                println!("{}", tenant::ensure(&mut conn, &name).await?)
            }
            TenantCommand::Set { name, change } => {
                set_tenant(url, &mut conn, &name, &change.into()).await?
            }
            TenantCommand::List => {
                for (id, name) in tenant::list(&mut conn).await? {
                    println!("{id}  {name}");
                }
            }
        }
        Ok(())
    })
    .await
}

/// Policies hide settings from whoever the URL names; the workers' role sees all.
async fn set_tenant(
    url: &str,
    conn: &mut PgConnection,
    name: &str,
    change: &Change,
) -> anyhow::Result<()> {
    let all = tenant::list(conn).await?;
    let Some((id, _)) = all.iter().find(|(_, known)| known == name) else {
        bail!("there is no tenant {name}; `hansard tenant list` shows them");
    };
    let store = Store::open(url, 1)?;
    let mut tx = store.worker_tx().await?;
    let settings = command::tenant::change(&mut tx, *id, change)
        .await?
        .map_err(|disorder| anyhow::anyhow!("{}-days {disorder}", disorder.tier))?;
    tx.commit().await?;
    store.close().await;
    let days = settings.tier_days;
    println!("warm       {}", days.warm);
    println!("cold       {}", days.cold);
    println!("archive    {}", days.archive);
    println!("retention  {}", settings.retention);
    println!("erasure    {}", settings.self_erasure);
    Ok(())
}

/// Says of each meeting whether its ConsentLog is as it was written.
pub async fn consents(settings: &Settings, command: ConsentCommand) -> anyhow::Result<ExitCode> {
    let ConsentCommand::Verify { meetings } = command;
    with_database(settings, async |url| {
        // Policies hide meetings from whoever the URL names, the workers' role sees all.
        let store = Store::open(url, 1)?;
        let mut all = ExitCode::SUCCESS;
        for meeting in meetings {
            let mut tx = store.worker_tx().await?;
            match consent::verify(&mut tx, MeetingId(meeting)).await {
                Ok(Ok(hash)) => println!("{meeting}  holds, head {hash}"),
                Ok(Err(broken)) => {
                    all = ExitCode::FAILURE;
                    println!("{meeting}  BROKEN: {broken}");
                }
                Err(StoreError::NotFound) => {
                    all = ExitCode::FAILURE;
                    println!("{meeting}  there is no such meeting");
                }
                Err(error) => return Err(error.into()),
            }
        }
        store.close().await;
        Ok(all)
    })
    .await
}

pub async fn models(settings: &Settings, command: ModelCommand) -> anyhow::Result<()> {
    let registry = Registry::new(&settings.data)?;
    match command {
        ModelCommand::Bench { name, seconds } => {
            let at_most = Duration::from_secs(seconds.into());
            super::bench::run(settings, name, at_most).await?;
        }
        ModelCommand::List => {
            let chosen = registry.default_name();
            for model in registry.models() {
                let here = if registry.find(&model.name).is_ok() {
                    "here"
                } else {
                    "-"
                };
                let mark = if model.name == chosen { "*" } else { " " };
                let mib = model.size_bytes.div_ceil(1 << 20);
                println!(
                    "{mark} {:<24} {mib:>6} MiB  {here:<5} {}",
                    model.name,
                    model.languages.join(",")
                );
            }
            println!("* is used; `hansard models fetch NAME` downloads another and makes it so");
        }
        ModelCommand::Fetch { name, base_url } => {
            let bar = ProgressBar::new(0).with_style(
                ProgressStyle::with_template(
                    "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
                )
                .context("a progress bar")?,
            );
            bar.set_message(name.clone());
            let base_url = base_url.or_else(|| settings.models_url.clone());
            let path = fetch::fetch(&registry, &name, base_url.as_deref(), |step| {
                bar.set_length(step.of_bytes);
                bar.set_position(step.bytes);
            })
            .await?;
            bar.finish();
            println!(
                "{name} is in {} and is used from the next start on",
                path.display()
            );
        }
    }
    Ok(())
}

/// Prints the document, or writes it.
pub fn openapi(flags: OpenapiFlags, text: &str) -> anyhow::Result<()> {
    match flags.output {
        Some(path) => {
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        }
        None => {
            print!("{text}");
            Ok(())
        }
    }
}
