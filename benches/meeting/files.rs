//! What the files of a meeting hold, and when they are there.

use crate::{
    rig::{Alone, cpu_s, resident_mib, without_ai},
    sound::{self, RATE, add, at},
    support::{Scratch, place::Place, postgres, stored::StoredMeeting},
    table::Table,
};
use anyhow::{Context, Result, ensure};
use hansard::{
    domain::time::{MeetingTime, Span},
    media::rendering::mix::{self, Source},
};
use hansard_client::{
    rest::{Client, Recording},
    scenario::{PlayOptions, PlayReport, perform},
    tone,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const LENGTH_MS: i64 = 90_000;
/// A burst that says where it is.
const BEEP_MS: i64 = 200;
const BEEP_HZ: f64 = 3_000.0;
const BEEP_LEVEL: f64 = 0.4;
/// When the agreeing ones say nothing at all.
const QUIET_MS: (i64, i64) = (40_000, 52_000);

async fn download(client: &Client, recording: &Recording, to: &Path) -> Result<PathBuf> {
    let path = to.join(format!(
        "{}.{}",
        recording.id,
        if recording.kind == "mix" {
            "mp4"
        } else {
            "mka"
        }
    ));
    fs::write(&path, client.download(&recording.id).await?)?;
    Ok(path)
}

fn mix_of(performance: &PlayReport) -> Result<&Recording> {
    let mix = performance
        .recordings
        .iter()
        .find(|recording| recording.kind == "mix")
        .context("no mix")?;
    ensure!(mix.status == "ready", "the mix is {}", mix.status);
    Ok(mix)
}

/// A bundled voice that is silent in [`QUIET_MS`], with beeps.
fn speaker(name: &str, beeps_ms: &[i64]) -> Result<Vec<f32>> {
    let mut samples = sound::voice("planning", name, RATE)?;
    samples.resize(at(LENGTH_MS), 0.0);
    samples[at(QUIET_MS.0)..at(QUIET_MS.1)].fill(0.0);
    let beep = tone::sine(
        BEEP_HZ,
        BEEP_LEVEL,
        Duration::from_millis(BEEP_MS.unsigned_abs()),
        RATE,
    );
    for ms in beeps_ms {
        let place = at(*ms)..at(*ms + BEEP_MS);
        samples[place].fill(0.0);
        add(&mut samples, at(*ms), &beep);
    }
    Ok(samples)
}

pub async fn mix() -> Result<Table> {
    const BEEPS_MS: [i64; 4] = [200, 30_000, 60_000, LENGTH_MS - BEEP_MS];
    let carol = {
        let mut samples = sound::voice("planning", "Carol", RATE)?;
        samples.resize(at(LENGTH_MS), 0.0);
        // Never silent, so that there is something to find of her everywhere.
        let noise = sound::noise(3, -30.0, false, samples.len());
        add(&mut samples, 0, &noise);
        samples
    };
    let alice = speaker("Alice", &BEEPS_MS)?;
    let voices = vec![
        sound::spoken_by("Alice", &alice)?,
        sound::spoken_by("Bob", &speaker("Bob", &[])?)?,
        sound::spoken_by("Carol", &carol)?,
    ];
    let meeting = sound::wordless("mix", voices);
    let alone = Alone::start(&[]).await?;
    let staging = PlayOptions {
        declines: vec!["Carol".into()],
        ..PlayOptions::new(alone.client())
    };
    let performance = perform(&meeting, &staging).await?;
    let ready_s = performance
        .settled
        .saturating_duration_since(performance.ended)
        .as_secs_f64();
    let folder = Scratch::new();
    let client = alone.client();
    let recording = mix_of(&performance)?;
    let mixed = download(&client, recording, folder.path()).await?;
    let mut tracks = Vec::new();
    for track in performance
        .recordings
        .iter()
        .filter(|recording| recording.kind == "track")
    {
        tracks.push((
            download(&client, track, folder.path()).await?,
            track.start_ms.unwrap_or(0),
        ));
    }
    alone.server.terminate();

    let mut table = Table::new(
        "mix",
        "A meeting of 90 s: Alice and Bob agree, Carol declines and is never silent.",
    );
    table.at_most(
        "from the end to `ready`, with upload and checks",
        Some(ready_s),
        5.0,
        "s",
    );
    let samples = sound::ffmpeg(&mixed)?;
    let start_ms = recording.start_ms.context("a mix without a start")? as f64;
    table.at_most(
        "its start against the schedule",
        Some((start_ms - performance.zero_ms).abs()),
        20.0,
        "ms",
    );
    let length_ms = samples.len() as f64 * 1_000.0 / f64::from(RATE);
    table.at_most(
        "its length, decoded by ffmpeg",
        Some((length_ms - LENGTH_MS as f64).abs()),
        20.0,
        "ms off",
    );
    for beep in BEEPS_MS {
        let due = performance.zero_ms - start_ms + beep as f64;
        let found = sound::find(&samples, BEEP_HZ, BEEP_MS, due, 400.0, 0.1);
        let off = found.map(|found| (found - due).abs());
        table.at_most(
            format!("a beep at {:.1} s", beep as f64 / 1_000.0),
            off,
            20.0,
            "ms off",
        );
    }
    let eighth = |samples: &[f32]| -> Vec<f32> {
        samples
            .as_chunks::<6>()
            .0
            .iter()
            .map(|six| six.iter().sum::<f32>() / 6.0)
            .collect()
    };
    let (heard, hers) = (eighth(&samples), eighth(&carol));
    table.at_most(
        "correlation with Carol's voice",
        Some(tone::correlation(&heard, &hers, 800)),
        0.05,
        "",
    );
    let agreed = tone::correlation(&heard, &eighth(&alice), 800);
    table.judge(
        "correlation with Alice's, for comparison",
        format!("{agreed:.2}"),
        "> 0.2",
        agreed > 0.2,
    );
    let quiet = &samples[at(QUIET_MS.0 + 1_000)..at(QUIET_MS.1 - 1_000).min(samples.len())];
    let level = tone::dbfs(tone::rms(quiet));
    table.judge(
        "level where only Carol speaks",
        format!("{level:.0} dBFS"),
        "≤ −60 dBFS",
        level <= -60.0,
    );
    let of_carol = performance.player("Carol").context("Carol is there")?;
    let hers = performance
        .recordings
        .iter()
        .filter(|recording| recording.participant_id.as_ref() == Some(&of_carol.participant_id));
    table.none("tracks of Carol", hers.count());
    render_times(&mut table, &tracks, folder.path()).await?;
    Ok(table)
}

/// Our rendering of the same tracks beside ffmpeg's.
async fn render_times(table: &mut Table, tracks: &[(PathBuf, i64)], folder: &Path) -> Result<()> {
    let sources: Vec<Source> = tracks
        .iter()
        .map(|(path, start_ms)| Source {
            path: path.clone(),
            start: MeetingTime::from_ms(*start_ms),
            allowed: vec![Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)],
            redacted: Vec::new(),
        })
        .collect();
    let begun = Instant::now();
    tokio::task::block_in_place(|| {
        mix::render(&sources, &folder.join("ours.mp4"), &mut |_| Ok(()))
    })?;
    let ours = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y"]);
    for (path, _) in tracks {
        ffmpeg.arg("-i").arg(path);
    }
    let filter = format!("amix=inputs={}:normalize=0", tracks.len());
    ffmpeg.args([
        "-filter_complex",
        &filter,
        "-c:a",
        "aac",
        "-b:a",
        "96k",
        "-ar",
        "48000",
    ]);
    ensure!(
        ffmpeg.arg(folder.join("ffmpeg.mp4")).status()?.success(),
        "ffmpeg cannot mix"
    );
    let theirs = begun.elapsed().as_secs_f64();
    table.told(
        "rendering these tracks: ours, with loudness, limiter and cuts",
        format!("{ours:.2} s"),
    );
    table.told(
        "ffmpeg's plain amix and aac",
        format!("{theirs:.2} s (ours {:.1} ×)", ours / theirs),
    );
    Ok(())
}

