//! The streams of one meeting, from a checked RTP packet to the two branches: files and speech.
//!
//! In this order: placed on the timeline, asked at the gate, put in order, and on release admitted
//! twice, apart for each use. A packet that the gate refuses never meets a buffer; only its number
//! is noted, so that nobody waits for it.

mod reception;

use super::{
    Deps,
    admit::admit,
    commit::{Commits, Holder, Write},
    media_watch::MediaWatch,
    port::Found,
    unheard::Overflow,
};
use crate::{
    domain::{
        gate::{Gate, Recording, Transcription},
        id::{ParticipantId, RecordingId, StreamId},
        intake::{Intake, Received, reach},
        recording::{Codec, Source, Track as Recorded},
        reorder::Release,
        source::Terms,
        time::{MeetingTime, Micros, Span},
        timeline::{Header, Senders},
    },
    ingest::{self, Arrival, SrtpConfig, StreamConfig, Suite},
    media::{
        frame::Frame,
        live::{
            decode::{DecodeThread, Decoded},
            disk::Owned,
            spool::{Spool, SpoolEvent},
        },
        rendering::redundancy,
    },
    speech,
    store::{capture::Loaded, recording::TrackKey, requested_stream::seal_place, stream::Stream},
};
use anyhow::{Context, bail};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio::sync::mpsc;
use tracing::warn;

/// The rules are told once a second that a stream lives, not with every packet.
const ALIVE_EVERY: Micros = Micros::from_secs(1);
/// An SRTP index is written down this often: a restart then finds the rollover counter again.
const INDEX_EVERY: Micros = Micros::from_secs(10);

/// PCM that may wait for the loop. More waits as frames before the decoder.
const HEARD_MAX: usize = 256;
/// Speech is told the time often for this long after a stream's last packet: that is when
/// utterances end.
const LIVELY: Micros = Micros::from_secs(3);

/// One stream.
pub struct Track {
    participant: ParticipantId,
    codec: Codec,
    source: Source,
    key: TrackKey,
    ingest: ingest::Stream,
    watch: MediaWatch,
    /// Packets that came and were not kept, by reason.
    dropped: BTreeMap<&'static str, u64>,
    intake: Intake,
    /// Payloads waiting for their turn, with their arrival.
    waiting: HashMap<u64, (Bytes, MeetingTime)>,
    next: u64,
    speech: speech::Stream,
    /// When a frame was last admitted for transcription.
    voiced: Option<MeetingTime>,
    cname: Option<Arc<str>>,
    alive: MeetingTime,
    indexed: MeetingTime,
    srtp: bool,
}

