//! The end of the reorder buffer: frames whose turn it is, admitted once per use and handed to
//! files and to speech.

use super::{Track, Tracks};
use crate::{
    capture::commit::{Commits, Holder, Write},
    domain::{
        gate::{Admitted, Purpose, Refusal},
        id::{RecordingId, StreamId},
        jitter_buffer::{Released, Unpacked},
        recording::{CONCEAL_MAX, Track as Recorded},
        time::{MeetingTime, Span},
    },
    media::{frame::Frame, live::spool::Spool, rendering::redundancy},
    store::recording::TrackKey,
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};
use tracing::warn;

impl Tracks {
    pub(super) fn release(&mut self, stream: StreamId, now: MeetingTime, commits: &Commits) {
        let Some(track) = self.tracks.get_mut(&stream) else {
            return;
        };
        let (who, codec) = (track.participant, track.codec);
        let unpack = |payload: Bytes, span| Unpacked {
            delay: codec.delay(),
            repeats: redundancy::repeats(codec, &payload),
            frame: Frame {
                payload: Arc::from(&payload[..]),
                span,
            },
        };
        while let Some(released) = track.buffer.release(&self.gate, who, now, unpack) {
            match released {
                Released::Frame {
                    span,
                    arrived,
                    recording,
                    transcription,
                } => {
                    if let Some(admitted) = counted(recording) {
                        let (recordings, begun) = (&mut self.recordings, &mut self.begun);
                        let recording = begin(
                            recordings,
                            begun,
                            &self.spool,
                            &self.holder,
                            track,
                            span,
                            commits,
                        );
                        if !self.spool.write(recording, admitted) {
                            self.overflowed.insert(recording);
                        }
                    }
                    if let Some(admitted) = counted(transcription) {
                        track.voiced = Some(arrived);
                        if !self.decode_thread.push(stream, admitted) {
                            self.overflow.lost(who, span);
                        }
                    }
                }
                Released::Lost { span } => {
                    metrics::counter!("hansard_rtp_lost_total").increment(1);
                    self.decode_thread.lost(stream, span);
                    note_lost(&self.recordings, &track.key, span, commits);
                }
            }
        }
    }

    /// Something of a recording, if there is one, was sent and did not come.
    pub(super) fn note_lost(&self, key: TrackKey, span: Span, commits: &Commits) {
        note_lost(&self.recordings, &key, span, commits);
    }
}

fn note_lost(
    recordings: &BTreeMap<TrackKey, RecordingId>,
    key: &TrackKey,
    span: Span,
    commits: &Commits,
) {
    if let Some(recording) = recordings.get(key)
        && span.length() > CONCEAL_MAX
    {
        let _ = commits.write(Write::Lost {
            recording: *recording,
            span,
        });
    }
}

/// `None`: refused, and counted.
fn counted<P: Purpose>(
    admitted: Result<Admitted<P, Frame>, Refusal>,
) -> Option<Admitted<P, Frame>> {
    if let Err(refusal) = &admitted {
        let (purpose, reason) = (P::USE.as_str(), refusal.as_str());
        metrics::counter!("hansard_gate_refused_total", "purpose" => purpose, "reason" => reason)
            .increment(1);
    }
    admitted.ok()
}

/// The recording that a track's frames belong to, made known before its first frame.
fn begin(
    recordings: &mut BTreeMap<TrackKey, RecordingId>,
    begun: &mut BTreeMap<RecordingId, TrackKey>,
    spool: &Spool,
    holder: &Holder,
    track: &Track,
    first: Span,
    commits: &Commits,
) -> RecordingId {
    let id = *recordings
        .entry(track.key)
        .or_insert_with(|| RecordingId(crate::store::new_id()));
    if let std::collections::btree_map::Entry::Vacant(entry) = begun.entry(id) {
        entry.insert(track.key);
        let recorded = Recorded {
            meeting: holder.meeting,
            recording: id,
            participant: track.participant,
            source: track.key.source,
            codec: track.codec,
        };
        if !spool.open(recorded) {
            warn!("the recorder takes no more recordings");
        }
        let _ = commits.write(Write::Track {
            id,
            key: track.key,
            start_ms: first.start.as_ms(),
        });
    }
    id
}
