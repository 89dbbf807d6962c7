//! One stream's captions: what its endpointing decides becomes decodes, what they hear becomes
//! captions.
//!
//! Every exit asks the gate: before a decode is sent, when it comes back, when something is told.
//! What reaches past a withdrawal is thrown away, the utterance is cut at that instant and decoded
//! again ([`Voice::check`]).

mod results;
mod utterance;

use super::{
    Line, StreamOptions, TRANSLATED_TO,
    dispatch::{Dispatch, Task, Translates},
    glossary_prompt,
    protocol::Language,
    segmenter::{Segmented, Segmenter, samples},
};
use crate::domain::{
    endpoint::{Decision, Thresholds},
    gate::{Admitted, Gate, Pass, Transcription, Verdict},
    late::LateSpans,
    schedule::Kind,
    time::{MeetingTime, Micros, Span, total},
    transcript::{RetractionReason, Segment, Spoken},
    utterance::{Joins, cut, joins},
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use utterance::{Ended, Guess, Utterance};

/// One stream's utterances, from its sound to its captions.
pub struct Voice {
    /// The stream's key in the dispatch, and its meeting's.
    key: u64,
    meeting: u64,
    options: StreamOptions,
    gate: Arc<Gate>,
    segmenter: Segmenter,
    entry: Option<i64>,
    lates: LateSpans,
    utterances: BTreeMap<u64, Utterance>,
    spoken: Spoken,
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
            lates: LateSpans::default(),
            utterances: BTreeMap::new(),
            spoken: Spoken::default(),
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
        let joined = joins(
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
        match joined {
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
        self.segmenter.guess_early(dispatch.schedule().has_room());
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
                Decision::Resumed { utterance } => self.resumed(utterance, dispatch),
                Decision::Ended {
                    utterance,
                    span,
                    voiced,
                    ..
                } => self.ended(utterance, span, voiced, pcm, dispatch),
                Decision::Dropped { utterance } => {
                    self.end_without(utterance, RetractionReason::Empty, dispatch)
                }
            }
        }
    }

    fn opened(&mut self, utterance: u64, start: MeetingTime) {
        let utterance_state = Utterance {
            segment: Segment::default(),
            id: None,
            language: None,
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
        let state = self.utterances.get(&utterance);
        let entry = state.map_or(0, |utterance| utterance.entry);
        let own = state.and_then(|utterance| utterance.language.clone());
        let last = own.or_else(|| self.spoken.language().map(str::to_owned));
        let language = Language::of(self.options.language.clone(), last);
        let before = self
            .spoken
            .before(entry, span.start, language.name())
            .filter(|_| kind != Kind::Partial)
            .map(str::to_owned);
        Task {
            meeting: self.meeting,
            stream: self.key,
            utterance,
            kind,
            shown: state.is_some_and(|utterance| utterance.segment.is_shown()),
            pass: self.pass(span, entry),
            gate: self.gate.clone(),
            voiced,
            pcm,
            language,
            among: self.options.languages.clone(),
            glossary: glossary_prompt(&self.options.glossary),
            before,
            translates: None,
        }
    }

    /// Asks for the translation of a final, of the audio that it was decoded from.
    fn translate(&self, line: &Line, utterance: &Utterance, dispatch: &mut Dispatch) {
        let (Some(ended), Some(language)) = (&utterance.ended, &line.language) else {
            return;
        };
        if !self.options.translate || language == TRANSLATED_TO {
            return;
        }
        dispatch.offer(Task {
            meeting: self.meeting,
            stream: self.key,
            utterance: 0,
            kind: if self.options.late {
                Kind::Late
            } else {
                Kind::Translation
            },
            pass: line.pass,
            gate: self.gate.clone(),
            voiced: utterance.voiced.clone(),
            pcm: ended.pcm.clone(),
            language: Language::Fixed {
                name: language.clone(),
            },
            among: Vec::new(),
            glossary: None,
            before: None,
            shown: true,
            translates: Some(Translates {
                segment: line.segment,
                revision: line.revision,
                asked: Instant::now(),
            }),
        });
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
            .partial_after(length, utterance.segment.is_shown())
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

    /// Its speaker went on. What was heard until the pause is still worth showing.
    fn resumed(&mut self, number: u64, dispatch: &mut Dispatch) {
        let Some(utterance) = self.utterances.get_mut(&number) else {
            return;
        };
        if let Some(guess) = utterance.guess.take()
            && guess.result.is_none()
            && dispatch.demote(guess.job)
        {
            utterance.partial = Some(guess.job);
            utterance.asked_until = guess.span.end;
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
                Some(Err(())) => return self.end_without(number, RetractionReason::Lost, dispatch),
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
            None => self.end_without(number, RetractionReason::Lost, dispatch),
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

    /// Asks the gate about everything inside; what reaches past a withdrawal is cut there and
    /// decoded again.
    pub fn check(&mut self, dispatch: &mut Dispatch) {
        self.check_before(dispatch);
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
            let Some(at) = cut(&self.gate, &self.pass(span, entry)) else {
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
            let left = total(&voiced);
            (utterance.span.end, utterance.voiced) = (at, voiced);
            let keep = samples(at - start);
            match &mut utterance.ended {
                Some(ended) if left >= VOICED_MIN => {
                    ended.pcm = ended.pcm[..keep.min(ended.pcm.len())].into();
                    self.want_final(number, dispatch);
                }
                _ => self.end_without(number, RetractionReason::Withdrawn, dispatch),
            }
        }
    }
}

impl Voice {
    /// What was said before a withdrawal is no help to what is decoded after it.
    fn check_before(&mut self, dispatch: &mut Dispatch) {
        if self.spoken.check(&self.gate, self.options.participant) {
            dispatch.drop_context(self.key);
        }
    }
}

/// Voice left after a withdrawal that is worth decoding.
const VOICED_MIN: Micros = Micros::from_ms(120);
