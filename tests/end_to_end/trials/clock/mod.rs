//! Senders whose counters, clocks, payload types and packets are as they are in the field: what
//! they say is recorded in its place, and what cannot be is told.

mod packet;

use super::{
    room::{self, File, Guest, Left, Line, Room, late},
    sound::{self, STEP_MS, staircase},
    support::{Scratch, eventually, patiently, place},
};
use hansard::{domain::time::MeetingTime, media::containers::matroska::Reader};
use hansard_client::{
    impair::Stall,
    rest::{Client, audio_stream},
    sender::{Frame, Sender, SenderConfig, Sent},
    tone,
};
use opusic_c::{
    Application, Bandwidth, Bitrate, Channels, Decoder, Encoder, InbandFec, SampleRate, Signal,
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::task::{JoinSet, block_in_place};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// From asking for the first sample to its being taken: all packets are encoded in between.
const LEAD: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn senders_as_they_are_in_the_field() {
    let data = Scratch::new();
    let server = room::serve(data.path(), &[]);
    let client = server.client();
    // Two waves, since a busy machine is late by itself; each in a task of its own, so that one
    // that fails hides no other.
    let path = || data.path().to_owned();
    let mut trials = Trials::default();
    let still = |stalls| counters_that_stand_still(client.clone(), stalls);
    trials.spawn(
        "counters that stand still",
        still([(1_000, 1_500), (8_000, 120)]),
    );
    trials.spawn(
        "counters that stand still for longer",
        still([(2_000, 700), (8_000, 2_600)]),
    );
    trials.spawn(
        "other payload types",
        packet::other_payload_types(client.clone()),
    );
    trials.spawn(
        "redundant audio data",
        packet::redundant_audio_data(client.clone(), path()),
    );
    trials.spawn(
        "padding from before a grant",
        packet::padding_from_before_a_grant(client.clone(), path()),
    );
    let mut failed = trials.failed().await;
    let mut trials = Trials::default();
    trials.spawn(
        "counters of another clock",
        counters_of_another_clock(client.clone()),
    );
    trials.spawn(
        "counters that mean nothing",
        counters_that_mean_nothing(client.clone()),
    );
    trials.spawn(
        "packets of every kind",
        packet::packets_of_every_kind(client.clone(), path()),
    );
    trials.spawn(
        "redundancy from before a grant",
        packet::redundancy_from_before_a_grant(client.clone(), path()),
    );
    failed.extend(trials.failed().await);
    assert!(failed.is_empty(), "failed: {}", failed.join("; "));
    server.terminate();
}

/// Trials side by side.
#[derive(Default)]
struct Trials {
    running: JoinSet<()>,
    names: HashMap<tokio::task::Id, &'static str>,
}

impl Trials {
    fn spawn(&mut self, name: &'static str, trial: impl Future<Output = ()> + Send + 'static) {
        let task = self.running.spawn(trial);
        self.names.insert(task.id(), name);
    }

    /// Waits for all; which failed, and with what.
    async fn failed(mut self) -> Vec<String> {
        let mut failed = Vec::new();
        while let Some(trial) = self.running.join_next_with_id().await {
            let Err(error) = trial else { continue };
            let name = self.names[&error.id()];
            let why = error.try_into_panic().ok().and_then(|panic| {
                panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).into()))
            });
            failed.push(format!("{name} ({})", why.unwrap_or_default()));
        }
        failed
    }
}

/// A line with a sender of one's own.
async fn line(room: &Room, guest: &Guest, codec: &str, config: SenderConfig) -> Line {
    let sender = Sender::bind(LOOPBACK, config).await.expect("a socket");
    let request = audio_stream(&guest.id, codec, sender.config(), None, None);
    let stream = patiently("a port", room::SOON, || {
        room.client.create_stream(&room.id, request.clone())
    })
    .await;
    Line {
        sender,
        to: stream.address(),
    }
}

/// How far a file has the steps of a staircase off their place (ms), in the middle, of what was
/// sent between two media times (ms), `stood` ms after their own time; and in how many windows of
/// half a step there is one.
fn off(file: &File, zero_ms: i64, media: (i64, i64), stood: i64) -> (i64, usize) {
    let sound = &file.sound;
    let sample = |ms: i64| {
        usize::try_from((ms - sound.start_ms).max(0) * i64::from(sound::RATE) / 1000).unwrap_or(0)
    };
    let mut found: Vec<i64> = (media.0..media.1)
        .step_by(STEP_MS as usize / 2)
        .filter_map(|ms| {
            let at = zero_ms + stood + ms;
            let window = sound.samples.get(sample(at)..sample(at + STEP_MS / 2))?;
            if tone::dbfs(tone::rms(window)) < -50.0 {
                return None;
            }
            let level =
                |step: &i64| tone::amplitude(window, sound::RATE, 500.0 + 50.0 * *step as f64);
            let near = (ms / STEP_MS - 20).max(0)..ms / STEP_MS + 20;
            let step = near.max_by(|a, b| level(a).total_cmp(&level(b)))?;
            Some(ms + STEP_MS / 4 - (step * STEP_MS + STEP_MS / 2))
        })
        .collect();
    found.sort_unstable();
    (
        found.get(found.len() / 2).copied().unwrap_or(i64::MAX / 2),
        found.len(),
    )
}

