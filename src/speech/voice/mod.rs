//! One stream's captions: what its endpointing decides becomes decodes, what they hear becomes
//! captions.
//!
//! Every exit asks the gate: before a decode is sent, when it comes back, when something is told.
//! What reaches past a withdrawal is thrown away, the utterance is cut at that instant and decoded
//! again ([`Voice::check`]).

use super::{
    Caption, Line, Retraction, StreamOptions,
    dispatch::{Dispatch, Task},
    evidence::{hint, hull, words_span},
    segmenter::{Segmented, Segmenter, samples},
};
use crate::domain::{
    endpoint::{Decision, Thresholds},
    gate::{Admitted, Gate, Pass, Transcription, Verdict},
    id::SegmentId,
    late::Lates,
    schedule::Kind,
    time::{MeetingTime, Micros, Span},
    transcript::{Ending, Hypothesis, Reason, Segment, doubt, place, said, untangle},
    utterance::{self, Joins},
};
use crate::speech::decoder::Outcome;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use uuid::Uuid;

/// An utterance from its onset until its final is told.
struct Utterance {
    segment: Segment,
    /// Made when there is something to show.
    id: Option<SegmentId>,
    /// The consent entry that allowed its audio.
    entry: i64,
    span: Span,
    voiced: Vec<Span>,
    /// The partial waiting or running.
    partial: Option<u64>,
    /// How far into the voice the last partial asked for went.
    asked_until: MeetingTime,
    /// How far the last one shown went.
    shown_until: MeetingTime,
    guess: Option<Guess>,
    ended: Option<Ended>,
    withdrawn: bool,
}

struct Guess {
    job: u64,
    span: Span,
    result: Option<Result<Hypothesis, ()>>,
}

struct Ended {
    job: Option<u64>,
    pcm: Arc<[f32]>,
    at: Instant,
}

/// One stream's utterances, from its sound to its captions.
pub struct Voice {
    /// The stream's key in the dispatch, and its meeting's.
    key: u64,
    meeting: u64,
    options: StreamOptions,
    gate: Arc<Gate>,
    segmenter: Segmenter,
    entry: Option<i64>,
    lates: Lates,
    utterances: BTreeMap<u64, Utterance>,
    /// Languages that finals sounded like, until two agree.
    sounds_like: Option<String>,
    closed: bool,
}

impl Voice {
    pub fn new(
        key: u64,
        meeting: u64,
        options: StreamOptions,
        gate: Arc<Gate>,
        settings: Thresholds,
    ) -> Self {
        Self {
            key,
            meeting,
            options,
            gate,
            segmenter: Segmenter::new(settings),
            entry: None,
            lates: Lates::default(),
            utterances: BTreeMap::new(),
            sounds_like: None,
            closed: false,
        }
    }

    pub fn meeting(&self) -> u64 {
        self.meeting
    }

    /// Whether anything may still come of it without more audio.
    pub fn is_open(&self) -> bool {
        !self.utterances.is_empty()
    }

    /// Closed, and everything was told.
    pub fn is_done(&self) -> bool {
        self.closed && self.utterances.is_empty()
    }

    pub fn sound(
        &mut self,
        sound: Admitted<Transcription, Vec<f32>>,
        start: MeetingTime,
        dispatch: &mut Dispatch,
    ) {
        let (pcm, pass) = sound.into_parts();
        self.lates.add(pass.span, pass.late);
        let joins = utterance::joins(
            &self.gate,
            self.entry,
            self.segmenter.needs_from(),
            self.segmenter.until(),
            &Pass {
                span: Span::new(start, start.max(pass.span.end)),
                ..pass
            },
            &self.lates,
        );
        match joins {
            Joins::On => {}
            Joins::OtherEntry => {
                let heard = self.segmenter.cut(start);
                self.heard(heard, dispatch);
                self.entry = Some(pass.entry);
            }
            Joins::Held => {
                let heard = self.segmenter.cut(self.segmenter.heard_until());
                self.heard(heard, dispatch);
                self.segmenter.cut(start);
            }
        }
        let heard = self.segmenter.push(pcm, start);
        self.heard(heard, dispatch);
        self.want_partial(dispatch);
    }