/// All streams of a meeting and what they share.
pub struct Tracks {
    deps: Arc<Deps>,
    holder: Holder,
    gate: Arc<Gate>,
    to_loop: mpsc::Sender<(StreamId, Arrival)>,
    tracks: BTreeMap<StreamId, Track>,
    senders: Senders<(ParticipantId, Arc<str>), StreamId>,
    recordings: BTreeMap<TrackKey, RecordingId>,
    /// Recordings that the spool and the database know in this epoch.
    begun: BTreeMap<RecordingId, TrackKey>,
    spool: Spool,
    decode_thread: DecodeThread,
    /// Speech of closed streams, until the last of their PCM came out.
    ending: BTreeMap<StreamId, speech::Stream>,
    /// What speech had no room for.
    pub overflow: Overflow,
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
        owned: Arc<Owned>,
        to_loop: mpsc::Sender<(StreamId, Arrival)>,
        loaded: &Loaded,
    ) -> anyhow::Result<(Self, mpsc::Receiver<SpoolEvent>, mpsc::Receiver<Decoded>)> {
        let (spool, told) = Spool::start(owned, gate.clone())?;
        let (to_heard, heard) = mpsc::channel(HEARD_MAX);
        let decode_thread = DecodeThread::start(gate.clone(), to_heard)?;
        let recordings = loaded
            .recordings
            .iter()
            .filter_map(|recording| Some((recording.key.clone()?, recording.id)))
            .collect();
        let tracks = Self {
            deps,
            holder,
            gate,
            to_loop,
            tracks: BTreeMap::new(),
            senders: Senders::default(),
            recordings,
            begun: BTreeMap::new(),
            spool,
            decode_thread,
            ending: BTreeMap::new(),
            overflow: Overflow::default(),
            overflowed: BTreeSet::new(),
            resumed: BTreeSet::new(),
            unkept: BTreeSet::new(),
        };
        Ok((tracks, told, heard))
    }

    pub fn ids(&self) -> Vec<StreamId> {
        self.tracks.keys().copied().collect()
    }

    pub fn port(&self, stream: StreamId) -> Option<u16> {
        self.tracks.get(&stream).map(|track| track.ingest.port)
    }

    /// Streams that a new one of the same participant and source takes the place of.
    pub fn replaced_by(&self, new: &Stream) -> Vec<StreamId> {
        self.tracks
            .iter()
            .filter(|(id, track)| {
                **id != new.id
                    && track.participant == new.participant
                    && track.key.source == new.source
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Begins to listen on a port.
    pub fn open(
        &mut self,
        row: &Stream,
        found: Found,
        speech: speech::Stream,
        now: MeetingTime,
    ) -> anyhow::Result<u16> {
        let Some(codec) = Codec::parse(&row.codec) else {
            bail!("audio codec {} is not taken here", row.codec)
        };
        let Some(source) = Source::parse(&row.source) else {
            bail!("the source {} is not known here", row.source)
        };
        let rtp = &self.deps.rtp;
        let srtp = match (&row.srtp_suite, &row.srtp_sealed) {
            (Some(suite), Some(sealed)) => {
                let suite: Suite = suite
                    .parse()
                    .ok()
                    .context("an SRTP suite that is not known here")?;
                let key = self
                    .deps
                    .seal
                    .open(&seal_place(self.holder.meeting, row.id), sealed)?;
                Some(SrtpConfig {
                    suite,
                    key,
                    index: (row.rollover > 0).then_some(row.rollover),
                })
            }
            (None, _) => None,
            (Some(_), None) => bail!("the stream's SRTP key is gone"),
        };
        let secured = srtp.is_some();
        let address = |text: &Option<String>| text.as_ref().map(|text| text.parse()).transpose();
        let config = StreamConfig {
            stream: row.id,
            terms: Terms {
                ssrc: row.ssrc,
                remote: address(&row.remote)?,
                secured,
                relatch: row.relatch,
                foreign: found.foreign,
            },
            payload_type: row.payload_type,
            red_payload_type: row.red_payload_type,
            codec: row
                .codec
                .parse()
                .map_err(|()| anyhow::anyhow!("audio codec {} is not taken here", row.codec))?,
            clock_rate: row.clock_rate,
            allow: rtp.allow.clone(),
            latched: address(&row.latched)?,
            ssrc: row.heard_ssrc,
            srtp,
            report_every: ingest::REPORT_EVERY,
        };
        let ingest = ingest::open(config, found.place, self.to_loop.clone())?;
        let port = ingest.port;
        self.decode_thread.open(row.id, row.participant, codec);
        let key = TrackKey {
            participant: row.participant,
            source: row.source.clone(),
            codec: row.codec.clone(),
        };
        let track = Track {
            participant: row.participant,
            codec,
            source,
            key,
            ingest,
            watch: MediaWatch::new(&row.media, row.media_reason.as_deref(), now),
            dropped: BTreeMap::new(),
            intake: Intake::new(row.clock_rate),
            waiting: HashMap::new(),
            next: 0,
            speech,
            voiced: None,
            cname: None,
            alive: now - ALIVE_EVERY,
            indexed: now,
            srtp: secured,
        };
        self.tracks.insert(row.id, track);
        Ok(port)
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
        match track
            .intake
            .receive(&self.gate, track.participant, &header, arrived, track.next)
        {
            Received::Discarded(discard) => dropped(&mut track.dropped, discard.as_str()),
            Received::Refused(refusal) => dropped(&mut track.dropped, refusal.as_str()),
            Received::Kept => {
                let payload =
                    redundancy::without_padding(track.codec, &payload).map_or(payload, Bytes::from);
                track.waiting.insert(track.next, (payload, arrived));
                track.next += 1;
            }
        }
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
        track.intake.pass(number, arrived);
        let live = arrived - track.alive >= ALIVE_EVERY;
        if live {
            track.alive = arrived;
        }
        self.release(stream, arrived, commits);
        live
    }

    /// Whether nothing of a stream can be placed, because the steps of its counter mean nothing.
    pub fn is_unreadable(&self, stream: StreamId) -> bool {
        self.tracks
            .get(&stream)
            .is_some_and(|track| track.intake.is_unreadable())
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
        let own = track.intake.sender_report(ntp, timestamp, arrived);
        if let (Some(own), Some(cname)) = (own, track.cname.clone()) {
            let by = self
                .senders
                .align((track.participant, cname), stream, own, arrived);
            track.intake.align(by);
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
            .filter_map(|track| track.intake.next_timeout())
            .min()
    }

    fn release(&mut self, stream: StreamId, now: MeetingTime, commits: &Commits) {
        let Some(track) = self.tracks.get_mut(&stream) else {
            return;
        };
        while let Some(release) = track.intake.release(now) {
            match release {
                Release::Frame { id, span, before } => {
                    let Some((payload, arrived)) = track.waiting.remove(&id) else {
                        continue;
                    };
                    let repeats = redundancy::repeats(track.codec, &payload);
                    let holds = reach(span, track.codec.delay(), repeats, before);
                    let frame = Frame {
                        payload: Arc::from(&payload[..]),
                        span,
                    };
                    let who = track.participant;
                    if let Some(admitted) =
                        admit::<Recording>(&self.gate, who, arrived, holds, frame.clone())
                    {
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
                    if let Some(admitted) =
                        admit::<Transcription>(&self.gate, who, arrived, holds, frame)
                    {
                        track.voiced = Some(arrived);
                        if !self.decode_thread.push(stream, admitted) {
                            self.overflow.lost(who, span);
                        }
                    }
                }
                Release::Lost { span, .. } => {
                    metrics::counter!("hansard_rtp_lost_total").increment(1);
                    self.decode_thread.lost(stream, span);
                    if let Some(recording) = self.recordings.get(&track.key)
                        && span.length() > crate::domain::recording::CONCEAL_MAX
                    {
                        let _ = commits.write(Write::Lost {
                            recording: *recording,
                            span,
                        });
                    }
                }
            }
        }
    }

    /// Doors changed: what is open is sealed, which cuts it where it must be.
    pub fn recheck(&mut self, participant: Option<ParticipantId>) {
        for (id, key) in &self.begun {
            if participant.is_none_or(|participant| participant == key.participant) {
                self.spool.seal(*id);
            }
        }
    }

    /// PCM for speech, admitted again on its way out of the decoder, and the time as far as it was
    /// decoded.
    pub fn heard(&mut self, heard: Decoded, speech: &speech::Meeting) {
        match heard {
            Decoded::Pcm { stream, pcm } => {
                let speech = self
                    .tracks
                    .get(&stream)
                    .map(|track| &track.speech)
                    .or(self.ending.get(&stream));
                if let Some(speech) = speech {
                    let (span, participant) = (pcm.value().span, pcm.pass().participant);
                    if !speech.push(pcm.map(|pcm| pcm.samples), span.start) {
                        self.overflow.lost(participant, span);
                    }
                }
            }
            Decoded::Closed { stream } => drop(self.ending.remove(&stream)),
            Decoded::Time(now) => speech.tick(now),
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
        !self.ending.is_empty()
    }

    /// Whether anybody could be in the middle of an utterance.
    pub fn lively(&self, now: MeetingTime) -> bool {
        !self.ending.is_empty()
            || self
                .tracks
                .values()
                .any(|track| track.voiced.is_some_and(|voiced| now - voiced <= LIVELY))
    }

    /// Closes a stream: what waits comes out, the segment is sealed, speech finalises. Answers
    /// whose it was.
    pub fn close(&mut self, stream: StreamId, commits: &Commits) -> Option<ParticipantId> {
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
        self.ending.insert(stream, track.speech);
        Some(track.participant)
    }

    /// Ends the recorder and the decoder; their channels close when everything was told. Speech of
    /// streams closed just now stays open until then.
    pub fn finish(self) -> BTreeMap<StreamId, speech::Stream> {
        self.spool.finish();
        self.ending
    }
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
        .entry(track.key.clone())
        .or_insert_with(|| RecordingId(crate::store::new_id()));
    if let std::collections::btree_map::Entry::Vacant(entry) = begun.entry(id) {
        entry.insert(track.key.clone());
        let recorded = Recorded {
            meeting: holder.meeting,
            recording: id,
            participant: track.participant,
            source: track.source,
            codec: track.codec,
        };
        if !spool.open(recorded) {
            warn!(meeting = %holder.meeting, "the recorder takes no more recordings");
        }
        let _ = commits.write(Write::Track {
            id,
            key: track.key.clone(),
            start_ms: first.start.as_ms(),
        });
    }
    id
}

fn dropped(counts: &mut BTreeMap<&'static str, u64>, reason: &'static str) {
    *counts.entry(reason).or_default() += 1;
    metrics::counter!("hansard_rtp_dropped_total", "reason" => reason).increment(1);
}