fn assert_in_place(
    left: &Left,
    guest: &Guest,
    sent: &Sent,
    zero_ms: i64,
    media: (i64, i64),
    stood: i64,
) {
    let late = late(sent, media.1 + stood);
    for file in [left.track(guest).expect("a track"), left.mix()] {
        let (off, found) = block_in_place(|| off(file, zero_ms, media, stood));
        let what = format!(
            "{} in the {}, sent {late} ms late at most",
            guest.name, file.recording.kind
        );
        assert!(
            (-60..=60 + late).contains(&off),
            "{what}: {off} ms off at {media:?} ms"
        );
        let whole = (media.1 - media.0) / (STEP_MS / 2);
        let missing = whole / 10 + late / (STEP_MS / 2);
        assert!(
            found as i64 >= whole - missing,
            "{what}: {found} of {whole} at {media:?} ms"
        );
    }
}

/// Stands still at these media times, so long (ms), and is in its place within five seconds.
async fn counters_that_stand_still(client: Client, all: [(i64, i64); 2]) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest_who("ana", "accepted").await;
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let stalls = all
        .map(|(at, length)| Stall {
            at: ms(at),
            length: ms(length),
        })
        .into();
    let config = SenderConfig {
        stalls,
        ..SenderConfig::opus(guest.id.clone())
    };
    let voice = line(&room, &guest, "opus", config)
        .await
        .speak(&block_in_place(|| staircase(16_000)), Instant::now() + LEAD);
    let zero = voice.zero;
    let sent = voice.finished().await;
    let left = room.end().await;
    let zero_ms = left.ms(zero);
    assert_in_place(&left, &guest, &sent, zero_ms, (0, 900), 0);
    assert_in_place(&left, &guest, &sent, zero_ms, (7_000, 7_900), all[0].1);
    assert_in_place(
        &left,
        &guest,
        &sent,
        zero_ms,
        (13_200, 15_900),
        all[0].1 + all[1].1,
    );
}

async fn counters_of_another_clock(client: Client) {
    let room = Room::open(&client, room::recording_only()).await;
    let samples: Vec<f32> = tone::sine(440.0, 0.3, Duration::from_secs(6), 8_000);
    let mut voices = Vec::new();
    for (name, codec, rate) in [
        ("ana", "opus", 8_000),
        ("bob", "opus", 16_000),
        ("eve", "opus", 24_000),
        ("dan", "PCMU", 16_000),
    ] {
        let guest = room.guest_who(name, "accepted").await;
        let frames = if codec == "opus" {
            block_in_place(|| staircase(6_000))
        } else {
            tone::pcmu(&samples)
        };
        let config = if codec == "opus" {
            SenderConfig::opus(guest.id.clone())
        } else {
            SenderConfig::g711(0, guest.id.clone())
        };
        let config = SenderConfig {
            counted_rate: Some(rate),
            ..config
        };
        voices.push((
            codec,
            line(&room, &guest, codec, config)
                .await
                .speak(&frames, Instant::now() + LEAD),
            guest,
        ));
    }
    let mut spoken = Vec::new();
    for (codec, voice, guest) in voices {
        let zero = voice.zero;
        spoken.push((codec, zero, voice.finished().await, guest));
    }
    let left = room.end().await;
    for (codec, zero, sent, guest) in spoken {
        let zero_ms = left.ms(zero);
        let track = left.track(&guest).expect("a track");
        let late = late(&sent, 6_000);
        let what = format!("{}, sent {late} ms late at most", guest.name);
        if codec == "opus" {
            let (off, found) = block_in_place(|| off(track, zero_ms, (500, 5_900), 0));
            let enough = found as i64 >= 100 - late / (STEP_MS / 2);
            assert!(
                (-60..=60 + late).contains(&off) && enough,
                "{what}: {off} ms off, {found} of 108"
            );
        } else {
            sound::assert_heard(
                &track.sound,
                440.0,
                zero_ms + 600 + late,
                zero_ms + 5_900,
                &what,
            );
            let end = track.sound.end_ms() - zero_ms;
            assert!(
                (5_900..6_150 + late).contains(&end),
                "{what}: it ends at {end} ms"
            );
        }
    }
}

/// A counter that never moves: nothing can be placed, and that is told.
async fn counters_that_mean_nothing(client: Client) {
    let room = Room::open(&client, room::recording_only()).await;
    let guest = room.guest_who("ana", "accepted").await;
    let config = SenderConfig {
        counted_rate: Some(0),
        ..SenderConfig::opus(guest.id.clone())
    };
    let voice = line(&room, &guest, "opus", config)
        .await
        .speak(&block_in_place(|| staircase(6_000)), Instant::now() + LEAD);
    room.until("the stream is told to have no clock", |event| {
        event.kind() == "participant_updated" && event.data().to_string().contains("clock_rate")
    })
    .await;
    voice.stopped().await;
    room.client.end(&room.id).await.expect("ends");
}