    pub fn gap(&mut self, span: Span, dispatch: &mut Dispatch) {
        let heard = self.segmenter.gap(span);
        self.heard(heard, dispatch);
    }

    pub fn tick(&mut self, now: MeetingTime, dispatch: &mut Dispatch) {
        let heard = self.segmenter.tick(now);
        self.heard(heard, dispatch);
    }

    /// The stream ended: so does its utterance.
    pub fn close(&mut self, dispatch: &mut Dispatch) {
        self.closed = true;
        let heard = self.segmenter.cut(self.segmenter.heard_until());
        self.heard(heard, dispatch);
    }

    /// Forgets everything without a word: another worker has the meeting.
    pub fn abandon(&mut self, dispatch: &mut Dispatch) {
        self.closed = true;
        for utterance in std::mem::take(&mut self.utterances).into_values() {
            utterance.stop(dispatch);
        }
    }

    fn verdict(&self, span: Span, entry: i64) -> Verdict {
        self.gate.still::<Transcription>(&self.pass(span, entry))
    }

    fn pass(&self, span: Span, entry: i64) -> Pass {
        Pass {
            participant: self.options.participant,
            span,
            entry,
            late: self.lates.within(span),
        }
    }

    fn heard(&mut self, heard: Vec<Segmented>, dispatch: &mut Dispatch) {
        for (decision, pcm) in heard {
            match decision {
                Decision::Opened { utterance, start } => self.opened(utterance, start),
                Decision::Guess { utterance, span } => self.guess(utterance, span, pcm, dispatch),
                Decision::Resumed { utterance } => {
                    if let Some(guess) = self
                        .utterances
                        .get_mut(&utterance)
                        .and_then(|u| u.guess.take())
                    {
                        dispatch.cancel(guess.job);
                    }
                }
                Decision::Ended {
                    utterance,
                    span,
                    voiced,
                    ..
                } => self.ended(utterance, span, voiced, pcm, dispatch),
                Decision::Dropped { utterance } => {
                    self.end_without(utterance, Reason::Empty, dispatch)
                }
            }
        }
    }

    fn opened(&mut self, utterance: u64, start: MeetingTime) {
        let utterance_state = Utterance {
            segment: Segment::default(),
            id: None,
            entry: self.entry.unwrap_or_default(),
            span: Span::new(start, start),
            voiced: Vec::new(),
            partial: None,
            asked_until: start,
            shown_until: start,
            guess: None,
            ended: None,
            withdrawn: false,
        };
        self.utterances.insert(utterance, utterance_state);
    }

    fn task(
        &self,
        utterance: u64,
        kind: Kind,
        span: Span,
        voiced: Vec<Span>,
        pcm: Arc<[f32]>,
    ) -> Task {
        Task {
            meeting: self.meeting,
            stream: self.key,
            utterance,
            kind,
            pass: self.pass(span, self.utterances.get(&utterance).map_or(0, |u| u.entry)),
            gate: self.gate.clone(),
            voiced,
            pcm,
            language: self.options.language.clone(),
            prompt: self.options.prompt(),
        }
    }

    fn want_partial(&mut self, dispatch: &mut Dispatch) {
        if self.options.late || !self.segmenter.is_speaking() {
            return;
        }
        let Some(open) = self.segmenter.open() else {
            return;
        };
        let (number, voiced) = (open.utterance, open.voiced.clone());
        let length = self.segmenter.heard_until() - open.start;
        let Some(voice_end) = voiced.last().map(|span| span.end) else {
            return;
        };
        let Some(utterance) = self.utterances.get(&number) else {
            return;
        };
        let due = dispatch
            .partial_after(length)
            .is_some_and(|after| voice_end - utterance.asked_until >= after);
        // A partial on its way to the decoder is worth waiting for.
        if !due
            || utterance
                .partial
                .is_some_and(|job| dispatch.is_running(job))
        {
            return;
        }
        let Some((span, pcm)) = self.segmenter.so_far() else {
            return;
        };
        let job = dispatch.offer(self.task(number, Kind::Partial, span, voiced, pcm.into()));
        if let Some(utterance) = self.utterances.get_mut(&number) {
            utterance.asked_until = voice_end;
            utterance.partial = job;
        }
    }

