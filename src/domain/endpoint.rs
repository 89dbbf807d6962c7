//! Where an utterance begins and ends: one state machine per stream, told the voice probability of every 16 ms frame.
//!
//! It decides on spans; the shell holds the samples. Onset needs three voiced frames of five, with a pre-roll so that the
//! first consonant is not clipped. In the trailing silence it first asks for a *speculative* final ([`Decision::Guess`]),
//! then ends the utterance ([`Decision::Ended`]) with the same span, so that the same audio is not decoded twice. How
//! long it waits depends on what the speculation heard ([`Endpoint::hint`]): less after a full stop, more in mid-clause.
//! Speech that does not pause is cut: at the next short pause after half of the longest utterance, at the latest at that,
//! at the quietest point. Spans of one stream's utterances never overlap, and two utterances cut from continuous speech
//! touch.
//!
//! Silence needs no audio: gaps ([`Endpoint::gap`]) and the passing of time ([`Endpoint::tick`]) end utterances too.

use crate::time::{MeetingTime, Micros, Span};
use std::collections::VecDeque;

/// 16 ms of one stream.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Frame {
    pub span: Span,
    /// RMS, dBFS.
    pub level_db: f32,
    /// Probability of voice, 0 to 1.
    pub voice: f32,
}

/// Every threshold, with its reason.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Voice begins at this probability, and goes on above `exit`: hysteresis.
    pub onset: f32,
    pub exit: f32,
    /// Audio before the first voiced frame: 100 ms clips consonants, and the small model was measured with 250.
    pub pre_roll: Micros,
    /// Audio after the last voiced frame; longer tails invent closings.
    pub tail: Micros,
    /// Less voice than this is a click ("yes" has 150 ms and more).
    pub voiced_min: Micros,
    /// Silence until the speculative final.
    pub guess_after: Micros,
    /// Silence until the end: after a sentence, when unknown, in mid-clause.
    pub end_complete: Micros,
    pub end_unknown: Micros,
    pub end_open: Micros,
    /// From half of `longest` on, such a pause is an end.
    pub short_pause: Micros,
    /// The most that the model takes at once.
    pub longest: Micros,
    /// Without any audio for so long, time itself counts as silence (mute, DTX).
    pub patience: Micros,
}

impl Settings {
    /// The starting values of the design, for a model that takes `longest` at once.
    pub const fn new(longest: Micros) -> Self {
        Self {
            onset: 0.5,
            exit: 0.35,
            pre_roll: Micros::from_ms(250),
            tail: Micros::from_ms(190),
            voiced_min: Micros::from_ms(120),
            guess_after: Micros::from_ms(200),
            end_complete: Micros::from_ms(450),
            end_unknown: Micros::from_ms(600),
            end_open: Micros::from_ms(800),
            short_pause: Micros::from_ms(160),
            longest,
            patience: Micros::from_ms(300),
        }
    }
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
    Ended { utterance: u64, span: Span, voiced: Vec<Span>, why: Why },
    /// A click: forget it.
    Dropped { utterance: u64 },
}

/// An utterance going on.
#[derive(Clone, PartialEq, Debug)]
pub struct Open {
    pub utterance: u64,
    pub start: MeetingTime,
    pub voiced: Vec<Span>,
    guessed: bool,
    hint: Option<Hint>,
    /// Levels of the last seconds, for the quietest point.
    levels: VecDeque<Frame>,
    /// Voiced frames in a row after a silence.
    again: u32,
}

impl Open {
    pub fn voiced_length(&self) -> Micros {
        Micros(self.voiced.iter().map(|span| span.length().0).sum())
    }

    fn voiced_end(&self) -> MeetingTime {
        self.voiced.last().map_or(self.start, |span| span.end)
    }

