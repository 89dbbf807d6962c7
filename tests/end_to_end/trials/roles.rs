//! `serve`, and `api` and `worker` as processes of their own, started and started again while what
//! they stand on is away.

use super::support::{
    Scratch, eventually, free_ports,
    place::{Place, spooled},
    postgres::Cluster,
    rabbitmq::RabbitMq,
    server::Server,
    tone_meeting::{ToneMeeting, later},
};
use chrono::Utc;
use hansard_client::rest::Client;
use std::time::{Duration, Instant};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Waits until it says that this is away, or is not.
async fn degraded(server: &Server, reason: &str, is: bool) {
    eventually(reason, SOON, async || {
        server.degraded().await.iter().any(|one| one == reason) == is
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_again_without_storage_goes_on() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let mut tones = ToneMeeting::begin(&server.client(), 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    place.faults.refuse();
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.kill();
    let killed = Utc::now();
    let epoch = tones.epoch(place.data.path());
    let server = place.serve(&[]);
    let again = tones
        .recorded(place.data.path(), |one| one.epoch > epoch)
        .await;
    degraded(&server, "storage", true).await;
    let before = place.spooled();
    assert!(before > 0);
    eventually("segments wait in the spool", SOON, async || {
        place.spooled() >= before + 4
    })
    .await;
    place.faults.heal();
    let client = server.client();
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices {
        files.whole(voice, ended, &[(later(killed, -1_200), again)]);
        let gaps = &files.track(voice).gaps;
        assert!(gaps.len() == 1 && gaps[0].reason == "lost", "{gaps:?}");
    }
    degraded(&server, "storage", false).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn api_and_worker_start_and_start_again_while_things_are_away() {
    let (place, cluster, mut broker) = (
        Place::new().await,
        Cluster::start().await,
        RabbitMq::start().await,
    );
    let database = cluster.database().await;
    let key = super::support::key(&database).await;
    let folders = [Scratch::new(), Scratch::new()];
    let amqp = broker.url();
    let own = [
        ("DATABASE_URL", database.as_str()),
        ("AMQP_URL", amqp.as_str()),
        (
            "HANSARD_SECRET",
            "a secret for tests of at least thirty-two bytes",
        ),
    ];
    let environment = [&place.environment()[..], &own].concat();
    let worker = || Server::start("worker", folders[0].path(), &[], &environment);
    let api = || {
        Server::start(
            "api",
            folders[1].path(),
            &["--listen", "127.0.0.1:0"],
            &environment,
        )
    };
    // Nothing is there.
    place.faults.refuse();
    broker.kill().await;
    cluster.stop().await;
    let starting = Instant::now();
    // They wait for Postgres, and only for that.
    let (worker_runs, api_runs) = std::thread::scope(|at| {
        let both = [at.spawn(worker), at.spawn(api)];
        std::thread::sleep(Duration::from_secs(4));
        assert!(
            both.iter().all(|one| !one.is_finished()),
            "they run without Postgres, or do not wait for it"
        );
        cluster.restart_blocking();
        let mut both = both.into_iter().map(|one| one.join().expect("it starts"));
        (both.next().expect("a worker"), both.next().expect("an api"))
    });
    println!("both run after {:.1} s", starting.elapsed().as_secs_f64());
    for server in [&worker_runs, &api_runs] {
        degraded(server, "broker", true).await;
        degraded(server, "storage", true).await;
    }
    broker.restart().await;
    for server in [&worker_runs, &api_runs] {
        degraded(server, "broker", false).await;
    }
    let client = Client::new(api_runs.url(), &key).expect("the address is well-formed");
    let mut tones = ToneMeeting::begin(&client, 2).await;
    let spool = || spooled(folders[0].path());
    eventually("segments wait in the spool", SOON, async || spool() >= 4).await;

    // Once more in mid-meeting, storage still refusing.
    worker_runs.kill();
    api_runs.kill();
    let killed = Utc::now();
    let epoch = tones.epoch(folders[0].path());
    let (worker_runs, api_runs) = tokio::task::block_in_place(|| (worker(), api()));
    let again = tones
        .recorded(folders[0].path(), |one| one.epoch > epoch)
        .await;
    degraded(&worker_runs, "storage", true).await;
    let before = spool();
    eventually("segments wait in the spool", SOON, async || {
        spool() >= before + 4
    })
    .await;
    place.faults.heal();
    let client = Client::new(api_runs.url(), &key).expect("the address is well-formed");
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices {
        files.whole(voice, ended, &[(later(killed, -1_200), again)]);
        let gaps = &files.track(voice).gaps;
        assert!(gaps.len() == 1 && gaps[0].reason == "lost", "{gaps:?}");
    }
    for server in [&worker_runs, &api_runs] {
        degraded(server, "storage", false).await;
    }
    api_runs.terminate();
    worker_runs.terminate();
}

/// What waits for its database at the start is told to stop like everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_still_starts_ends_when_it_is_told_to() {
    let data = Scratch::new();
    let [port] = free_ports();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_hansard"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            &format!("127.0.0.1:{port}"),
            "--data",
        ])
        .arg(data.path())
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    eventually("it says that it starts", SOON, async || {
        let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await else {
            return false;
        };
        answer.status() == 503
            && answer
                .text()
                .await
                .is_ok_and(|text| text.contains("starting"))
    })
    .await;
    let pid = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
        .expect("it runs");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let ended = tokio::time::timeout(SOON, child.wait())
        .await
        .expect("it ends")
        .expect("it is ours");
    assert!(ended.success(), "{ended:?}");
}
