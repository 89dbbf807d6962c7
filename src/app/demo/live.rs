//! The meeting as it goes on: who comes, captions, how far the play is, what the gate drops.

use super::{
    screen::{Screen, clock, tail, wrap},
    summary::refused,
};
use console::{Color, style};
use hansard_client::{
    caption::{Caption, Retracted},
    meeting::{Meeting, Utterance},
    signal::Event,
};
use indicatif::ProgressBar;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often what changes by itself is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Without a terminal: how often a line says how far it is.
const LINE_EVERY_S: i64 = 10;
/// Columns of the bar's line that are not its message.
const BESIDE: usize = 40;
/// Of the speakers, in the order of the script.
const COLOURS: [Color; 5] = [
    Color::Cyan,
    Color::Yellow,
    Color::Magenta,
    Color::Green,
    Color::Blue,
];

pub struct Live<'a> {
    screen: &'a Screen,
    meeting: &'a Meeting,
    declines: &'a str,
    metrics: PrometheusHandle,
    /// Made once everybody is there.
    bar: Option<ProgressBar>,
    /// By segment: a line each, replaced in place.
    partials: BTreeMap<String, ProgressBar>,
    open: BTreeSet<String>,
    /// When the first sample of every voice was taken; told by the streams, so it may be off by a
    /// few hundredths.
    zero: Option<Instant>,
    stage: &'static str,
    said_s: i64,
}