    fn add_voice(&mut self, frame: Span) {
        match self.voiced.last_mut() {
            Some(last) if (frame.start - last.end).0 <= JOIN.0 => last.end = last.end.max(frame.end),
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
/// How far back the quietest point is looked for, and over how many frames.
const QUIETEST_WITHIN: Micros = Micros::from_ms(3_000);
const QUIETEST_FRAMES: usize = 6;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Endpoint {
    settings: Settings,
    next: u64,
    open: Option<Open>,
    recent: VecDeque<Frame>,
    /// No utterance may begin before: the end of the last one, or a break.
    floor: MeetingTime,
    /// The end of the last frame or gap.
    heard_until: MeetingTime,
}

impl Endpoint {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            next: 0,
            open: None,
            recent: VecDeque::with_capacity(WINDOW),
            floor: MeetingTime(i64::MIN),
            heard_until: MeetingTime(i64::MIN),
        }
    }

    /// A fresh one for the same stream after a jump back in time; utterance numbers go on.
    pub fn resume(before: &Self, settings: Settings) -> Self {
        Self { next: before.next, ..Self::new(settings) }
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
        self.open.as_ref().is_some_and(|open| self.heard_until - open.voiced_end() < self.settings.guess_after)
    }

    /// What the speculation for this utterance heard.
    pub fn hint(&mut self, utterance: u64, hint: Hint) {
        if let Some(open) = self.open.as_mut().filter(|open| open.utterance == utterance) {
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

    /// Nothing after `at` belongs to what was before: another consent entry, a jump, the end of the stream.
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
        let Some(first) = self.recent.iter().find(voiced).map(|frame| frame.span.start) else { return };
        let start = (first - self.settings.pre_roll).max(self.floor);
        let mut open = Open {
            utterance: self.next,
            start,
            voiced: Vec::new(),
            guessed: false,
            hint: None,
            levels: VecDeque::new(),
            again: 0,
        };
        for frame in self.recent.iter().filter(voiced) {
            open.add_voice(frame.span);
        }
        open.levels.extend(self.recent.drain(..));
        self.next += 1;
        decisions.push(Decision::Opened { utterance: open.utterance, start });
        self.open = Some(open);
    }

    fn follow(&mut self, frame: Frame, decisions: &mut Vec<Decision>) {
        let settings = self.settings;
        let Some(open) = &mut self.open else { return };
        let silence = frame.span.start - open.voiced_end();
        let settled = silence >= SETTLED;
        let voiced = frame.voice >= if settled { settings.onset } else { settings.exit };
        open.again = if voiced { open.again + 1 } else { 0 };
        if voiced && (!settled || open.again >= 2) {
            if settled && let Some(before) = open.levels.back().copied() {
                open.add_voice(before.span);
            }
            open.add_voice(frame.span);
            if open.guessed {
                open.guessed = false;
                open.hint = None;
                decisions.push(Decision::Resumed { utterance: open.utterance });
            }
        }
        open.levels.push_back(frame);
        while open.levels.front().is_some_and(|old| frame.span.end - old.span.start > QUIETEST_WITHIN) {
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
        let Some(open) = &mut self.open else { return };
        let silence = now - open.voiced_end();
        let enough = open.voiced_length() >= settings.voiced_min;
        let end_after = match open.hint {
            Some(Hint::Complete) => settings.end_complete,
            Some(Hint::Open) => settings.end_open,
            None => settings.end_unknown,
        };
        let long = (open.voiced_end() - open.start).0 >= settings.longest.0 / 2;
        let why = if silence >= end_after {
            Why::Silence
        } else if long && silence >= settings.short_pause {
            Why::Length
        } else {
            if silence >= settings.guess_after && !open.guessed && enough {
                open.guessed = true;
                let (utterance, start) = (open.utterance, open.start);
                let end = self.end_of_open();
                decisions.push(Decision::Guess { utterance, span: Span::new(start, end) });
            }
            return;
        };
        if let Some(open) = self.open.take() {
            let end = self.end_of(&open);
            self.finish(open, end, why, decisions);
        }
    }

    fn end_of_open(&self) -> MeetingTime {
        self.open.as_ref().map_or(self.heard_until, |open| self.end_of(open))
    }

    /// The last voice and a tail, as far as there is audio.
    fn end_of(&self, open: &Open) -> MeetingTime {
        (open.voiced_end() + self.settings.tail).min(self.heard_until)
    }

    fn finish(&mut self, open: Open, end: MeetingTime, why: Why, decisions: &mut Vec<Decision>) {
        self.floor = end;
        let utterance = open.utterance;
        if open.voiced_length() < self.settings.voiced_min {
            decisions.push(Decision::Dropped { utterance });
        } else {
            let span = Span::new(open.start, end.max(open.start));
            decisions.push(Decision::Ended { utterance, span, voiced: open.voiced, why });
        }
    }

    /// Cuts continuous speech at the quietest point; the rest is the next utterance.
    fn split(&mut self, decisions: &mut Vec<Decision>) {
        let Some(mut open) = self.open.take() else { return };
        let levels = open.levels.make_contiguous();
        let quietest = levels
            .windows(QUIETEST_FRAMES.min(levels.len()).max(1))
            .min_by(|a, b| mean_level(a).total_cmp(&mean_level(b)))
            .map(|window| window[window.len() / 2].span.start);
        let at = quietest.unwrap_or(self.heard_until).clamp(open.start, self.heard_until);
        let after: Vec<Span> = open
            .voiced
            .iter()
            .filter(|span| span.end > at)
            .map(|span| Span::new(span.start.max(at), span.end))
            .collect();
        let levels: VecDeque<Frame> = open.levels.iter().copied().filter(|frame| frame.span.start >= at).collect();
        open.voiced = cut_spans(&open.voiced, at);
        self.finish(open, at, Why::Length, decisions);
        let utterance = self.next;
        self.next += 1;
        decisions.push(Decision::Opened { utterance, start: at });
        self.open = Some(Open { utterance, start: at, voiced: after, guessed: false, hint: None, levels, again: 0 });
    }
}

/// What an onset may look back beyond the pre-roll.
const ONSET_ROOM: Micros = Micros::from_ms(100);

fn cut_spans(spans: &[Span], at: MeetingTime) -> Vec<Span> {
    spans.iter().filter(|span| span.start < at).map(|span| Span::new(span.start, span.end.min(at))).collect()
}

fn mean_level(frames: &[Frame]) -> f32 {
    frames.iter().map(|frame| frame.level_db).sum::<f32>() / frames.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: i64 = 16_000;

    /// Frames from a line: a digit pair per character would be unreadable, so runs: (frames, voice, level).
    fn feed(endpoint: &mut Endpoint, from: &mut i64, runs: &[(usize, f32, f32)]) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for (frames, voice, level_db) in runs {
            for _ in 0..*frames {
                let span = Span::of(MeetingTime(*from), Micros(FRAME_US));
                *from += FRAME_US;
                decisions.extend(endpoint.frame(Frame { span, level_db: *level_db, voice: *voice }));
            }
        }
        decisions
    }

    fn endpoint() -> Endpoint {
        Endpoint::new(Settings::new(Micros::from_secs(12)))
    }

    const SILENT: (usize, f32, f32) = (60, 0.02, -70.0);

    fn ms(time: MeetingTime) -> i64 {
        time.as_ms()
    }

    #[test]
    fn one_utterance_from_pre_roll_to_tail() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        let decisions = feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0), SILENT]);
        let [
            Decision::Opened { start, .. },
            Decision::Guess { span: guess, .. },
            Decision::Ended { span, voiced, why, .. },
        ] = &decisions[..]
        else {
            panic!("{decisions:?}")
        };
        assert_eq!(ms(*start), 960 - 250);
        assert_eq!((ms(span.start), ms(span.end)), (710, 1_920 + 190));
        assert_eq!(guess, span, "the speculation is the final");
        assert_eq!(voiced, &[Span::new(MeetingTime(960_000), MeetingTime(1_920_000))]);
        assert_eq!(*why, Why::Silence);
    }

    #[test]
    fn clicks_open_nothing_or_are_dropped() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        let click = (2, 0.9, -20.0);
        assert!(feed(&mut endpoint, &mut at, &[SILENT, click, SILENT, click, SILENT]).is_empty());
        let decisions = feed(&mut endpoint, &mut at, &[(5, 0.9, -20.0), SILENT]);
        assert!(matches!(decisions[..], [Decision::Opened { .. }, Decision::Dropped { .. }]), "{decisions:?}");
    }

    #[test]
    fn a_pause_inside_is_guessed_and_resumed() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        let voice = (60, 0.9, -20.0);
        let decisions = feed(&mut endpoint, &mut at, &[SILENT, voice, (20, 0.02, -60.0), voice, SILENT]);
        let kinds: Vec<_> = decisions.iter().map(std::mem::discriminant).collect();
        let expected = [
            Decision::Opened { utterance: 0, start: MeetingTime::ZERO },
            Decision::Guess { utterance: 0, span: Span::new(MeetingTime::ZERO, MeetingTime::ZERO) },
            Decision::Resumed { utterance: 0 },
            Decision::Guess { utterance: 0, span: Span::new(MeetingTime::ZERO, MeetingTime::ZERO) },
        ];
        assert_eq!(kinds[..4], expected.iter().map(std::mem::discriminant).collect::<Vec<_>>()[..]);
        let Some(Decision::Ended { voiced, .. }) = decisions.last() else { panic!("{decisions:?}") };
        assert_eq!(voiced.len(), 2);
    }

    #[test]
    fn a_blip_in_the_trailing_silence_changes_nothing() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        let quiet = (16, 0.02, -60.0);
        let decisions = feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0), quiet, (1, 0.9, -30.0), SILENT]);
        assert_eq!(decisions.len(), 3, "{decisions:?}");
    }

    #[test]
    fn the_wait_follows_the_hint() {
        for (hint, expected) in [(Some(Hint::Complete), 450), (None, 600), (Some(Hint::Open), 800)] {
            let (mut endpoint, mut at) = (endpoint(), 0);
            feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0), (14, 0.02, -60.0)]);
            if let Some(hint) = hint {
                endpoint.hint(0, hint);
            }
            let voice_end = 1_920_000;
            while feed(&mut endpoint, &mut at, &[(1, 0.02, -60.0)]).is_empty() {}
            assert!((at - voice_end - expected * 1_000).abs() <= FRAME_US, "{hint:?}: {}", at - voice_end);
        }
    }

    #[test]
    fn silence_without_audio_ends_it() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
        let now = |ms: i64| MeetingTime(at + ms * 1_000);
        assert!(endpoint.tick(now(299)).is_empty());
        assert!(matches!(endpoint.tick(now(300))[..], [Decision::Guess { .. }]));
        assert!(endpoint.tick(now(320)).is_empty());
        let decisions = endpoint.tick(now(610));
        let [Decision::Ended { span, .. }] = &decisions[..] else { panic!("{decisions:?}") };
        assert_eq!(span.end, MeetingTime(at), "only audio that is there");

        let (mut endpoint, mut at) = (self::endpoint(), 0);
        feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
        let decisions = endpoint.gap(Span::of(MeetingTime(at), Micros::from_ms(600)));
        assert!(matches!(decisions[..], [Decision::Ended { .. }]), "{decisions:?}");
    }

    #[test]
    fn continuous_speech_is_cut_without_losing_or_doubling_audio() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        // A dip every 3 s, never a pause.
        let mut runs = vec![SILENT];
        for _ in 0..20 {
            runs.extend([(180, 0.9, -20.0), (7, 0.5, -45.0)]);
        }
        runs.push(SILENT);
        let decisions = feed(&mut endpoint, &mut at, &runs);
        let ended: Vec<Span> = decisions
            .iter()
            .filter_map(|decision| match decision {
                Decision::Ended { span, .. } => Some(*span),
                _ => None,
            })
            .collect();
        assert!(ended.len() >= 5, "{ended:?}");
        for pair in ended.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
        }
        assert!(ended.iter().all(|span| span.length() <= Micros::from_secs(12)), "{ended:?}");
        // At the dips: the level there is low.
        for span in &ended[..ended.len() - 1] {
            let into = (span.end.0 - 60 * FRAME_US) % (187 * FRAME_US);
            assert!(into >= 180 * FRAME_US - 2 * FRAME_US, "{into}");
        }
    }

    #[test]
    fn a_short_pause_ends_what_is_long() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        let decisions = feed(&mut endpoint, &mut at, &[SILENT, (400, 0.9, -20.0), (11, 0.02, -60.0), (60, 0.9, -20.0)]);
        assert!(matches!(decisions[1], Decision::Ended { why: Why::Length, .. }), "{decisions:?}");
        let (Decision::Ended { span, .. }, Decision::Opened { start, .. }) = (&decisions[1], &decisions[2]) else {
            panic!("{decisions:?}")
        };
        assert!(span.end <= *start);
    }

    #[test]
    fn a_cut_ends_it_there_and_nothing_reaches_back() {
        let (mut endpoint, mut at) = (endpoint(), 0);
        feed(&mut endpoint, &mut at, &[SILENT, (60, 0.9, -20.0)]);
        let cut = MeetingTime(at - 100_000);
        let decisions = endpoint.cut(cut);
        let [Decision::Ended { span, voiced, why: Why::Broken, .. }] = &decisions[..] else { panic!("{decisions:?}") };
        assert_eq!(span.end, cut);
        assert!(voiced.iter().all(|span| span.end <= cut));
        let decisions = feed(&mut endpoint, &mut at, &[(60, 0.9, -20.0)]);
        let [Decision::Opened { start, .. }] = &decisions[..] else { panic!("{decisions:?}") };
        assert!(*start >= cut);
    }
}
