//! A machine that has no room or no descriptors for a while: what comes meanwhile is lost and told,
//! what comes then is recorded.

use super::support::{
    disk::SmallDisk,
    eventually,
    place::Place,
    server::Server,
    tone_meeting::{ToneMeeting, later},
};
use chrono::Utc;
use hansard_client::{rest::Client, signal::Signal};
use rustix::process::Resource;
use std::time::{Duration, Instant};

/// On a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn observe(client: &Client, meeting: &str) -> Signal {
    Signal::observe(client, meeting, Some(0))
        .await
        .expect("observes")
}

/// Waits until `recording_state` says this, and that so many are not recorded.
async fn told(signal: &mut Signal, state: &str, reason: Option<&str>, unrecorded: usize) {
    signal
        .wait_for(Instant::now() + SOON, |event| {
            let data = event.data();
            event.kind() == "recording_state"
                && data["state"] == state
                && data["reason"].as_str() == reason
                && data["unrecorded"]
                    .as_array()
                    .is_some_and(|who| who.len() == unrecorded)
        })
        .await
        .unwrap_or_else(|error| panic!("{state} {reason:?} is not told: {error:#}"));
}

async fn degraded(server: &Server, reason: &str, is: bool) {
    eventually(reason, SOON, async || {
        server.degraded().await.iter().any(|one| one == reason) == is
    })
    .await;
}

/// The whole data folder is on a disk that others fill, the private Postgres too.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_what_comes_until_it_is_freed() {
    let (place, disk) = (Place::new().await, SmallDisk::new(300));
    let server = place.serve_on(disk.path(), &[], &[disk.environment()]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    let mut signal = observe(&client, &tones.meeting).await;
    told(&mut signal, "recording", None, 0).await;
    // Its tables have pages for what is written later.
    tokio::time::sleep(Duration::from_secs(6)).await;
    disk.fill(&server);
    let full = Utc::now();
    told(&mut signal, "paused", Some("disk"), 2).await;
    degraded(&server, "spool_full", true).await;
    // Somebody comes meanwhile.
    let freed = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        disk.free(Some(&server));
    };
    tokio::join!(freed, tones.add(&client));
    // Told after a second of it.
    told(&mut signal, "recording", None, 0).await;
    let again = Utc::now();
    degraded(&server, "spool_full", false).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices[..2] {
        files.whole(voice, ended, &[(later(full, -500), again)]);
        let gaps = &files.track(voice).gaps;
        assert!(
            !gaps.is_empty() && gaps.iter().all(|gap| gap.reason == "lost"),
            "{gaps:?}"
        );
    }
    let newcomer = &tones.voices[2];
    let from = again.max(later(newcomer.begin, 1_500));
    assert_eq!(
        files.silent(newcomer, from, later(ended, -300)),
        [],
        "the newcomer"
    );
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_that_ran_out_cost_what_comes_until_there_are_some() {
    let place = Place::new().await;
    let server = place.serve(&[]);
    let client = server.client();
    let mut tones = ToneMeeting::begin(&client, 2).await;
    let mut signal = observe(&client, &tones.meeting).await;
    told(&mut signal, "recording", None, 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Fewer than it has open.
    server.limit(Resource::Nofile, Some(8));
    let few = Utc::now();
    told(&mut signal, "paused", Some("disk"), 2).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.limit(Resource::Nofile, None);
    told(&mut signal, "recording", None, 0).await;
    let again = Utc::now();
    degraded(&server, "descriptors", false).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ended = tones.end(&client).await;
    let files = tones.files(&client, SOON).await;
    for voice in &tones.voices {
        files.whole(voice, ended, &[(later(few, -500), again)]);
        let gaps = &files.track(voice).gaps;
        assert!(
            !gaps.is_empty() && gaps.iter().all(|gap| gap.reason == "lost"),
            "{gaps:?}"
        );
    }
    server.terminate();
}
