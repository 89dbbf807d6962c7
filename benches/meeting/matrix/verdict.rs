//! What a meeting's files hold and what was told of it.

use crate::{
    support::tone_meeting::{DECLINED_HZ, RATE, SILENT_DB, ToneMeeting, Voice, WINDOW_MS},
    table::Table,
};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use hansard_client::{
    rest::{Client, Recording},
    signal::Signal,
    tone,
};
use serde_json::Value;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// From opening a stream until its sound is looked for.
const SETTLED_MS: i64 = 1_500;
/// Around the edges of what was told.
const SLACK_MS: i64 = 300;
/// What may be missing where nothing is to be lost.
pub const NOTHING_MS: i64 = 300;
/// From healing to the files, besides the backlog.
const READY_MAX: Duration = Duration::from_secs(60);

/// Where in a meeting's life the fault falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    Before,
    Middle,
    End,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before a meeting",
            Self::Middle => "in mid-meeting",
            Self::End => "at its end",
        })
    }
}

/// A meeting after all.
pub struct Played {
    pub moment: Moment,
    pub tones: ToneMeeting,
    pub declined: Voice,
    /// When its sound ended, or nobody listened any more for good.
    pub until: DateTime<Utc>,
    /// From its end, or from healing if that came later, until its files were there.
    pub ready: Option<Duration>,
}

pub struct Cell {
    what: String,
    /// Of one voice, at most.
    lost_ms: i64,
    lost_max_ms: i64,
    ready: Option<Duration>,
    wrong: Vec<String>,
}

impl Cell {
    /// Something is not as it ought to be.
    pub fn wrong(&mut self, what: &str) {
        self.wrong.push(what.to_owned());
    }

    pub fn tell(&self, table: &mut Table) {
        let lost = self.lost_ms as f64 / 1_000.0;
        let ready = self.ready.map_or("no files".into(), |ready| {
            format!("ready after {:.1} s", ready.as_secs_f64())
        });
        let mut figure = format!("lost and told {lost:.1} s; {ready}");
        for wrong in &self.wrong {
            figure += "; ";
            figure += wrong;
        }
        let limit = format!(
            "≤ {:.1} s, 0 untold; ≤ {} s",
            self.lost_max_ms as f64 / 1_000.0,
            READY_MAX.as_secs()
        );
        let holds = self.wrong.is_empty()
            && self.lost_ms <= self.lost_max_ms
            && self.ready.is_some_and(|ready| ready <= READY_MAX);
        println!(
            "  {}: {figure}{}",
            self.what,
            if holds { "" } else { " – falls short" }
        );
        table.judge(&self.what, figure, limit, holds);
    }
}

/// What the `recording_state`s of a meeting said, from its beginning.
async fn states(client: &Client, meeting: &str) -> Result<Vec<Value>> {
    let mut signal = Signal::observe(client, meeting, Some(0)).await?;
    let mut said = Vec::new();
    // An ended meeting whose files are ready lets nobody stay.
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(5), signal.next()).await {
        if event.kind() == "recording_state" {
            said.push(event.data().clone());
        }
    }
    Ok(said)
}