    fn guess(&mut self, number: u64, span: Span, pcm: Vec<f32>, dispatch: &mut Dispatch) {
        if self.options.late {
            return;
        }
        let voiced = self
            .segmenter
            .open()
            .map(|open| open.voiced.clone())
            .unwrap_or_default();
        let job = dispatch.offer(self.task(number, Kind::Guess, span, voiced, pcm.into()));
        if let Some(utterance) = self.utterances.get_mut(&number) {
            utterance.drop_partial(dispatch);
            utterance.guess = job.map(|job| Guess {
                job,
                span,
                result: None,
            });
        }
    }

    fn ended(
        &mut self,
        number: u64,
        span: Span,
        voiced: Vec<Span>,
        pcm: Vec<f32>,
        dispatch: &mut Dispatch,
    ) {
        let Some(utterance) = self.utterances.get_mut(&number) else {
            return;
        };
        utterance.drop_partial(dispatch);
        (utterance.span, utterance.voiced) = (span, voiced);
        let pcm: Arc<[f32]> = pcm.into();
        utterance.ended = Some(Ended {
            job: None,
            pcm,
            at: Instant::now(),
        });
        match utterance.guess.take() {
            Some(guess) if guess.span == span => match guess.result {
                Some(Ok(hypothesis)) => return self.conclude(number, hypothesis, dispatch),
                Some(Err(())) => return self.end_without(number, Reason::Lost, dispatch),
                None if dispatch.promote(guess.job) => {
                    if let Some(ended) = &mut utterance.ended {
                        ended.job = Some(guess.job);
                    }
                    return;
                }
                None => {}
            },
            Some(guess) => dispatch.cancel(guess.job),
            None => {}
        }
        self.want_final(number, dispatch);
    }

    fn want_final(&mut self, number: u64, dispatch: &mut Dispatch) {
        let Some(utterance) = self.utterances.get(&number) else {
            return;
        };
        let Some(pcm) = utterance.ended.as_ref().map(|ended| ended.pcm.clone()) else {
            return;
        };
        let kind = if self.options.late {
            Kind::Late
        } else {
            Kind::Final
        };
        let task = self.task(number, kind, utterance.span, utterance.voiced.clone(), pcm);
        match dispatch.offer(task) {
            None => self.end_without(number, Reason::Lost, dispatch),
            job => {
                if let Some(ended) = self
                    .utterances
                    .get_mut(&number)
                    .and_then(|u| u.ended.as_mut())
                {
                    ended.job = job;
                }
            }
        }
    }

    /// A decode came back.
    pub fn outcome(&mut self, id: u64, task: Task, outcome: Outcome, dispatch: &mut Dispatch) {
        let Some(utterance) = self.utterances.get_mut(&task.utterance) else {
            return;
        };
        if utterance.partial == Some(id) {
            utterance.partial = None;
        }
        if self.verdict(task.pass.span, task.pass.entry) != Verdict::Keep {
            return self.check(dispatch);
        }
        let Some(utterance) = self.utterances.get_mut(&task.utterance) else {
            return;
        };
        let is_final = utterance
            .ended
            .as_ref()
            .is_some_and(|ended| ended.job == Some(id));
        let guess = utterance.guess.as_mut().filter(|guess| guess.job == id);
        match (outcome, guess) {
            (Outcome::Decoded { hypothesis, .. }, _) if is_final => {
                self.conclude(task.utterance, hypothesis, dispatch)
            }
            (Outcome::Decoded { hypothesis, .. }, Some(guess)) => {
                guess.result = Some(Ok(hypothesis.clone()));
                if let Some(hint) = hint(&hypothesis, &task.voiced) {
                    self.segmenter.hint(task.utterance, hint);
                }
                self.show(&task, &hypothesis, false, dispatch);
            }
            (Outcome::Decoded { hypothesis, .. }, None) => {
                self.show(&task, &hypothesis, task.kind == Kind::Partial, dispatch);
            }
            (Outcome::Failed(_), _) if is_final => {
                self.end_without(task.utterance, Reason::Lost, dispatch)
            }
            (Outcome::Failed(_), Some(guess)) => guess.result = Some(Err(())),
            // Only an abort that crossed with a promotion.
            (Outcome::Aborted, _) if is_final => self.want_final(task.utterance, dispatch),
            (Outcome::Aborted, Some(_)) => utterance.guess = None,
            (Outcome::Failed(_) | Outcome::Aborted, None) => {}
        }
    }

