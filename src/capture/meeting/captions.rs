//! Captions on their way out: asked at the gate once more, then partials are told at once and
//! finals are queued for the database.

use super::RunningMeeting;
use crate::{
    capture::commit::Write,
    domain::{
        event::{self, Event, Speaker},
        gate::{Transcription, Verdict},
        time::MeetingTime,
        transcript::RetractionReason,
    },
    published,
    speech::{Caption, Line},
    store::{capture::FinalSegment, effect::Effects},
};
use tracing::warn;

impl RunningMeeting {
    /// Carries one caption out of the meeting.
    pub(super) fn caption(&mut self, caption: Caption) {
        match caption {
            Caption::Partial(line) => {
                if self.rules.gate().still::<Transcription>(&line.pass) == Verdict::Keep {
                    // A partial that is lost is replaced by the next.
                    let told = Effects::live(self.partial(&line));
                    published::publish(&self.deps.queue, None, self.meeting, told);
                }
            }
            Caption::Final(line) => {
                // The commit task asks the gate.
                self.finalise(line);
            }
            Caption::Translated(translation) => {
                // Behind its final, and asked at the gate again like it.
                self.write(Write::Translated(translation));
            }
            Caption::Retracted(retraction) => {
                let lost = retraction.reason == RetractionReason::Lost;
                self.write(Write::Retracted {
                    segment: retraction.segment,
                    reason: retraction.reason,
                    unheard: lost.then_some((retraction.participant, retraction.span)),
                });
            }
        }
    }

    fn partial(&self, line: &Line) -> Event {
        let start_ms = line.span.start.as_ms();
        Event::TranscriptUpdate(event::Caption {
            segment_id: line.segment,
            revision: line.revision,
            is_final: false,
            participant: Speaker {
                id: line.participant,
                display_name: self.names.get(&line.participant).cloned(),
            },
            start_ms,
            end_ms: line.span.end.as_ms(),
            start_at: Some(self.clock.to_wall(MeetingTime::from_ms(start_ms))),
            language: line.language.clone(),
            text: line.text.clone(),
            stable_chars: line.stable_chars as usize,
            words: event::words(&line.words),
        })
    }

    fn finalise(&mut self, line: Line) {
        let pass = line.pass;
        let written = self.commits.write(Write::Final(FinalSegment {
            id: line.segment,
            pass: line.pass,
            media_source: line.source,
            start_ms: line.span.start.as_ms(),
            end_ms: line.span.end.as_ms(),
            words: event::words(&line.words),
            language: line.language,
            text: line.text,
            revision: i32::try_from(line.revision).unwrap_or(i32::MAX),
            epoch: self.holder.epoch,
        }));
        if written.is_err() {
            warn!(segment = %line.segment, "a final could not be kept: too much waits for Postgres");
            self.tracks.lost(pass.participant, pass.span);
        }
    }
}
