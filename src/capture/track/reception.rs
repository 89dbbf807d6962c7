//! How the streams of a meeting are received: counted by their sockets and on the way here.

use super::{ALIVE_EVERY, Picture, Track, Tracks};
use crate::{
    capture::{commit::Commits, media_watch::MediaWatch},
    domain::{
        connectivity::Connectivity,
        id::{ParticipantId, RecordingId, StreamId},
        media_state::Media,
        time::MeetingTime,
    },
    ingest::{self, Reason, Seen},
    store::recording::TrackKey,
};
use std::collections::BTreeMap;

/// One stream.
pub struct Received {
    pub stream: StreamId,
    pub media: Media,
    pub seen: Seen,
    /// Taken.
    pub packets: u64,
    /// Not kept, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl Tracks {
    /// Which streams' media came, stalled or came back since the last look.
    pub fn look(&mut self, now: MeetingTime) -> Vec<(StreamId, ParticipantId, Media)> {
        let look = |(id, track): (&StreamId, &mut Track)| {
            Some((
                *id,
                track.participant,
                track.watch.look(track.ingest.counts(), now)?,
            ))
        };
        let seen = |(id, picture): (&StreamId, &mut Picture)| {
            let media = picture.watch.look(picture.ingest.counts(), now)?;
            Some((*id, picture.participant, media))
        };
        let pictures = self.pictures.iter_mut().filter_map(seen);
        self.tracks
            .iter_mut()
            .filter_map(look)
            .chain(pictures)
            .collect()
    }

    /// How each stream is received.
    pub fn received(&self, now: MeetingTime) -> Vec<Received> {
        let of = |id: StreamId,
                  ingest: &ingest::Stream,
                  watch: &MediaWatch,
                  mut dropped: BTreeMap<&'static str, u64>| {
            let counts = ingest.counts();
            for reason in Reason::ALL {
                *dropped.entry(reason.as_str()).or_default() += counts.dropped(reason);
            }
            dropped.retain(|_, count| *count > 0);
            Received {
                stream: id,
                media: watch.state(now),
                seen: ingest.seen(),
                packets: counts.taken(),
                dropped,
            }
        };
        let sounds = self
            .tracks
            .iter()
            .map(|(id, track)| of(*id, &track.ingest, &track.watch, track.dropped.clone()));
        let pictures = self
            .pictures
            .iter()
            .map(|(id, picture)| of(*id, &picture.ingest, &picture.watch, BTreeMap::new()));
        sounds.chain(pictures).collect()
    }

    /// The sender said goodbye: whether it goes on shows with its next packet, which is told at
    /// once.
    pub fn bye(&mut self, stream: StreamId, now: MeetingTime) {
        if let Some(track) = self.tracks.get_mut(&stream) {
            track.alive = now - ALIVE_EVERY;
        }
        if let Some(of) = self.connectivity_of(stream) {
            of.goodbye(now);
        }
    }

    /// Whether what comes of a recording can be written: what that means for its participant.
    pub fn kept(&mut self, recording: RecordingId, kept: bool) -> Option<(ParticipantId, bool)> {
        let participant = self.begun.get(&recording)?.participant;
        if kept {
            self.unkept.remove(&recording);
        } else {
            self.unkept.insert(recording);
        }
        let of = |id: &RecordingId| {
            self.begun
                .get(id)
                .is_some_and(|key| key.participant == participant)
        };
        Some((participant, !self.unkept.iter().any(of)))
    }

    /// Ports are closed at once with their streams: another process goes on with them.
    pub fn hand_over(&self) {
        self.tracks
            .values()
            .for_each(|track| track.ingest.hand_over());
    }

    /// Something of a source came; notes what was lost before it.
    pub(super) fn media(&mut self, key: TrackKey, at: MeetingTime, commits: &Commits) {
        if let Some(of) = self.connectivity.get_mut(&key)
            && let Some(lost) = of.media(at)
        {
            self.note_lost(key, lost, commits);
        }
    }

    /// Its sender is there, whether it sends media or not.
    pub fn sign(&mut self, stream: StreamId, at: MeetingTime) {
        if let Some(of) = self.connectivity_of(stream) {
            of.sign(at);
        }
    }

    /// The sender goes on with another SSRC: its counters begin anew.
    pub fn begin_anew(&mut self, stream: StreamId, now: MeetingTime) {
        if let Some(track) = self.tracks.get_mut(&stream) {
            track.buffer.intake_mut().begin_anew();
        }
        if let Some(of) = self.connectivity_of(stream) {
            of.anew(now);
        }
    }

    fn connectivity_of(&mut self, stream: StreamId) -> Option<&mut Connectivity> {
        let key = self.tracks.get(&stream)?.key;
        self.connectivity.get_mut(&key)
    }
}