    fn show(&mut self, task: &Task, hypothesis: &Hypothesis, more: bool, dispatch: &mut Dispatch) {
        let language = self.language(hypothesis, dispatch);
        let Some(utterance) = self.utterances.get_mut(&task.utterance) else {
            return;
        };
        let voiced: i64 = task.voiced.iter().map(|span| span.length().0).sum();
        let newer = task.pass.span.end > utterance.shown_until;
        if utterance.ended.is_some() || !newer || doubt(hypothesis, Micros(voiced)).is_some() {
            return;
        }
        let words = place(
            &said(&hypothesis.words),
            &task.voiced,
            hull(&task.voiced, task.pass.span),
        );
        utterance.shown_until = task.pass.span.end;
        let Some(partial) = utterance.segment.partial(words, task.pass.span.end, more) else {
            return;
        };
        let line = Line {
            segment: *utterance
                .id
                .get_or_insert_with(|| SegmentId(Uuid::now_v7())),
            revision: partial.revision,
            participant: self.options.participant,
            stream: self.options.stream,
            span: words_span(&partial.words, hull(&task.voiced, task.pass.span)),
            text: partial.text,
            stable_chars: partial.stable_chars,
            words: partial.words,
            language,
            pass: task.pass,
        };
        dispatch.tell(self.meeting, Caption::Partial(line));
    }

    /// The one decode of the whole utterance is there.
    fn conclude(&mut self, number: u64, hypothesis: Hypothesis, dispatch: &mut Dispatch) {
        let language = self.language(&hypothesis, dispatch);
        let Some(utterance) = self.utterances.get(&number) else {
            return;
        };
        let pass = self.pass(utterance.span, utterance.entry);
        if self.gate.still::<Transcription>(&pass) != Verdict::Keep {
            return self.check(dispatch);
        }
        let Some(mut utterance) = self.utterances.remove(&number) else {
            return;
        };
        utterance.stop_all(dispatch);
        let voiced: i64 = utterance.voiced.iter().map(|span| span.length().0).sum();
        let words = match doubt(&hypothesis, Micros(voiced)) {
            Some(doubt) if doubt.is_empty() => Vec::new(),
            Some(_) => untangle(said(&hypothesis.words)),
            None => said(&hypothesis.words),
        };
        let whole = hull(&utterance.voiced, utterance.span);
        let words = place(&words, &utterance.voiced, whole);
        match utterance.segment.finish(words) {
            Ending::Final {
                revision,
                text,
                words,
            } => {
                self.listen_for_language(&hypothesis);
                let line = Line {
                    segment: utterance.id.unwrap_or_else(|| SegmentId(Uuid::now_v7())),
                    revision,
                    participant: self.options.participant,
                    stream: self.options.stream,
                    span: whole,
                    stable_chars: text.encode_utf16().count() as u32,
                    text,
                    words,
                    language,
                    pass,
                };
                if let Some(ended) = &utterance.ended {
                    metrics::histogram!("hansard_speech_final_after_end_seconds")
                        .record(ended.at.elapsed());
                }
                dispatch.tell(self.meeting, Caption::Final(line));
            }
            ending => self.tell_ending(&utterance, ending, dispatch),
        }
    }

    /// Ends an utterance that has no words.
    fn end_without(&mut self, number: u64, reason: Reason, dispatch: &mut Dispatch) {
        let Some(mut utterance) = self.utterances.remove(&number) else {
            return;
        };
        utterance.stop_all(dispatch);
        let reason = if utterance.withdrawn && reason == Reason::Empty {
            Reason::Withdrawn
        } else {
            reason
        };
        let ending = utterance.segment.retract(reason);
        self.tell_ending(&utterance, ending, dispatch);
    }

