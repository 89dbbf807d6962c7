//! Postgres: whether it is there, its schema, its clock, and the jobs in it.

use super::Finding;
use crate::{
    config::Settings,
    embed::postgres::{Durability, Postgres},
    store,
};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

const DATABASE_MIN: i32 = 15;
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(20);
/// Signatures of S3 requests are refused from 15 minutes on; log lines should be comparable long
/// before.
const CLOCK_OFF_WARN: Duration = Duration::from_secs(2);
const CLOCK_OFF_FAIL: Duration = Duration::from_secs(300);

pub async fn postgres(settings: &Settings) -> Vec<Finding> {
    let what = "Postgres";
    if let Some(url) = &settings.database_url {
        return database(url.reveal(), "given", "hansard migrate").await;
    }
    let folder = settings.data.join("postgres");
    let by_itself = "hansard serve brings it up to date by itself";
    if let Some(url) = Postgres::running_url(&folder) {
        return database(&url, "private, running", by_itself).await;
    }
    let started =
        tokio::task::spawn_blocking(move || Postgres::start(&folder, Durability::Real)).await;
    let mut postgres = match started {
        Ok(Ok(postgres)) => postgres,
        Ok(Err(error)) => {
            return vec![Finding::fail(
                what,
                format!("{error:#}"),
                "apt-get install postgresql, or set DATABASE_URL",
            )];
        }
        Err(error) => {
            return vec![Finding::fail(
                what,
                error.to_string(),
                "apt-get install postgresql",
            )];
        }
    };
    let findings = match postgres.create_own().await {
        Ok(()) => database(&postgres.own_url(), "private", by_itself).await,
        Err(error) => vec![Finding::fail(
            what,
            format!("{error:#}"),
            "look into postgres/log in the data directory",
        )],
    };
    // Dropping it would stop it as well, but on this thread.
    let _ = tokio::task::spawn_blocking(move || postgres.stop()).await;
    findings
}

async fn database(url: &str, which: &str, migrate: &str) -> Vec<Finding> {
    let what = "Postgres";
    match look(url, which, migrate).await {
        Ok(mut findings) => {
            if let Ok(finding) = super::limit::pooler(url).await {
                findings.push(finding);
            }
            findings
        }
        // The URL may hold a password, so only what was said.
        Err(error) => {
            vec![Finding::fail(
                what,
                error.to_string(),
                "see whether DATABASE_URL is right and Postgres runs there",
            )]
        }
    }
}

async fn look(url: &str, which: &str, migrate: &str) -> Result<Vec<Finding>, sqlx::Error> {
    let what = "Postgres";
    let mut connection = PgConnection::connect(url).await?;
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&mut connection)
        .await?;
    let number: String = sqlx::query_scalar("show server_version_num")
        .fetch_one(&mut connection)
        .await?;
    let found = format!("{version}, {which}");
    let mut findings = Vec::new();
    if number
        .parse::<i32>()
        .is_ok_and(|number| number / 10_000 < DATABASE_MIN)
    {
        findings.push(Finding::fail(
            what,
            found,
            format!("use Postgres {DATABASE_MIN} or later"),
        ));
    } else {
        findings.push(Finding::ok(what, found));
    }
    findings.push(schema(&mut connection, migrate).await?);
    findings.push(clock(&mut connection).await?);
    // From here on the connection acts as the workers' role.
    findings.extend(super::jobs::look(&mut connection).await?);
    findings.extend(super::deletions::look(&mut connection).await?);
    findings.extend(super::sweep::look(&mut connection).await?);
    connection.close().await?;
    Ok(findings)
}

async fn schema(connection: &mut PgConnection, migrate: &str) -> Result<Finding, sqlx::Error> {
    let what = "schema";
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    let applied: Vec<(i64, bool, Vec<u8>)> = if there {
        let all = "select version, success, checksum from _sqlx_migrations order by version";
        sqlx::query_as(all).fetch_all(&mut *connection).await?
    } else {
        Vec::new()
    };
    let migrator = store::migrations();
    let known: Vec<_> = migrator
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
        .collect();
    let pending = known.iter().filter(|migration| {
        !applied
            .iter()
            .any(|(version, ..)| *version == migration.version)
    });
    let pending = pending.count();
    let broken = applied.iter().find(|(version, success, checksum)| {
        !success
            || known
                .iter()
                .any(|known| known.version == *version && *known.checksum != **checksum)
    });
    let newer = applied
        .iter()
        .any(|(version, ..)| known.iter().all(|migration| migration.version != *version));
    let private = !migrate.starts_with("hansard migrate");
    Ok(match (broken, newer, pending) {
        (Some((version, ..)), ..) => {
            let found =
                format!("migration {version} failed half-way, or is not the one of this version");
            Finding::fail(
                what,
                found,
                "restore a backup, or use the version of hansard that made it",
            )
        }
        (None, true, _) => Finding::fail(
            what,
            "it was made by a later version",
            "use that version of hansard",
        ),
        (None, false, 0) => Finding::ok(what, format!("up to date ({} migrations)", known.len())),
        (None, false, pending) if private => {
            Finding::ok(what, format!("{pending} migrations to come; {migrate}"))
        }
        (None, false, pending) => {
            Finding::fail(what, format!("{pending} migrations are missing"), migrate)
        }
    })
}

async fn clock(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let what = "clock";
    let mut best: Option<(Duration, i64)> = None;
    for _ in 0..5 {
        let (before, asked) = (Utc::now(), Instant::now());
        let theirs: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
            .fetch_one(&mut *connection)
            .await?;
        let round_trip = asked.elapsed();
        let ours = before + round_trip / 2;
        let off = (theirs - ours).num_milliseconds();
        if best.is_none_or(|(least, _)| round_trip < least) {
            best = Some((round_trip, off));
        }
    }
    let (round_trip, off) = best.unwrap_or_default();
    let found = format!(
        "Postgres is {off} ms from this machine, {:.1} ms away by round trip",
        round_trip.as_secs_f64() * 1000.0
    );
    let mend = "let both follow NTP (timedatectl set-ntp true)";
    let distance = Duration::from_millis(off.unsigned_abs());
    Ok(if distance > CLOCK_OFF_FAIL {
        Finding::fail(what, found, mend)
    } else if distance > CLOCK_OFF_WARN {
        Finding::warn(what, found, mend)
    } else if round_trip > ROUND_TRIP_SLOW {
        Finding::warn(
            what,
            found,
            "bring Postgres nearer: times are taken from round trips of at most 20 ms",
        )
    } else {
        Finding::ok(what, found)
    })
}
