//! Withdrawals in mid-tone and mid-word, whatever is down.

use crate::{
    captions::babble,
    rig::{Apart, MeetingClock, files},
    sound::{self, RATE},
    support::Scratch,
    table::Table,
};
use anyhow::{Context, Result};
use hansard_client::{
    caption::Caption,
    rest::{Client, audio_stream},
    sender::{Frame, Sender, SenderConfig},
    signal::{Event, Signal},
    tone::{self, OpusSettings},
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

type Frames = Arc<[Frame]>;

const PEOPLE: usize = 10;
/// So many of them speak; the others hum.
const SPEAKERS: usize = 2;
const LIMIT_MS: f64 = 250.0;
const SENT: Duration = Duration::from_secs(20);
/// All that is sent is louder than this, always.
const LEVEL_DB: f64 = -45.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Down {
    Nothing,
    Queue,
    Postgres,
}

struct Person {
    name: String,
    participant_id: String,
    consent_token: String,
    withdrawn: Option<Instant>,
    /// What the server answered.
    answer: String,
}

pub async fn withdraw() -> Result<Table> {
    let mut table = Table::new(
        "withdraw",
        format!(
            "{PEOPLE} people of one meeting withdraw in mid-tone, {SPEAKERS} of them in mid-word, through `api` and `worker`."
        ),
    );
    let mut apart = Apart::start(1, 1).await?;
    for (name, down) in [
        ("nothing down", Down::Nothing),
        ("queue down", Down::Queue),
        ("Postgres down", Down::Postgres),
    ] {
        one(&mut apart, down, name, &mut table)
            .await
            .with_context(|| name.to_owned())?;
    }
    Ok(table)
}

/// Steady sound: a hum, or a voice without pauses, over noise.
fn sounds() -> Result<(Frames, Frames)> {
    let (mut speech, _) = babble(SENT, -30.0)?;
    speech.resize(sound::at(SENT.as_millis() as i64), 0.0);
    let noise = sound::noise(1, -35.0, false, speech.len());
    sound::add(&mut speech, 0, &noise);
    let hum = tone::sine(500.0, 0.3, SENT, RATE);
    let encode = |samples: &[f32]| anyhow::Ok(tone::opus(samples, OpusSettings::default())?.into());
    Ok((encode(&hum)?, encode(&speech)?))
}

async fn one(apart: &mut Apart, down: Down, name: &str, table: &mut Table) -> Result<()> {
    let client = apart.clients()?.remove(0);
    let (hum, speech) = sounds()?;
    let host = client
        .create_user(
            &format!("host-{}@example.org", uuid::Uuid::new_v4()),
            "Host",
        )
        .await?;
    let meeting = client.create_meeting(&host, json!({})).await?;
    let id = meeting["id"].as_str().context("an id")?.to_owned();
    let signal = Signal::observe(&client, &id, None).await?;
    let listening = CancellationToken::new();
    let told = tokio::spawn(listen(signal, listening.clone()));

    // One more, who stays: what is missing of it was closed for another reason.
    let (mut people, mut sending) = (Vec::new(), JoinSet::new());
    let stop = CancellationToken::new();
    let _stop_on_error = stop.clone().drop_guard();
    let mut senders = Vec::new();
    for n in 0..=PEOPLE {
        let name = format!("P{n}");
        let user = client
            .create_user(
                &format!("{name}-{}@example.org", uuid::Uuid::new_v4()),
                &name,
            )
            .await?;
        let joined = client.join(&id, &user).await?;
        client
            .consent(&joined.consent_token, &id, "recording_ai", "accepted")
            .await?;
        let sender =
            Sender::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), SenderConfig::opus(&user)).await?;
        let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
        let stream = client.create_stream(&id, request).await?;
        senders.push((
            sender,
            stream.address(),
            if n < SPEAKERS {
                speech.clone()
            } else {
                hum.clone()
            },
        ));
        people.push(Person {
            name,
            participant_id: joined.participant_id,
            consent_token: joined.consent_token,
            withdrawn: None,
            answer: String::new(),
        });
    }
    let clock = MeetingClock::of(&client, &id).await?;
    let zero = Instant::now() + Duration::from_millis(300);
    for (sender, to, frames) in senders {
        let stop = stop.clone();
        sending.spawn(async move { sender.run(to, &frames, zero, &stop).await });
    }
    // Somewhere between two partials and between two segments.
    tokio::time::sleep_until((zero + Duration::from_secs(6)).into()).await;
    match down {
        Down::Nothing => {}
        Down::Queue => apart.rabbit.kill().await,
        Down::Postgres => tokio::task::block_in_place(|| apart.postgres.kill())?,
    }
    let fallen = Instant::now();
    let mut random = fastrand::Rng::with_seed(250);
    let mut asking = JoinSet::new();
    for (n, person) in people.iter_mut().take(PEOPLE).enumerate() {
        tokio::time::sleep(Duration::from_millis(random.u64(60..260))).await;
        let (client, id, token) = (client.clone(), id.clone(), person.consent_token.clone());
        person.withdrawn = Some(Instant::now());
        asking.spawn(async move {
            (
                n,
                client
                    .consent(&token, &id, "recording_ai", "withdrawn")
                    .await,
            )
        });
    }
    while let Some(asked) = asking.join_next().await {
        let (n, answer) = asked?;
        people[n].answer = answer.map_or_else(|error| error.to_string(), |_| "yes".into());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    match down {
        Down::Nothing => {}
        Down::Queue => apart.rabbit.restart().await,
        Down::Postgres => tokio::task::block_in_place(|| apart.postgres.run())?,
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    stop.cancel();
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    let recordings = client.recordings(&id).await?;
    let segments = segments_late_ms(apart, &recordings, &people, &clock)?;
    end(&client, &id).await?;
    let recordings = client
        .wait_recordings_ready(&id, Instant::now() + Duration::from_secs(60))
        .await?;
    let transcript = client
        .wait_transcript_complete(&id, Instant::now() + Duration::from_secs(30))
        .await?;
    listening.cancel();
    let events = told.await?;

    let folder = Scratch::new();
    let mut late = Vec::new();
    for person in people.iter().filter(|person| person.withdrawn.is_some()) {
        let of = recordings
            .iter()
            .find(|one| one.participant_id.as_ref() == Some(&person.participant_id));
        let Some(track) = of else { continue };
        let path = folder.path().join(&track.id);
        std::fs::write(&path, client.download(&track.id).await?)?;
        let samples = tone::decode(&path, RATE)?;
        let last = sound::last_heard_ms(&samples, RATE, LEVEL_DB).unwrap_or(0.0);
        let withdrawn = person.withdrawn.map_or(0.0, |at| clock.ms(at));
        late.push(track.start_ms.unwrap_or(0) as f64 + last - withdrawn);
    }
    table.judge(
        format!("{name}: tracks"),
        late.len().to_string(),
        PEOPLE.to_string(),
        late.len() == PEOPLE,
    );
    let most = |values: &[f64]| values.iter().copied().max_by(f64::total_cmp);
    table.at_most(
        format!("{name}: last sample in a file after the withdrawal"),
        most(&late),
        LIMIT_MS,
        "ms",
    );
    let least = late.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0);
    table.told(
        format!("{name}: and the earliest of the last"),
        format!("{least:.0} ms"),
    );
    table.at_most(
        format!("{name}: last packet in spool and segments"),
        most(&segments),
        LIMIT_MS,
        "ms",
    );
    let words = word_late_ms(&events, &transcript, &people, &clock);
    table.at_most(
        format!("{name}: last word in captions, partials too, and transcript"),
        Some(most(&words).unwrap_or(f64::NEG_INFINITY)),
        LIMIT_MS,
        "ms",
    );
    let answered = people
        .iter()
        .filter(|person| person.answer == "yes")
        .count();
    table.judge(
        format!("{name}: withdrawals answered by 2xx"),
        answered.to_string(),
        PEOPLE.to_string(),
        answered == PEOPLE,
    );
    if let Some(person) = people
        .iter()
        .find(|person| person.withdrawn.is_some() && person.answer != "yes")
    {
        table.told(
            format!("{name}: {} was answered", person.name),
            person.answer.clone(),
        );
    }
    if down != Down::Nothing {
        let stayed = recordings
            .iter()
            .find(|one| one.participant_id.as_ref() == Some(&people[PEOPLE].participant_id));
        let gaps = stayed.map(|track| {
            track.gaps.iter().map(|gap| {
                format!(
                    "{} {:.1}–{:.1} s",
                    gap.reason,
                    (gap.start_ms as f64 - clock.ms(fallen)) / 1_000.0,
                    (gap.end_ms as f64 - clock.ms(fallen)) / 1_000.0
                )
            })
        });
        let gaps = gaps.map_or("no track".into(), |gaps| {
            gaps.collect::<Vec<_>>().join(", ")
        });
        table.told(
            format!("{name}: gaps of one who stayed, after the fall"),
            if gaps.is_empty() { "none".into() } else { gaps },
        );
    }
    Ok(())
}