    fn tell_ending(&self, utterance: &Utterance, ending: Ending, dispatch: &mut Dispatch) {
        if let Ending::Retracted { revision, reason } = ending {
            let reason = if utterance.withdrawn && reason == Reason::Empty {
                Reason::Withdrawn
            } else {
                reason
            };
            dispatch.tell(
                self.meeting,
                Caption::Retracted(Retraction {
                    segment: utterance.id.unwrap_or_else(|| SegmentId(Uuid::now_v7())),
                    revision,
                    participant: self.options.participant,
                    stream: self.options.stream,
                    span: utterance.span,
                    reason,
                }),
            );
        }
    }

    /// Asks the gate about everything inside; what reaches past a withdrawal is cut there and
    /// decoded again.
    pub fn check(&mut self, dispatch: &mut Dispatch) {
        let numbers: Vec<u64> = self.utterances.keys().copied().collect();
        for number in numbers {
            let Some(utterance) = self.utterances.get_mut(&number) else {
                continue;
            };
            let (entry, start) = (utterance.entry, utterance.span.start);
            let is_open = utterance.ended.is_none();
            let span = if is_open {
                Span::new(start, self.segmenter.heard_until())
            } else {
                utterance.span
            };
            let Some(at) = utterance::cut(&self.gate, &self.pass(span, entry)) else {
                continue;
            };
            let Some(utterance) = self.utterances.get_mut(&number) else {
                continue;
            };
            utterance.withdrawn = true;
            utterance.stop_all(dispatch);
            if is_open {
                let heard = self.segmenter.cut(at);
                self.heard(heard, dispatch);
                continue;
            }
            let voiced: Vec<Span> = utterance
                .voiced
                .iter()
                .filter(|span| span.start < at)
                .map(|span| Span::new(span.start, span.end.min(at)))
                .collect();
            let left: i64 = voiced.iter().map(|span| span.length().0).sum();
            (utterance.span.end, utterance.voiced) = (at, voiced);
            let keep = samples(at - start);
            match &mut utterance.ended {
                Some(ended) if left >= VOICED_MIN.0 => {
                    ended.pcm = ended.pcm[..keep.min(ended.pcm.len())].into();
                    self.want_final(number, dispatch);
                }
                _ => self.end_without(number, Reason::Withdrawn, dispatch),
            }
        }
    }

    fn language(&self, hypothesis: &Hypothesis, dispatch: &Dispatch) -> Option<String> {
        let heard = hypothesis
            .language
            .as_ref()
            .map(|(language, _)| language.clone());
        self.options
            .language
            .clone()
            .or(heard)
            .or_else(|| dispatch.language().map(str::to_owned))
    }

    /// Two finals in a row that surely sound alike settle the language, so that it is not found out
    /// every time.
    fn listen_for_language(&mut self, hypothesis: &Hypothesis) {
        let Some((language, sure)) = &hypothesis.language else {
            return;
        };
        if self.options.language.is_some() || *sure < 0.8 {
            return;
        }
        if self.sounds_like.as_ref() == Some(language) {
            self.options.language = Some(language.clone());
        } else {
            self.sounds_like = Some(language.clone());
        }
    }
}

/// Voice left after a withdrawal that is worth decoding.
const VOICED_MIN: Micros = Micros::from_ms(120);

impl Utterance {
    fn drop_partial(&mut self, dispatch: &mut Dispatch) {
        if let Some(job) = self.partial.take() {
            dispatch.cancel(job);
        }
    }

    /// Every job that is out for it is of no more use.
    fn stop_all(&mut self, dispatch: &mut Dispatch) {
        self.drop_partial(dispatch);
        if let Some(guess) = self.guess.take() {
            dispatch.cancel(guess.job);
        }
        if let Some(job) = self.ended.as_mut().and_then(|ended| ended.job.take()) {
            dispatch.cancel(job);
        }
    }

    fn stop(mut self, dispatch: &mut Dispatch) {
        self.stop_all(dispatch);
    }
}
