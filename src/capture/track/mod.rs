//! The streams of one meeting, from a checked RTP packet to the two branches: files and speech.
//!
//! In this order: placed on the timeline, asked at the gate, put in order, and on release admitted
//! twice, apart for each use. A packet that the gate refuses never meets a buffer; only its number
//! is noted, so that nobody waits for it.

mod opening;
mod reception;
mod release;
mod to_speech;

use super::{
    Deps,
    commit::{Commits, Holder, Write},
    media_watch::MediaWatch,
    unheard::{Overflow, Unheard},
};
use crate::{
    domain::{
        codec::AudioCodec,
        connectivity::Connectivity,
        gate::Gate,
        id::{ParticipantId, RecordingId, StreamId},
        intake::Received,
        jitter_buffer::JitterBuffer,
        stream::{CloseReason, MediaKind, MediaSource},
        time::{MeetingTime, Micros, Span},
        timeline::{Header, Senders},
    },
    ingest::{self, Arrival, Publication, Room},
    media::{
        live::{
            decode_thread::DecodeThread,
            disk::OwnedFolder,
            spool::{Spool, SpoolEvent},
        },
        rendering::redundancy,
    },
    speech,
    store::{capture::Loaded, recording::TrackKey, stream::Stream},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use to_speech::{SinkWatch, ToSpeech, WaitGuard};
use tokio::sync::mpsc;

/// The rules are told once a second that a stream lives, not with every packet.
const ALIVE_EVERY: Micros = Micros::from_secs(1);
/// An SRTP index is written down this often: a restart then finds the rollover counter again.
const INDEX_EVERY: Micros = Micros::from_secs(10);

/// Speech is told the time often for this long after a stream's last packet: that is when
/// utterances end.
const LIVELY: Micros = Micros::from_secs(3);

/// One stream.
pub struct Track {
    participant: ParticipantId,
    codec: AudioCodec,
    key: TrackKey,
    ingest: ingest::Stream,
    /// The others hear it while this is kept.
    _live: Publication,
    /// Where its sender sends to, when it has a port of its own.
    port: Option<u16>,
    watch: MediaWatch,
    /// Packets that came and were not kept, by reason.
    dropped: BTreeMap<&'static str, u64>,
    buffer: JitterBuffer<Bytes>,
    /// Whether PCM of it may still come.
    coming: SinkWatch,
    /// When a frame was last admitted for transcription.
    voiced: Option<MeetingTime>,
    cname: Option<Arc<str>>,
    alive: MeetingTime,
    indexed: MeetingTime,
    srtp: bool,
}

/// One stream of pictures: the others see it, and nothing of it is kept.
pub struct Picture {
    participant: ParticipantId,
    source: MediaSource,
    ingest: ingest::Stream,
    /// The others see it while this is kept.
    _live: Publication,
    watch: MediaWatch,
}

/// All streams of a meeting and what they share.
pub struct Tracks {
    deps: Arc<Deps>,
    holder: Holder,
    gate: Arc<Gate>,
    /// Who hears whom live.
    room: Room,
    to_loop: mpsc::Sender<(StreamId, Arrival)>,
    tracks: BTreeMap<StreamId, Track>,
    pictures: BTreeMap<StreamId, Picture>,
    senders: Senders<(ParticipantId, Arc<str>), StreamId>,
    /// Of each source, over all its streams.
    connectivity: BTreeMap<TrackKey, Connectivity>,
    recordings: BTreeMap<TrackKey, RecordingId>,
    /// Recordings that the spool and the database know in this epoch.
    begun: BTreeMap<RecordingId, TrackKey>,
    spool: Spool,
    decode_thread: DecodeThread,
    to_speech: ToSpeech,
    over: WaitGuard,
    /// Closed streams of which PCM may still come.
    ending: Vec<SinkWatch>,
    /// What speech had no room for.
    overflow: Overflow,
    /// Recordings of which a frame found no room on its way to the disk, until they are told.
    pub overflowed: BTreeSet<RecordingId>,
    /// Recordings of streams that were closed, likewise: nothing of them is lost any more.
    pub resumed: BTreeSet<RecordingId>,
    /// Those that cannot be written.
    unkept: BTreeSet<RecordingId>,
}

impl Tracks {
    /// Starts the meeting's recorder and decoder threads; answers with what they will have to say.
    pub fn new(
        deps: Arc<Deps>,
        holder: Holder,
        gate: Arc<Gate>,
        owned: Arc<OwnedFolder>,
        to_loop: mpsc::Sender<(StreamId, Arrival)>,
        loaded: &Loaded,
        ticker: speech::Ticker,
    ) -> anyhow::Result<(Self, mpsc::Receiver<SpoolEvent>)> {
        let (spool, spool_events) = Spool::start(owned, gate.clone())?;
        let time = Box::new(move |now| ticker.tick(now));
        let decode_thread = DecodeThread::start(gate.clone(), time)?;
        let overflow = Overflow::default();
        let (to_speech, over) = ToSpeech::new(gate.clone(), overflow.clone());
        let recordings = loaded
            .recordings
            .iter()
            .filter_map(|recording| Some((recording.key?, recording.id)))
            .collect();
        let tracks = Self {
            deps,
            holder,
            room: Room::new(gate.clone()),
            gate,
            to_loop,
            tracks: BTreeMap::new(),
            pictures: BTreeMap::new(),
            senders: Senders::default(),
            connectivity: BTreeMap::new(),
            recordings,
            begun: BTreeMap::new(),
            spool,
            decode_thread,
            to_speech,
            over,
            ending: Vec::new(),
            overflow,
            overflowed: BTreeSet::new(),
            resumed: BTreeSet::new(),
            unkept: BTreeSet::new(),
        };
        Ok((tracks, spool_events))
    }

    /// Who hears whom live.
    pub fn room(&self) -> &Room {
        &self.room
    }

    pub fn ids(&self) -> Vec<StreamId> {
        let all = self.tracks.keys().chain(self.pictures.keys());
        all.copied().collect()
    }

    pub fn is_open(&self, stream: StreamId) -> bool {
        self.tracks.contains_key(&stream) || self.pictures.contains_key(&stream)
    }

    pub fn port(&self, stream: StreamId) -> Option<u16> {
        self.tracks.get(&stream)?.port
    }

    /// Streams that a new one of the same participant, kind and source takes the place of.
    pub fn replaced_by(&self, new: &Stream) -> Vec<StreamId> {
        let sounds = self.tracks.iter().map(|(id, track)| {
            let of = (MediaKind::Audio, track.participant, track.key.source);
            (*id, of)
        });
        let pictures = self.pictures.iter().map(|(id, picture)| {
            let of = (MediaKind::Video, picture.participant, picture.source);
            (*id, of)
        });
        let wanted = (new.kind, new.participant, new.source);
        sounds
            .chain(pictures)
            .filter(|(id, of)| *id != new.id && *of == wanted)
            .map(|(id, _)| id)
            .collect()
    }

    /// Takes a packet. Answers whether the rules should hear that the stream lives.
    pub fn packet(
        &mut self,
        stream: StreamId,
        header: Header,
        payload: Bytes,
        arrived: MeetingTime,
        commits: &Commits,
    ) -> bool {
        let Some(track) = self.tracks.get_mut(&stream) else {
            return false;
        };
        let (codec, participant) = (track.codec, track.participant);
        let payload = || redundancy::without_padding(codec, &payload).map_or(payload, Bytes::from);
        match track
            .buffer
            .receive(&self.gate, participant, &header, arrived, payload)
        {
            Received::Discarded(discard) => dropped(&mut track.dropped, discard.as_str()),
            Received::Refused(refusal) => dropped(&mut track.dropped, refusal.as_str()),
            Received::Kept => {}
        }
        let key = track.key;
        let live = arrived - track.alive >= ALIVE_EVERY;
        if live {
            track.alive = arrived;
        }
        if track.srtp && arrived - track.indexed >= INDEX_EVERY {
            track.indexed = arrived;
            if let Some(index) = track.ingest.seen().index {
                let _ = commits.write(Write::Rollover { stream, index });
            }
        }
        self.media(key, arrived, commits);
        self.release(stream, arrived, commits);
        live
    }

    /// A packet of another payload type from the stream's sender: it uses up a number. Answers as
    /// [`Tracks::packet`].
    pub fn pass(
        &mut self,
        stream: StreamId,
        number: u16,
        arrived: MeetingTime,
        commits: &Commits,
    ) -> bool {
        let Some(track) = self.tracks.get_mut(&stream) else {
            return false;
        };
        track.buffer.intake_mut().pass(number, arrived);
        let key = track.key;
        let live = arrived - track.alive >= ALIVE_EVERY;
        if live {
            track.alive = arrived;
        }
        self.media(key, arrived, commits);
        self.release(stream, arrived, commits);
        live
    }

    /// Whether nothing of a stream can be placed, because the steps of its counter mean nothing.
    pub fn is_unreadable(&self, stream: StreamId) -> bool {
        self.tracks
            .get(&stream)
            .is_some_and(|track| track.buffer.intake().is_unreadable())
    }

    /// A sender report: the stream's rate, and its agreement with the sender's other streams.
    pub fn report(
        &mut self,
        stream: StreamId,
        ntp: u64,
        timestamp: u32,
        cname: Option<Arc<str>>,
        arrived: MeetingTime,
    ) {
        let Some(track) = self.tracks.get_mut(&stream) else {
            return;
        };
        track.cname = cname.or(track.cname.take());
        let own = track
            .buffer
            .intake_mut()
            .sender_report(ntp, timestamp, arrived);
        if let (Some(own), Some(cname)) = (own, track.cname.clone()) {
            let by = self
                .senders
                .align((track.participant, cname), stream, own, arrived);
            track.buffer.intake_mut().align(by);
        }
    }

    /// What waited long enough for a missing packet comes out.
    pub fn give_up(&mut self, now: MeetingTime, commits: &Commits) {
        for stream in self.ids() {
            self.release(stream, now, commits);
        }
    }

    /// Tells the threads the time: idle segments are sealed, held-back frames come out.
    pub fn tick(&mut self, now: MeetingTime) {
        self.spool.tick(now);
        self.decode_thread.tick(now);
    }

    /// When a missing packet is given up next.
    pub fn next_timeout(&self) -> Option<MeetingTime> {
        self.tracks
            .values()
            .filter_map(|track| track.buffer.intake().next_timeout())
            .min()
    }

    /// Consent changed: what is open is sealed, which cuts it where it must be.
    pub fn recheck(&mut self, participant: Option<ParticipantId>) {
        for (id, key) in &self.begun {
            if participant.is_none_or(|participant| participant == key.participant) {
                self.spool.seal(*id);
            }
        }
    }

    /// Whose sound went to speech.
    pub fn heard_of(&self) -> BTreeSet<ParticipantId> {
        self.tracks
            .values()
            .filter(|track| track.voiced.is_some())
            .map(|track| track.participant)
            .collect()
    }

    /// Whether PCM of closed streams may still come.
    pub fn is_ending(&self) -> bool {
        self.ending.iter().any(|coming| !coming.is_over())
    }

    /// Words of this span found no room.
    pub fn lost(&self, participant: ParticipantId, span: Span) {
        self.overflow.lost(participant, span);
    }

    /// What found no room so far.
    pub fn take_lost(&self) -> Vec<Unheard> {
        self.overflow.take()
    }

    /// Whether anybody could be in the middle of an utterance.
    pub fn lively(&self, now: MeetingTime) -> bool {
        self.is_ending()
            || self
                .tracks
                .values()
                .any(|track| track.voiced.is_some_and(|voiced| now - voiced <= LIVELY))
    }

    /// Closes a stream: what waits comes out, the segment is sealed, speech finalises. Answers
    /// whose it was.
    pub fn close(
        &mut self,
        stream: StreamId,
        why: CloseReason,
        now: MeetingTime,
        commits: &Commits,
    ) -> Option<ParticipantId> {
        if let Some(picture) = self.pictures.remove(&stream) {
            return Some(picture.participant);
        }
        self.release(stream, MeetingTime::MAX, commits);
        let track = self.tracks.remove(&stream)?;
        if let Some(recording) = self.recordings.get(&track.key)
            && self.begun.contains_key(recording)
        {
            self.resumed.insert(*recording);
            self.spool.seal(*recording);
        }
        self.decode_thread.close(stream);
        self.senders.remove(stream);
        self.ending.retain(|coming| !coming.is_over());
        self.ending.push(track.coming);
        if let Some(of) = self.connectivity.get_mut(&track.key)
            && let Some(lost) = of.closed(why, now)
        {
            self.note_lost(track.key, lost, commits);
        }
        Some(track.participant)
    }

    /// Ends the recorder and the decoder. PCM of streams closed just now may wait for speech until
    /// the answer is dropped.
    pub fn finish(self) -> WaitGuard {
        self.spool.finish();
        self.over
    }
}

fn dropped(counts: &mut BTreeMap<&'static str, u64>, reason: &'static str) {
    *counts.entry(reason).or_default() += 1;
    metrics::counter!("hansard_rtp_dropped_total", "reason" => reason).increment(1);
}