/// The servers may still be finding each other again.
async fn end(client: &Client, id: &str) -> Result<()> {
    let asked = Instant::now();
    while let Err(error) = client.end(id).await {
        if asked.elapsed() > Duration::from_secs(30) {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn listen(mut signal: Signal, stop: CancellationToken) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        tokio::select! {
            event = signal.next() => match event {
                Some(event) => events.push(event),
                None => break,
            },
            () = stop.cancelled() => break,
        }
    }
    events
}

/// The last packet of each segment file, in the worker's spool or in storage, after its speaker's
/// withdrawal.
fn segments_late_ms(
    apart: &Apart,
    recordings: &[hansard_client::rest::Recording],
    people: &[Person],
    clock: &MeetingClock,
) -> Result<Vec<f64>> {
    let mut late = Vec::new();
    let everywhere = files(apart.data.path())
        .into_iter()
        .chain(files(apart.bucket.scratch.path()));
    for path in everywhere.filter(|path| path.to_string_lossy().ends_with(".mkv")) {
        let shown = path.to_string_lossy();
        let Some(recording) = recordings
            .iter()
            .find(|recording| shown.contains(&recording.id))
        else {
            continue;
        };
        let of = people
            .iter()
            .find(|person| recording.participant_id.as_ref() == Some(&person.participant_id));
        if let Some(withdrawn) = of.and_then(|person| person.withdrawn)
            && let Some(end) = sound::last_packet_ms(&path)?
        {
            late.push(end - clock.ms(withdrawn));
        }
    }
    Ok(late)
}

/// The end of each caption and transcript segment after its speaker's withdrawal.
fn word_late_ms(
    events: &[Event],
    transcript: &serde_json::Value,
    people: &[Person],
    clock: &MeetingClock,
) -> Vec<f64> {
    let withdrawn = |participant: &str| {
        let of = people
            .iter()
            .find(|person| person.participant_id == participant)?;
        of.withdrawn.map(|at| clock.ms(at))
    };
    let shown = events
        .iter()
        .filter_map(Caption::of)
        .map(|caption| (caption.participant_id, caption.end_ms));
    let kept = transcript["segments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|segment| {
            let who = segment["participant"]["id"]
                .as_str()
                .or_else(|| segment["participantId"].as_str())?;
            Some((who.to_owned(), segment["endMs"].as_i64()?))
        });
    shown
        .chain(kept)
        .filter_map(|(who, end_ms)| Some(end_ms as f64 - withdrawn(&who)?))
        .collect()
}