/// Judges a meeting; `disk`: what could not be written is lost, and `recording_state` must have
/// said so.
pub async fn judge(
    client: &Client,
    played: Played,
    what: &str,
    lost_max_ms: i64,
    disk: bool,
) -> Result<Cell> {
    let Played {
        moment,
        tones,
        declined,
        until,
        ready,
    } = played;
    let mut cell = Cell {
        what: format!("{what}, {moment}"),
        lost_ms: 0,
        lost_max_ms,
        ready,
        wrong: Vec::new(),
    };
    if ready.is_none() {
        return Ok(cell);
    }
    let said = states(client, &tones.meeting)
        .await
        .context("what was told")?;
    let names: Vec<&str> = said
        .iter()
        .filter_map(|state| state["state"].as_str())
        .collect();
    if names.last() != Some(&"ready") || names.contains(&"failed") || !names.contains(&"finalising")
    {
        cell.wrong.push(format!("told {}", names.join(", ")));
    }
    let disk_told = said.iter().any(|state| state["reason"] == "disk");
    let files = tones.files(client, Duration::from_secs(30)).await;
    let level = |recording: &Recording, levels: &[f64], at: i64| -> bool {
        let window = (at - recording.start_ms.unwrap_or(0) + WINDOW_MS / 2) / WINDOW_MS;
        let level = usize::try_from(window)
            .ok()
            .and_then(|window| levels.get(window));
        level.is_some_and(|level| tone::dbfs(*level) > SILENT_DB)
    };
    for voice in &tones.voices {
        let of = |one: &&(Recording, Vec<f32>)| {
            one.0.participant_id.as_ref() == Some(&voice.participant)
        };
        let track = files.files.iter().find(of);
        let mix = files
            .files
            .iter()
            .find(|(recording, _)| recording.kind == "mix");
        let levels = |file: Option<&(Recording, Vec<f32>)>| {
            file.map(|(recording, samples)| {
                (recording.clone(), tone::amplitudes(samples, RATE, voice.hz))
            })
        };
        let (track, mix) = (levels(track), levels(mix));
        let (mut lost, mut untold, mut denied) = (0, 0, 0);
        let mut at = files.ms(voice.begin) + SETTLED_MS;
        while at + WINDOW_MS < files.ms(until) - SLACK_MS {
            let is_in = |file: &Option<(Recording, Vec<f64>)>| {
                file.as_ref().is_some_and(|(of, all)| level(of, all, at))
            };
            let told = track.as_ref().is_some_and(|(recording, _)| {
                let (from, to) = (
                    recording.start_ms.unwrap_or(0),
                    recording.start_ms.unwrap_or(0) + recording.duration_ms.unwrap_or(0),
                );
                let near = |gap: &hansard_client::rest::Gap| {
                    gap.reason == "lost"
                        && gap.start_ms - SLACK_MS <= at
                        && at + WINDOW_MS <= gap.end_ms + SLACK_MS
                };
                // Gaps lie within the file; what is before or after it was told while it happened.
                recording.gaps.iter().any(near) || (at < from || at + WINDOW_MS > to) && disk_told
            }) || track.is_none() && disk_told;
            let within = |gap: &hansard_client::rest::Gap| {
                gap.start_ms + SLACK_MS <= at && at + WINDOW_MS <= gap.end_ms - SLACK_MS
            };
            if is_in(&track) && is_in(&mix) {
                let gaps = track.as_ref().map(|(recording, _)| &recording.gaps);
                denied += i64::from(gaps.is_some_and(|gaps| gaps.iter().any(within))) * WINDOW_MS;
            } else if told {
                lost += WINDOW_MS;
            } else {
                untold += WINDOW_MS;
            }
            at += WINDOW_MS;
        }
        cell.lost_ms = cell.lost_ms.max(lost);
        if untold > 0 {
            cell.wrong.push(format!(
                "{:.1} s missing and not told",
                untold as f64 / 1_000.0
            ));
        }
        if denied > 0 {
            cell.wrong.push(format!(
                "{:.1} s told as missing and there",
                denied as f64 / 1_000.0
            ));
        }
        if disk && lost > 2_000 && !disk_told {
            cell.wrong
                .push("recording_state said nothing of the disk".into());
        }
    }
    let heard = |samples: &[f32]| {
        tone::amplitudes(samples, RATE, DECLINED_HZ)
            .into_iter()
            .any(|level| tone::dbfs(level) > SILENT_DB)
    };
    let has_track = files
        .files
        .iter()
        .any(|(one, _)| one.participant_id.as_ref() == Some(&declined.participant));
    if has_track || files.files.iter().any(|(_, samples)| heard(samples)) {
        cell.wrong.push("who declined is recorded".into());
    }
    Ok(cell)
}

/// How long a meeting's files took from `from` on; `None` when they were not there in time.
pub async fn ready(client: &Client, meeting: &str, within: Duration) -> Option<Instant> {
    let asked = Instant::now();
    while asked.elapsed() < within {
        if let Ok(recordings) = client.recordings(meeting).await
            && recordings.iter().any(|one| one.kind == "mix")
            && recordings.iter().all(|one| one.status == "ready")
        {
            return Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}
