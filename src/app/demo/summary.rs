//! What is left of the meeting, read back over REST, and whether it is as promised.

use super::screen::{Screen, wrap};
use anyhow::{Context, bail};
use hansard_client::{
    meeting::Meeting,
    rest::{Client, Recording},
    scenario::{PlayReport, Player},
    score::Score,
};
use serde_json::json;
use std::collections::BTreeMap;

pub struct Summary {
    performance: PlayReport,
    score: Score,
    /// As the server writes it.
    text: String,
    /// Packets that the gate dropped on arrival for want of consent.
    dropped: u64,
    /// Segments of the transcript that are of somebody who declined.
    declined_segments: usize,
}

impl Summary {
    /// `metrics` as the operations address shows them.
    pub async fn read(
        client: &Client,
        meeting: &Meeting,
        performance: PlayReport,
        metrics: String,
    ) -> anyhow::Result<Self> {
        let text = client.transcript_as(&performance.meeting_id, "txt").await?;
        let segments = performance.transcript["segments"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let declined = |id: &str| {
            performance
                .players
                .iter()
                .any(|player| player.declined && player.participant_id == id)
        };
        let declined_segments = segments
            .iter()
            .filter(|segment| segment["participant"]["id"].as_str().is_some_and(declined))
            .count();
        let score = performance.score(meeting);
        Ok(Self {
            score,
            text,
            dropped: refused(&metrics),
            declined_segments,
            performance,
        })
    }

    /// A link for a browser; it opens once.
    pub async fn link(&self, client: &Client, ttl_s: u64) -> anyhow::Result<String> {
        let host = self.performance.players.first().context("nobody played")?;
        let path = format!("/v1/users/{}/sessions", host.user_id);
        let session = client.post(&path, json!({"ttlSeconds": ttl_s})).await?;
        Ok(session["url"]
            .as_str()
            .context("a session without a url")?
            .to_owned())
    }

    pub fn print(&self, screen: &Screen) {
        screen.heading("Captions");
        for line in self.score.to_string().lines() {
            screen.say(&format!("  {line}"));
        }
        screen.heading("The gate");
        for player in self.declined() {
            screen.say(&format!(
                "  {} declined and sent {} packets; {} were dropped as they came, before any buffer.",
                player.name,
                player.sent.packets.len(),
                self.dropped,
            ));
            screen.say(&format!(
                "  Of {}: {} recordings, {} captions, {} words.",
                player.name,
                self.recordings_of(player).count(),
                self.declined_segments,
                self.score.declined_words
            ));
        }
        let waited = self
            .performance
            .settled
            .saturating_duration_since(self.performance.ended)
            .as_secs_f64();
        screen.heading(&format!(
            "Recordings ({} {waited:.1} s after the end)",
            self.performance.state
        ));
        let (mixes, tracks): (Vec<_>, Vec<_>) = self
            .performance
            .recordings
            .iter()
            .partition(|recording| recording.kind == "mix");
        for recording in mixes.into_iter().chain(tracks) {
            screen.say(&format!("  {}", self.row(recording)));
        }
        screen.heading("Transcript");
        for line in self.text.lines() {
            screen.say(&format!("  {}", wrap(line, screen.width() - 2, 4)));
        }
    }

    /// # Errors
    /// What is not as promised.
    pub fn judge(&self) -> anyhow::Result<()> {
        let recordings = &self.performance.recordings;
        let mut wrong = Vec::new();
        if self.performance.state != "ready" {
            wrong.push(format!(
                "the recordings are {}, not ready",
                self.performance.state
            ));
        }
        wrong.extend(
            recordings
                .iter()
                .filter(|recording| recording.status != "ready")
                .map(|recording| {
                    let why = recording
                        .error
                        .as_ref()
                        .map_or(String::new(), |error| format!(": {error}"));
                    format!(
                        "the {} of {} is {}{why}",
                        recording.kind,
                        self.whose(recording),
                        recording.status
                    )
                }),
        );
        let agreed = self
            .performance
            .players
            .iter()
            .filter(|player| !player.declined);
        wrong.extend(
            agreed
                .filter(|player| self.recordings_of(player).count() == 0)
                .map(|player| format!("there is no track of {}, who agreed", player.name)),
        );
        if self.score.finals == 0 {
            wrong.push("there was not one final caption".into());
        }
        for player in self.declined() {
            if self.recordings_of(player).count() > 0
                || self.declined_segments + self.score.declined_words > 0
            {
                wrong.push(format!(
                    "something of {}, who declined, was kept",
                    player.name
                ));
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("; "));
        }
        Ok(())
    }

    fn declined(&self) -> impl Iterator<Item = &Player> {
        self.performance
            .players
            .iter()
            .filter(|player| player.declined)
    }

    fn recordings_of<'a>(&'a self, player: &'a Player) -> impl Iterator<Item = &'a Recording> {
        let recordings = self.performance.recordings.iter();
        recordings
            .filter(|recording| recording.participant_id.as_ref() == Some(&player.participant_id))
    }

    fn whose(&self, recording: &Recording) -> String {
        let names: BTreeMap<&str, &str> = self
            .performance
            .players
            .iter()
            .map(|p| (p.participant_id.as_str(), p.name.as_str()))
            .collect();
        match recording.participant_id.as_deref() {
            Some(id) => names.get(id).copied().unwrap_or("a visitor"),
            None => "everybody",
        }
        .to_owned()
    }

    fn row(&self, recording: &Recording) -> String {
        format!(
            "{:<6}{:<10} {:>8}  {:>9}  {:<5} {:<16} {}",
            recording.kind,
            self.whose(recording),
            recording.duration_ms.map_or("-".into(), length),
            recording.size_bytes.map_or("-".into(), size),
            recording.storage_tier.as_deref().unwrap_or("-"),
            recording.media_type.as_deref().unwrap_or("-"),
            recording.status,
        )
    }
}

/// Packets dropped on arrival for want of consent, from the text of `/metrics`.
pub fn refused(metrics: &str) -> u64 {
    let of = |line: &str| {
        let (labels, value) = line
            .strip_prefix("hansard_rtp_dropped_total{")?
            .split_once("} ")?;
        labels
            .contains("reason=\"no_consent\"")
            .then(|| value.trim().parse::<f64>().ok())?
    };
    metrics.lines().filter_map(of).sum::<f64>() as u64
}

/// `1:20.9`.
fn length(ms: i64) -> String {
    let tenths = (ms + 50).div_euclid(100);
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

fn size(bytes: i64) -> String {
    match bytes {
        ..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_packets_are_read_from_the_metrics() {
        let text = "# TYPE hansard_rtp_dropped_total counter\n\
                    hansard_rtp_dropped_total{reason=\"ssrc\"} 7\n\
                    hansard_rtp_dropped_total{reason=\"no_consent\"} 4052\n\
                    hansard_rtp_packets_total 8104\n";
        assert_eq!((refused(text), refused("")), (4052, 0));
    }

    #[test]
    fn lengths_and_sizes_are_read_by_people() {
        assert_eq!(
            (length(80_949), length(59_960), length(0)),
            ("1:20.9".into(), "1:00.0".into(), "0:00.0".into())
        );
        assert_eq!(
            (size(2_048), size(1_572_864)),
            ("2 KiB".into(), "1.5 MiB".into())
        );
    }
}
