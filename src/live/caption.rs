//! Captions on their way out: asked at the gate once more, then partials are told at once and finals go to the ledger.

use super::{capture::Live, ledger::Write};
use crate::{
    domain::{
        gate::{Transcription, Verdict},
        time::MeetingTime,
        transcript::Word,
    },
    queue::message::Told,
    speech::{Caption, Line},
    store::{capture::FinalSegment, event::wire_time},
};
use serde_json::{Value, json};

/// `[{text, startMs, endMs, confidence}]`.
fn words(words: &[Word]) -> Value {
    words
        .iter()
        .map(|word| {
            json!({
                "text": word.text,
                "startMs": word.span.start.as_ms(),
                "endMs": word.span.end.as_ms(),
                "confidence": (f64::from(word.confidence) * 1000.0).round() / 1000.0,
            })
        })
        .collect()
}

impl Live {
    /// Carries one caption out of the meeting.
    pub fn caption(&mut self, caption: Caption) {
        match caption {
            Caption::Partial(line) => {
                if self.rules.gate().still::<Transcription>(&line.pass) == Verdict::Keep {
                    let told = Told::Live { kind: "transcript_update".into(), data: self.partial(&line), to: None };
                    // A partial that is lost is replaced by the next.
                    let _ = self.deps.queue.publish(self.meeting, &told);
                }
            }
            Caption::Final(line) => {
                // The ledger asks the gate.
                self.finalise(line);
            }
            Caption::Retracted(retraction) => {
                self.write(Write::Retracted { segment: retraction.segment, reason: retraction.reason.as_str() });
            }
        }
    }

    fn partial(&self, line: &Line) -> Value {
        let start_ms = line.span.start.as_ms();
        json!({
            "segmentId": line.segment,
            "revision": line.revision,
            "final": false,
            "participant": {"id": line.participant, "displayName": self.names.get(&line.participant)},
            "startMs": start_ms,
            "endMs": line.span.end.as_ms(),
            "startAt": wire_time(self.clock.to_wall(MeetingTime::from_ms(start_ms))),
            "language": line.language,
            "text": line.text,
            "stableChars": line.stable_chars,
            "words": words(&line.words),
        })
    }

    fn finalise(&self, line: Line) {
        self.write(Write::Final(FinalSegment {
            id: line.segment,
            pass: line.pass,
            start_ms: line.span.start.as_ms(),
            end_ms: line.span.end.as_ms(),
            words: words(&line.words),
            language: line.language,
            text: line.text,
            revision: i32::try_from(line.revision).unwrap_or(i32::MAX),
            epoch: self.holder.epoch,
        }));
    }
}