/// Four hours of eight people: how long their mix takes, and what it holds.
pub async fn hours() -> Result<Table> {
    const TRACKS: i64 = 8;
    /// Of four seconds.
    const SEGMENTS: i64 = 3_600;
    const HELD_MAX_MIB: f64 = 200.0;
    const WITHIN: Duration = Duration::from_secs(3_600);
    let place = Place::new().await;
    let database = postgres::database().await;
    let server = place.serve_on(place.data.path(), &[], &[("DATABASE_URL", &database)]);
    let client = server.client();
    let stored = StoredMeeting::joined(&place, &database, &client, TRACKS, SEGMENTS).await;
    let before = resident_mib(server.pid());
    let cpu = cpu_s(server.pid());
    stored.mix().await;
    let begun = Instant::now();
    let mut most = before;
    let mix = loop {
        most = most.max(resident_mib(server.pid()));
        let all = client.recordings(&stored.meeting).await?;
        let mix = all.into_iter().find(|one| one.kind == "mix");
        if let Some(mix) = mix.filter(|mix| mix.status != "processing") {
            break mix;
        }
        ensure!(begun.elapsed() < WITHIN, "no mix within {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    ensure!(mix.status == "ready", "the mix is {}", mix.status);
    let mut table = Table::new("hours", "The mix of four hours of eight tracks.");
    table.told(
        "to its end",
        format!("{:.0} s", begun.elapsed().as_secs_f64()),
    );
    table.told(
        "processor time",
        format!("{:.0} s", cpu_s(server.pid()) - cpu),
    );
    table.at_most(
        "resident memory above that of the idle server, at most",
        Some(most - before),
        HELD_MAX_MIB,
        "MiB",
    );
    let off = mix.duration_ms.unwrap_or(0) - stored.length_ms();
    table.at_most("its length", Some(off.abs() as f64), 100.0, "ms off");
    server.terminate();
    Ok(table)
}

/// Two people with true sample clocks whose wall clocks are ten hours apart.
pub async fn drift(seconds: u64) -> Result<Table> {
    const EVERY_MS: i64 = 10_000;
    let length_ms = 1_000 * i64::try_from(seconds)?;
    let beeps: Vec<i64> = (0..)
        .map(|n| 1_000 + n * EVERY_MS)
        .take_while(|ms| ms + BEEP_MS < length_ms)
        .collect();
    let hertz = [("Ana", 1_000.0), ("Ben", 1_700.0)];
    let voices = hertz
        .iter()
        .map(|(name, hz)| {
            let mut samples = vec![0.0; at(length_ms)];
            let beep = tone::sine(
                *hz,
                BEEP_LEVEL,
                Duration::from_millis(BEEP_MS.unsigned_abs()),
                RATE,
            );
            beeps
                .iter()
                .for_each(|ms| add(&mut samples, at(*ms), &beep));
            sound::spoken_by(name, &samples)
        })
        .collect::<Result<Vec<_>>>()?;
    let meeting = sound::wordless("drift", voices);
    let alone = Alone::start(&[]).await?;
    let mut staging = PlayOptions::new(alone.client());
    staging.settings = without_ai();
    staging.adjust = Some(Arc::new(|name, config| {
        config.ntp_offset_hours = if name == "Ana" { 3.0 } else { -7.0 };
    }));
    let performance = perform(&meeting, &staging).await?;
    let (client, folder) = (alone.client(), Scratch::new());
    let mut table = Table::new(
        "drift",
        format!(
            "{seconds} s of real time, true sample clocks, the two senders' NTP clocks ten hours apart, a beep every 10 s."
        ),
    );
    let mut apart: Vec<Vec<Option<f64>>> = Vec::new();
    for (name, hz) in hertz {
        let who = &performance.player(name).context("a player")?.participant_id;
        let track = performance
            .recordings
            .iter()
            .find(|recording| recording.participant_id.as_ref() == Some(who));
        let mix = mix_of(&performance)?;
        for (of, recording) in [("track", track.context("no track")?), ("mix", mix)] {
            let path = download(&client, recording, folder.path()).await?;
            let samples = if of == "mix" {
                sound::ffmpeg(&path)?
            } else {
                tone::decode(&path, RATE)?
            };
            let start_ms = recording.start_ms.context("no start")? as f64;
            let off: Vec<Option<f64>> = beeps
                .iter()
                .map(|beep| {
                    let due = performance.zero_ms - start_ms + *beep as f64;
                    sound::find(&samples, hz, BEEP_MS, due, 400.0, 0.1).map(|found| found - due)
                })
                .collect();
            table.none(
                format!("beeps of {name} not found in the {of}"),
                off.iter().filter(|off| off.is_none()).count(),
            );
            let found: Vec<f64> = off.iter().flatten().copied().collect();
            let worst = found.iter().map(|off| off.abs()).max_by(f64::total_cmp);
            table.at_most(
                format!("{name} in the {of}, farthest from its place"),
                worst,
                20.0,
                "ms",
            );
            let first = found.first().copied().unwrap_or(0.0);
            let wander = found
                .iter()
                .map(|off| (off - first).abs())
                .max_by(f64::total_cmp);
            table.at_most(
                format!("{name} in the {of}, drift from the first beep"),
                wander,
                20.0,
                "ms",
            );
            if of == "mix" {
                apart.push(off);
            }
        }
    }
    alone.server.terminate();
    let between = apart[0]
        .iter()
        .zip(&apart[1])
        .filter_map(|(a, b)| Some((a.as_ref()? - b.as_ref()?).abs()));
    table.at_most(
        "the two against each other in the mix",
        between.max_by(f64::total_cmp),
        60.0,
        "ms",
    );
    Ok(table)
}
