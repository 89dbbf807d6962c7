//! Where an utterance begins and ends: one state machine per stream, told the voice probability of
//! every 16 ms frame.
//!
//! It decides on spans; the shell holds the samples. Onset needs three voiced frames of five, with
//! a pre-roll so that the first consonant is not clipped. In the trailing silence it first asks for
//! a *speculative* final ([`Decision::Guess`]), then ends the utterance ([`Decision::Ended`]) with
//! the same span, so that the same audio is not decoded twice. How long it waits depends on what
//! the speculation heard ([`Endpoint::hint`]): less after a full stop, more in mid-clause. Speech
//! that does not pause is cut: at the next short pause after half of the longest utterance, at the
//! latest at that, at the quietest point. Spans of one stream's utterances never overlap, and two
//! utterances cut from continuous speech touch.
//!
//! Silence needs no audio: gaps ([`Endpoint::gap`]) and the passing of time ([`Endpoint::tick`])
//! end utterances too.

use crate::time::{MeetingTime, Micros, Span, total};
use std::collections::VecDeque;

mod thresholds;

pub use thresholds::Thresholds;

/// 16 ms of one stream.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Frame {
    pub span: Span,
    /// RMS, dBFS.
    pub level_db: f32,
    /// Probability of voice, 0 to 1.
    pub voice: f32,
}

/// What the words so far sound like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// A sentence that ended.
    Complete,
    /// A comma, a conjunction, a few words without a stop.
    Open,
}

/// Why an utterance ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    Silence,
    /// Continuous speech, cut at a short pause or at the quietest point.
    Length,
    /// The stream ended, jumped, or went on under another consent entry.
    Broken,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Decision {
    /// Somebody speaks; audio from `start` on will be asked for.
    Opened { utterance: u64, start: MeetingTime },
    /// Most likely the end: decode this as if it were.
    Guess { utterance: u64, span: Span },
    /// It was not the end.
    Resumed { utterance: u64 },
    /// The utterance's audio; `voiced` are its voiced parts.
    Ended {
        utterance: u64,
        span: Span,
        voiced: Vec<Span>,
        why: Why,
    },
    /// A click: forget it.
    Dropped { utterance: u64 },
}

/// An utterance going on.
#[derive(Clone, PartialEq, Debug)]
pub struct Open {
    pub utterance: u64,
    pub start: MeetingTime,
    pub voiced: Vec<Span>,
    /// Until where the speculative final goes, while nobody went on.
    guessed: Option<MeetingTime>,
    hint: Option<Hint>,
    /// Levels of the last seconds, for the quietest point.
    levels: VecDeque<Frame>,
    /// Voiced frames in a row after a silence.
    again: u32,
}

impl Open {
    pub fn voiced_length(&self) -> Micros {
        total(&self.voiced)
    }

    fn voiced_end(&self) -> MeetingTime {
        self.voiced.last().map_or(self.start, |span| span.end)
    }

    fn add_voice(&mut self, frame: Span) {
        match self.voiced.last_mut() {
            Some(last) if (frame.start - last.end).0 <= JOIN.0 => {
                last.end = last.end.max(frame.end)
            }
            _ => self.voiced.push(frame),
        }
    }
}

/// Voiced parts nearer than this are one.
const JOIN: Micros = Micros::from_ms(48);
/// Frames looked at for an onset, and how many of them must be voiced.
const WINDOW: usize = 5;
const ONSET_FRAMES: usize = 3;
/// After this much silence, a single voiced frame is a click and two are speech again.
const SETTLED: Micros = Micros::from_ms(100);
/// How many of a speaker's pauses are remembered.
const PAUSES: usize = 4;
/// How far back the quietest point is looked for, and over how many frames.
const QUIETEST_WITHIN: Micros = Micros::from_ms(3_000);
const QUIETEST_FRAMES: usize = 6;

/// Finds the utterances of one stream in what the voice detector says.
#[derive(Clone, Debug)]
pub struct Endpoint {
    settings: Thresholds,
    next: u64,
    open: Option<Open>,
    recent: VecDeque<Frame>,
    /// No utterance may begin before: the end of the last one, or a break.
    floor: MeetingTime,
    /// The end of the last frame or gap.
    heard_until: MeetingTime,
    /// The speaker's last pauses that were not an end, the newest last.
    pauses: VecDeque<Micros>,
    /// Silence until a speculative final.
    guess_after: Micros,
}

impl Endpoint {
    pub fn new(settings: Thresholds) -> Self {
        Self {
            settings,
            next: 0,
            open: None,
            recent: VecDeque::with_capacity(WINDOW),
            floor: MeetingTime(i64::MIN),
            heard_until: MeetingTime(i64::MIN),
            pauses: VecDeque::with_capacity(PAUSES),
            guess_after: settings.guess_after,
        }
    }