impl<'a> Live<'a> {
    pub fn new(
        screen: &'a Screen,
        meeting: &'a Meeting,
        declines: &'a str,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            screen,
            meeting,
            declines,
            metrics,
            bar: None,
            partials: BTreeMap::new(),
            open: BTreeSet::new(),
            zero: None,
            stage: "",
            said_s: 0,
        }
    }

    /// Shows events until there are none to come.
    pub async fn follow(&mut self, events: &mut mpsc::Receiver<Event>, stop: &CancellationToken) {
        let mut draw = tokio::time::interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(&event),
                    None => break,
                },
                _ = draw.tick() => self.draw(),
                () = stop.cancelled(), if self.stage != STOPPING => {
                    self.stage(STOPPING);
                }
            }
        }
        for (_, line) in std::mem::take(&mut self.partials) {
            self.screen.remove(&line);
        }
        if let Some(bar) = self.bar.take() {
            self.screen.remove(&bar);
        }
    }

    fn event(&mut self, event: &Event) {
        let data = event.data();
        match event.kind() {
            "participant_joined" => {
                let name = data["displayName"].as_str().unwrap_or("somebody");
                let said = match data["consent"]["recording"].as_str() {
                    Some("accepted") => "has agreed to recording and transcription",
                    Some("declined") => "has declined both: nothing of this voice may be kept",
                    _ => "has not answered",
                };
                self.screen
                    .say(&format!("{} joins, {said}", self.name(name)));
            }
            "participant_updated" => self.streams(data, event.received),
            "transcript_update" => {
                if let Some(caption) = Caption::of(event) {
                    self.caption(&caption);
                }
            }
            "transcript_retracted" => {
                if let Some(retracted) = Retracted::of(event) {
                    self.forget(&retracted.segment_id);
                }
            }
            "recording_state" => match data["state"].as_str() {
                Some("finalising") => self.stage("Ended. Finishing the tracks and the mix"),
                Some("failed") => self.screen.say("The recording failed."),
                _ => {}
            },
            _ => {}
        }
    }

    /// The play begins half a second after the last stream was given its port.
    fn streams(&mut self, data: &serde_json::Value, received: Instant) {
        let id = data["id"].as_str().unwrap_or_default();
        let open = data["streams"]
            .as_array()
            .is_some_and(|streams| streams.iter().any(|stream| stream["state"] == "open"));
        if !open || !self.open.insert(id.to_owned()) || self.open.len() < self.meeting.voices.len()
        {
            return;
        }
        self.zero = Some(received + Duration::from_millis(500));
        self.screen.say("");
        if self.screen.is_terminal() {
            let length = self.meeting.duration.as_millis() as u64;
            self.bar = Some(self.screen.bar(length, "{prefix} {bar:20.cyan/dim} {msg}"));
        }
    }

    fn caption(&mut self, caption: &Caption) {
        let before = format!(
            "{:>5}  {:<6} ",
            clock(caption.start_ms / 1_000),
            caption.speaker
        );
        let indent = console::measure_text_width(&before);
        let head = format!(
            "{:>5}  {} ",
            clock(caption.start_ms / 1_000),
            self.name(&format!("{:<6}", caption.speaker))
        );
        if caption.last {
            self.forget(&caption.segment_id);
            self.screen.say(&wrap_after(
                &head,
                &caption.text,
                self.screen.width(),
                indent,
            ));
        } else if let Some(bar) = &self.bar {
            let screen = self.screen;
            let line = self
                .partials
                .entry(caption.segment_id.clone())
                .or_insert_with(|| screen.line_above(bar));
            let text = tail(&caption.text, screen.width().saturating_sub(indent + 1));
            line.set_message(format!("{head}{}", style(text).dim()));
            line.tick();
        }
    }

    fn forget(&mut self, segment: &str) {
        if let Some(line) = self.partials.remove(segment) {
            self.screen.remove(&line);
        }
    }

    fn stage(&mut self, stage: &'static str) {
        self.stage = stage;
        if !self.screen.is_terminal() {
            self.screen.say(&format!("{stage} …"));
        }
    }

    fn draw(&mut self) {
        let Some(zero) = self.zero else { return };
        let whole = self.meeting.duration;
        let at = Instant::now().saturating_duration_since(zero);
        let (at_s, whole_s) = (at.min(whole).as_secs() as i64, whole.as_secs() as i64);
        let Some(bar) = &self.bar else {
            if at_s >= self.said_s + LINE_EVERY_S && at < whole {
                self.said_s = at_s - at_s % LINE_EVERY_S;
                self.screen
                    .say(&format!("       ({} of {})", clock(at_s), clock(whole_s)));
            }
            return;
        };
        bar.set_position(at.min(whole).as_millis() as u64);
        bar.set_prefix(format!("{} of {}", clock(at_s), clock(whole_s)));
        // Never up to the edge: the `^C` that terminals print would begin a line there, and the
        // next draw miss it.
        let room = self.screen.width().saturating_sub(BESIDE);
        if !self.stage.is_empty() {
            bar.set_message(console::truncate_str(self.stage, room, "…").into_owned());
            return;
        }
        let at_ms = at.as_millis() as i64;
        let speaks =
            |utterance: &&Utterance| (utterance.start_ms..=utterance.end_ms).contains(&at_ms);
        let dropped = refused(&self.metrics.render());
        let message = match self.meeting.utterances.iter().find(speaks) {
            Some(utterance) if utterance.speaker == self.declines => {
                format!(
                    "{}, at the gate: {dropped} packets dropped",
                    self.name(self.declines)
                )
            }
            Some(utterance) => format!("{} speaks", self.name(&utterance.speaker)),
            None => String::new(),
        };
        bar.set_message(console::truncate_str(&message, room, "…").into_owned());
    }

    /// In the speaker's colour; padding stays.
    fn name(&self, name: &str) -> String {
        let place = self
            .meeting
            .voices
            .iter()
            .position(|voice| voice.name == name.trim_end())
            .unwrap_or(0);
        style(name).fg(COLOURS[place % COLOURS.len()]).to_string()
    }
}

const STOPPING: &str = "Stopping. Keeping what was said";

/// `head` is already coloured and `indent` columns wide.
fn wrap_after(head: &str, text: &str, width: usize, indent: usize) -> String {
    let wrapped = wrap(&format!("{}{text}", "_".repeat(indent)), width, indent);
    format!("{head}{}", &wrapped[indent..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coloured_head_does_not_count_twice() {
        let head = "\u{1b}[36mAna\u{1b}[0m ";
        assert_eq!(
            wrap_after(head, "one two three", 12, 4),
            format!("{head}one two\n    three")
        );
    }
}
