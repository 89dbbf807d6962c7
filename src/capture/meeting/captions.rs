//! Captions on their way out: asked at the gate once more, then partials are told at once and
//! finals are queued for the database.

use super::RunningMeeting;
use crate::{
    capture::commit::Write,
    domain::{
        gate::{Transcription, Verdict},
        time::MeetingTime,
        transcript::Reason,
    },
    queue::message::Published,
    speech::{Caption, Line},
    store::{
        capture::{self, FinalSegment},
        event::wire_time,
    },
};
use serde_json::{Value, json};
use tracing::warn;

impl RunningMeeting {
    /// Carries one caption out of the meeting.
    pub(super) fn caption(&mut self, caption: Caption) {
        match caption {
            Caption::Partial(line) => {
                if self.rules.gate().still::<Transcription>(&line.pass) == Verdict::Keep {
                    let told = Published::Live {
                        kind: "transcript_update".into(),
                        data: self.partial(&line),
                        to: None,
                    };
                    // A partial that is lost is replaced by the next.
                    let _ = self.deps.queue.publish(self.meeting, &told);
                }
            }
            Caption::Final(line) => {
                // The commit task asks the gate.
                self.finalise(line);
            }
            Caption::Retracted(retraction) => {
                let lost = retraction.reason == Reason::Lost;
                self.write(Write::Retracted {
                    segment: retraction.segment,
                    reason: retraction.reason.as_str(),
                    unheard: lost.then_some((retraction.participant, retraction.span)),
                });
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
            "words": capture::words(&line.words),
        })
    }

    fn finalise(&mut self, line: Line) {
        let pass = line.pass;
        let written = self.commits.write(Write::Final(FinalSegment {
            id: line.segment,
            pass: line.pass,
            start_ms: line.span.start.as_ms(),
            end_ms: line.span.end.as_ms(),
            words: capture::words(&line.words),
            language: line.language,
            text: line.text,
            revision: i32::try_from(line.revision).unwrap_or(i32::MAX),
            epoch: self.holder.epoch,
        }));
        if written.is_err() {
            warn!(meeting = %self.meeting, segment = %line.segment, "a final could not be kept: too much waits for Postgres");
            self.tracks.overflow.lost(pass.participant, pass.span);
        }
    }
}
