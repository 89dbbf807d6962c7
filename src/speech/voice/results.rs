//! What the decoder heard becomes captions, if the gate still allows it.

use super::{Utterance, Voice};
use crate::{
    domain::{
        gate::{Transcription, Verdict},
        id::SegmentId,
        schedule::Kind,
        time::total,
        transcript::{
            Before, Ending, Hypothesis, RetractionReason, doubt, heard_letters, kept, language,
            place, said,
        },
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
                self.end_without(task.utterance, RetractionReason::Lost, dispatch)
            }
            (Outcome::Failed(_), Some(guess)) => guess.result = Some(Err(())),
            // Only an abort that crossed with a promotion.
            (Outcome::Aborted, _) if is_final => self.want_final(task.utterance, dispatch),
            (Outcome::Aborted, Some(_)) => utterance.guess = None,
            (Outcome::Failed(_) | Outcome::Aborted, None) => {}
        }
    }

    fn show(&mut self, task: &Task, hypothesis: &Hypothesis, more: bool, dispatch: &mut Dispatch) {
        let voiced = total(&task.voiced);
        let line_language = self.line_language(hypothesis, dispatch);
        let last = self.spoken.language();
        let own = language::evident(hypothesis.sounds.as_ref(), last, voiced).map(str::to_owned);
        let Some(utterance) = self.utterances.get_mut(&task.utterance) else {
            return;
        };
        utterance.language = own.or(utterance.language.take());
        let newer = task.pass.span.end > utterance.shown_until;
        let settled = self.options.language.is_some()
            || language::is_settled(&hypothesis.used, hypothesis.sounds.as_ref());
        if utterance.ended.is_some() || !newer || !settled || doubt(hypothesis, voiced).is_some() {
            return;
        }
        let words = place(
            &said(&hypothesis.words),
            &task.voiced,
            hull(&task.voiced, task.pass.span),
        );
        utterance.shown_until = task.pass.span.end;
        if self.spoken.has_ended(task.pass.span.start) {
            utterance.segment.begins_sentence();
        }
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
            source: self.options.source,
            span: words_span(&partial.words, hull(&task.voiced, task.pass.span)),
            text: partial.text,
            stable_chars: partial.stable_chars,
            words: partial.words,
            language: line_language,
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
        let language = self.line_language(&hypothesis, dispatch);
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
        let voiced = total(&utterance.voiced);
        let doubt = doubt(&hypothesis, voiced);
        tracing::debug!(
            voiced_ms = voiced.as_ms(),
            words = hypothesis.words.len(),
            no_speech = hypothesis.no_speech,
            log_prob = hypothesis.log_prob,
            used = hypothesis.used,
            sounds = ?hypothesis.sounds,
            ?doubt,
            "an utterance was decoded"
        );
        if heard_letters(&hypothesis, voiced) {
            utterance.segment.heard_letters();
        }
        let words = kept(&hypothesis.words, doubt);
        let whole = hull(&utterance.voiced, utterance.span);
        let words = place(&words, &utterance.voiced, whole);
        if self.spoken.has_ended(whole.start) {
            utterance.segment.begins_sentence();
        }
        match utterance.segment.finish(words, whole.end) {
            Ending::Final {
                revision,
                text,
                words,
            } => {
                let said = Before {
                    text: text.clone(),
                    is_sure: doubt.is_none(),
                    language: hypothesis.used.clone(),
                    entry: utterance.entry,
                    end: whole.end,
                };
                self.spoken.said(said, voiced);
                let line = Line {
                    segment: utterance.id.unwrap_or_else(|| SegmentId(Uuid::now_v7())),
                    revision,
                    participant: self.options.participant,
                    stream: self.options.stream,
                    source: self.options.source,
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
                dispatch.tell(self.meeting, Caption::Final(line.clone()));
                self.translate(&line, &utterance, dispatch);
            }
            ending => self.tell_ending(&utterance, ending, dispatch),
        }
    }

    /// Ends an utterance that has no words.
    pub(super) fn end_without(
        &mut self,
        number: u64,
        reason: RetractionReason,
        dispatch: &mut Dispatch,
    ) {
        let Some(mut utterance) = self.utterances.remove(&number) else {
            return;
        };
        utterance.stop_all(dispatch);
        let reason = if utterance.withdrawn && reason == RetractionReason::Empty {
            RetractionReason::Withdrawn
        } else {
            reason
        };
        let ending = utterance.segment.retract(reason);
        self.tell_ending(&utterance, ending, dispatch);
    }

    fn tell_ending(&self, utterance: &Utterance, ending: Ending, dispatch: &mut Dispatch) {
        if let Ending::Retracted { revision, reason } = ending {
            let reason = if utterance.withdrawn && reason == RetractionReason::Empty {
                RetractionReason::Withdrawn
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

    /// The language that a line is said to be in.
    fn line_language(&self, hypothesis: &Hypothesis, dispatch: &Dispatch) -> Option<String> {
        let used = hypothesis.sounds.as_ref().map(|_| hypothesis.used.clone());
        self.options
            .language
            .clone()
            .or(used)
            .or_else(|| dispatch.language().map(str::to_owned))
    }
}
