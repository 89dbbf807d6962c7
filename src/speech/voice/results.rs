//! What the decoder heard becomes captions, if the gate still allows it.

use super::{Utterance, Voice};
use crate::{
    domain::{
        gate::{Transcription, Verdict},
        id::SegmentId,
        schedule::Kind,
        time::Micros,
        transcript::{Ending, Hypothesis, Reason, doubt, place, said, untangle},
    },
    speech::{
        Caption, Line, Retraction,
        decoder::Outcome,
        dispatch::{Dispatch, Task},
        evidence::{hint, hull, words_span},
    },
};
use uuid::Uuid;

impl Voice {
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
    pub(super) fn conclude(
        &mut self,
        number: u64,
        hypothesis: Hypothesis,
        dispatch: &mut Dispatch,
    ) {
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
    pub(super) fn end_without(&mut self, number: u64, reason: Reason, dispatch: &mut Dispatch) {
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
