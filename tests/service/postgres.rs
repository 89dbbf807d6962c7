//! The private Postgres: separate databases, taken away and given back, and gone with its owner.

use crate::support::{
    self,
    postgres::{Cluster, database},
};
use hansard::embed::postgres::{Durability, Postgres};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

async fn tenants(url: &str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar("select count(*) from tenants")
        .fetch_one(&mut connection)
        .await
}

async fn add_tenant(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("it runs");
    let statement = "insert into tenants (id, name) values (gen_random_uuid(), 'Acme')";
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .expect("the schema is there");
}

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = (database().await, database().await);
    add_tenant(&one).await;
    assert_eq!(tenants(&one).await.expect("it runs"), 1);
    assert_eq!(tenants(&other).await.expect("it runs"), 0);
}

#[tokio::test]
async fn it_can_be_taken_away_and_keeps_what_was_committed() {
    let cluster = Cluster::start().await;
    let url = cluster.database().await;
    add_tenant(&url).await;
    cluster.stop().await;
    assert!(tenants(&url).await.is_err());
    cluster.restart().await;
    assert_eq!(tenants(&url).await.expect("it runs again"), 1);
    cluster.kill().await;
    assert!(tenants(&url).await.is_err());
    cluster.restart().await;
    assert_eq!(tenants(&url).await.expect("it runs again"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_when_the_last_session_of_one_that_was_killed_has_ended() {
    let scratch = support::Scratch::new();
    let directory = scratch.path().join("postgres");
    let mut postgres = Postgres::start(&directory, Durability::Real).expect("it starts");
    postgres
        .create_own()
        .await
        .expect("the database can be made");
    let session = PgConnection::connect(&postgres.own_url()).await;
    let mut session = session.expect("it runs");
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut session)
        .await
        .expect("it runs");
    let signal = |pid: i32, signal| {
        let pid = Pid::from_raw(pid).expect("a process");
        kill_process(pid, signal).expect("it is ours");
    };
    signal(backend, Signal::STOP);
    signal(pid(&directory).parse().expect("a number"), Signal::KILL);
    let starting = tokio::task::spawn_blocking(move || {
        postgres.stop().expect("it is gone");
        postgres.run().expect("it starts again");
        postgres
    });
    support::eventually("it is refused", Duration::from_secs(30), async || {
        let log = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        log.contains("shared memory block")
    })
    .await;
    signal(backend, Signal::CONT);
    let postgres = starting.await.expect("no panic");
    assert!(PgConnection::connect(&postgres.own_url()).await.is_ok());
}

#[tokio::test]
async fn a_server_left_behind_is_stopped_before_the_next_starts() {
    let scratch = support::Scratch::new();
    let directory = scratch
        .path()
        .join("a long name, so long that no socket could be in it, and with blanks")
        .join("postgres");
    let first = Postgres::start(&directory, Durability::Real).expect("it starts");
    first.create_own().await.expect("the database can be made");
    let first_pid = pid(&directory);
    // Its owner is gone without a word, watchdog and all.
    std::mem::forget(first);
    let second = Postgres::start(&directory, Durability::Real).expect("it starts");
    assert_ne!(pid(&directory), first_pid);
    second
        .create_own()
        .await
        .expect("the database is there already");
    assert!(PgConnection::connect(&second.own_url()).await.is_ok());
}

/// Set in the process that is to be killed: where its cluster lies.
const OWNED: &str = "HANSARD_TEST_OWNED_CLUSTER";

/// Does nothing but in a process of its own, which [`a_cluster_ends_with_its_owner`] kills.
#[test]
fn owner_of_a_cluster() {
    if let Some(directory) = std::env::var_os(OWNED) {
        let _cluster = Postgres::start(directory.as_ref(), Durability::Scratch).expect("it starts");
        std::thread::sleep(Duration::from_secs(600));
    }
}

#[tokio::test]
async fn a_cluster_ends_with_its_owner() {
    let directory =
        std::env::temp_dir().join(format!("hansard-owned-{}", uuid::Uuid::new_v4().simple()));
    let own = std::env::current_exe().expect("a test has a file");
    let mut owner = Command::new(own)
        .args(["--exact", "postgres::owner_of_a_cluster"])
        .env(OWNED, &directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("it ran once already");
    let file = directory.join("data/postmaster.pid");
    let ready =
        || std::fs::read_to_string(&file).is_ok_and(|text| text.trim_end().ends_with("ready"));
    support::eventually("the cluster runs", Duration::from_secs(60), async || {
        ready()
    })
    .await;
    let process = format!("/proc/{}/exe", pid(&directory));
    assert!(std::fs::read_link(&process).is_ok());
    owner.kill().expect("it runs");
    owner.wait().expect("it is our child");
    let gone = || std::fs::read_link(&process).is_err() && !directory.exists();
    support::eventually(
        "the cluster is gone, and its files",
        Duration::from_secs(30),
        async || gone(),
    )
    .await;
}

fn pid(directory: &std::path::Path) -> String {
    let text = std::fs::read_to_string(directory.join("data/postmaster.pid")).expect("it runs");
    text.lines()
        .next()
        .expect("the first line is its pid")
        .to_owned()
}