    /// A fresh one for the same stream after a jump back in time; utterance numbers go on.
    pub fn resume(before: &Self, settings: Thresholds) -> Self {
        Self {
            next: before.next,
            pauses: before.pauses.clone(),
            ..Self::new(settings)
        }
    }

    /// Whether a decoder is free, so that a speculation that turns out wrong costs nobody anything.
    pub fn guess_early(&mut self, early: bool) {
        self.guess_after = if early {
            self.settings.guess_early
        } else {
            self.settings.guess_after
        };
    }

    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// The end of what it was told.
    pub fn heard_until(&self) -> MeetingTime {
        self.heard_until
    }

    /// Audio before this is of no more use.
    pub fn needs_from(&self) -> MeetingTime {
        match &self.open {
            Some(open) => open.start,
            None => (self.heard_until - self.settings.pre_roll - ONSET_ROOM).max(self.floor),
        }
    }

    /// Whether speech is going on right now (not in its trailing silence).
    pub fn is_speaking(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| self.heard_until - open.voiced_end() < self.guess_after)
    }

    /// What the speculation for this utterance heard.
    pub fn hint(&mut self, utterance: u64, hint: Hint) {
        if let Some(open) = self
            .open
            .as_mut()
            .filter(|open| open.utterance == utterance)
        {
            open.hint = Some(hint);
        }
    }

    /// The next frame of audio.
    pub fn frame(&mut self, frame: Frame) -> Vec<Decision> {
        let mut decisions = Vec::new();
        self.heard_until = self.heard_until.max(frame.span.end);
        if self.open.is_none() {
            self.listen(frame, &mut decisions);
        } else {
            self.follow(frame, &mut decisions);
        }
        decisions
    }

    /// Audio that is missing: it counts as silence.
    pub fn gap(&mut self, span: Span) -> Vec<Decision> {
        self.heard_until = self.heard_until.max(span.end);
        self.recent.clear();
        let mut decisions = Vec::new();
        self.silence(self.heard_until, &mut decisions);
        decisions
    }

    /// Time passes without audio. Late audio is not lost by it: it begins a new utterance.
    pub fn tick(&mut self, now: MeetingTime) -> Vec<Decision> {
        let mut decisions = Vec::new();
        if self.open.is_some() && now - self.heard_until >= self.settings.patience {
            self.silence(now, &mut decisions);
        }
        decisions
    }

    /// Nothing after `at` belongs to what was before: another consent entry, a jump, the end of the
    /// stream.
    pub fn cut(&mut self, at: MeetingTime) -> Vec<Decision> {
        let mut decisions = Vec::new();
        if let Some(mut open) = self.open.take() {
            open.voiced = cut_spans(&open.voiced, at);
            let end = self.end_of(&open).min(at);
            self.finish(open, end, Why::Broken, &mut decisions);
        }
        self.recent.clear();
        self.floor = self.floor.max(at);
        decisions
    }

    fn listen(&mut self, frame: Frame, decisions: &mut Vec<Decision>) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(frame);
        let onset = self.settings.onset;
        let voiced = |frame: &&Frame| frame.voice >= onset;
        if self.recent.iter().filter(voiced).count() < ONSET_FRAMES {
            return;
        }
        let Some(first) = self
            .recent
            .iter()
            .find(voiced)
            .map(|frame| frame.span.start)
        else {
            return;
        };
        let start = (first - self.settings.pre_roll).max(self.floor);
        let mut open = Open {
            utterance: self.next,
            start,
            voiced: Vec::new(),
            guessed: None,
            hint: None,
            levels: VecDeque::new(),
            again: 0,
        };
        for frame in self.recent.iter().filter(voiced) {
            open.add_voice(frame.span);
        }
        open.levels.extend(self.recent.drain(..));
        self.next += 1;
        decisions.push(Decision::Opened {
            utterance: open.utterance,
            start,
        });
        self.open = Some(open);
    }

    fn follow(&mut self, frame: Frame, decisions: &mut Vec<Decision>) {
        let settings = self.settings;
        let Some(open) = &mut self.open else { return };
        let silence = frame.span.start - open.voiced_end();
        let settled = silence >= SETTLED;
        let voiced = frame.voice
            >= if settled {
                settings.onset
            } else {
                settings.exit
            };
        open.again = if voiced { open.again + 1 } else { 0 };
        if voiced && (!settled || open.again >= 2) {
            if settled && let Some(before) = open.levels.back().copied() {
                open.add_voice(before.span);
            }
            open.add_voice(frame.span);
            if open.guessed.take().is_some() {
                open.hint = None;
                if silence >= settings.guess_after {
                    if self.pauses.len() == PAUSES {
                        self.pauses.pop_front();
                    }
                    self.pauses.push_back(silence);
                }
                decisions.push(Decision::Resumed {
                    utterance: open.utterance,
                });
            }
        }
        open.levels.push_back(frame);
        while open
            .levels
            .front()
            .is_some_and(|old| frame.span.end - old.span.start > QUIETEST_WITHIN)
        {
            open.levels.pop_front();
        }
        self.silence(frame.span.end, decisions);
        let Some(open) = &self.open else { return };
        if frame.span.end + frame.span.length() - open.start > settings.longest {
            self.split(decisions);
        }
    }

    /// What the silence until `now` asks for.
    fn silence(&mut self, now: MeetingTime, decisions: &mut Vec<Decision>) {
        let settings = self.settings;
        let end_of_sentence = self.end_of_sentence();
        let Some(open) = &mut self.open else { return };
        let silence = now - open.voiced_end();
        let enough = open.voiced_length() >= settings.voiced_min;
        let end_after = match open.hint {
            Some(Hint::Complete) => end_of_sentence,
            Some(Hint::Open) => settings.end_open,
            None => settings.end_unknown,
        };
        let long = (open.voiced_end() - open.start).0 >= settings.longest.0 / 2;
        let why = if silence >= end_after {
            Why::Silence
        } else if long && silence >= settings.short_pause {
            Why::Length
        } else {
            if silence >= self.guess_after && open.guessed.is_none() && enough {
                let end = (open.voiced_end() + settings.tail).min(self.heard_until);
                open.guessed = Some(end);
                decisions.push(Decision::Guess {
                    utterance: open.utterance,
                    span: Span::new(open.start, end),
                });
            }
            return;
        };
        if let Some(open) = self.open.take() {
            let end = self.end_of(&open);
            self.finish(open, end, why, decisions);
        }
    }

    /// Silence after which a sentence that sounds complete has ended: longer for a speaker who has
    /// just paused for nearly as long within one.
    fn end_of_sentence(&self) -> Micros {
        let longest = self.pauses.iter().max().copied().unwrap_or_default();
        Micros(longest.0 * 3 / 2).clamp(self.settings.end_complete, self.settings.end_unknown)
    }

    /// The last voice and a tail, as far as there is audio, or was for the speculation that stands.
    fn end_of(&self, open: &Open) -> MeetingTime {
        open.guessed
            .unwrap_or((open.voiced_end() + self.settings.tail).min(self.heard_until))
    }

    fn finish(&mut self, open: Open, end: MeetingTime, why: Why, decisions: &mut Vec<Decision>) {
        self.floor = end;
        let utterance = open.utterance;
        if open.voiced_length() < self.settings.voiced_min {
            decisions.push(Decision::Dropped { utterance });
        } else {
            let span = Span::new(open.start, end.max(open.start));
            decisions.push(Decision::Ended {
                utterance,
                span,
                voiced: open.voiced,
                why,
            });
        }
    }

    /// Cuts continuous speech at the quietest point; the rest is the next utterance.
    fn split(&mut self, decisions: &mut Vec<Decision>) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let levels = open.levels.make_contiguous();
        let quietest = levels
            .windows(QUIETEST_FRAMES.min(levels.len()).max(1))
            .min_by(|a, b| mean_level(a).total_cmp(&mean_level(b)))
            .map(|window| window[window.len() / 2].span.start);
        let at = quietest
            .unwrap_or(self.heard_until)
            .clamp(open.start, self.heard_until);
        let after: Vec<Span> = open
            .voiced
            .iter()
            .filter(|span| span.end > at)
            .map(|span| Span::new(span.start.max(at), span.end))
            .collect();
        let levels: VecDeque<Frame> = open
            .levels
            .iter()
            .copied()
            .filter(|frame| frame.span.start >= at)
            .collect();
        open.voiced = cut_spans(&open.voiced, at);
        self.finish(open, at, Why::Length, decisions);
        let utterance = self.next;
        self.next += 1;
        decisions.push(Decision::Opened {
            utterance,
            start: at,
        });
        self.open = Some(Open {
            utterance,
            start: at,
            voiced: after,
            guessed: None,
            hint: None,
            levels,
            again: 0,
        });
    }
}

/// What an onset may look back beyond the pre-roll.
const ONSET_ROOM: Micros = Micros::from_ms(100);

fn cut_spans(spans: &[Span], at: MeetingTime) -> Vec<Span> {
    spans
        .iter()
        .filter(|span| span.start < at)
        .map(|span| Span::new(span.start, span.end.min(at)))
        .collect()
}

fn mean_level(frames: &[Frame]) -> f32 {
    frames.iter().map(|frame| frame.level_db).sum::<f32>() / frames.len() as f32
}

#[cfg(test)]
mod tests;
