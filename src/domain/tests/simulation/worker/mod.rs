//! The shell of one meeting, as small as it can be: what `capture` and `media` do with
//! packets, segments and words.

mod stored;

use super::world::{Piece, Sound};
use hansard_domain::{
    consent::Use,
    endpoint::{self, Decision, Endpoint},
    gate::{Admitted, Gate, Pass, Recording, Transcription, Verdict},
    id::{ParticipantId, StreamId},
    jitter_buffer::{JitterBuffer, Released, Unpacked},
    late::LateSpans,
    meeting::{Command, Input, Meeting},
    recording::{Cutter, SegmentName, recut},
    reorder::HELD_MAX,
    settings::MeetingSettings,
    source::{Source, Terms},
    time::{MeetingTime, Micros, Span},
    timeline::Header,
    utterance::{self, Joins},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};
use stored::{Segment, Stored};

/// What a coder looks ahead, and the length of packets.
const LOOK_AHEAD: Micros = Micros(6_500);
const FRAME: Micros = Micros::from_ms(20);
/// A step in time up to this is no gap.
const STEP_MAX: Micros = Micros::from_ms(60);
/// All senders have the same.
const SSRC: u32 = 7;

/// What the rules wanted.
#[derive(Default)]
pub struct Done {
    pub closed: Vec<StreamId>,
    pub left: Vec<ParticipantId>,
    pub ended: bool,
}

struct Stream {
    id: StreamId,
    who: ParticipantId,
    source: Source,
    buffer: JitterBuffer<usize>,
    cutter: Cutter,
    open: Vec<Piece>,
    segmenter: Segmenter,
}

impl Stream {
    /// What exits ask the gate with about words of this stream.
    fn pass(&self, span: Span, entry: i64) -> Pass {
        Pass {
            participant: self.who,
            span,
            entry,
            late: self.segmenter.lates.within(span),
        }
    }
}

struct Segmenter {
    endpoint: Endpoint,
    buffer: Vec<Piece>,
    lates: LateSpans,
    entry: i64,
    utterances: BTreeMap<u64, i64>,
}

pub struct Worker {
    rules: Meeting,
    gate: Arc<Gate>,
    streams: BTreeMap<StreamId, Stream>,
    pub stored: Stored,
    pub words: Vec<Piece>,
    /// Withdrawals that it writes to the log when it can.
    pub owes: BTreeSet<usize>,
    /// What was admitted since somebody looked, and all that ever was.
    pub fresh: Vec<(Use, Piece)>,
    pub admitted: BTreeSet<(Use, usize)>,
    /// Commands for the next [`Worker::work`].
    later: Vec<Command>,
}

impl Worker {
    pub fn new(settings: MeetingSettings, now: MeetingTime) -> Self {
        let rules = Meeting::new(settings, now);
        Self {
            gate: rules.gate().clone(),
            rules,
            streams: BTreeMap::new(),
            stored: Stored::default(),
            words: Vec::new(),
            owes: BTreeSet::new(),
            fresh: Vec::new(),
            admitted: BTreeSet::new(),
            later: Vec::new(),
        }
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    pub fn waiting_for(&self) -> Vec<ParticipantId> {
        self.rules.state().waiting_for
    }

    /// An input, and at once what the rules want of open segments and words.
    pub fn input(&mut self, input: Input, now: MeetingTime) {
        self.rules.handle(input, now);
        let mut kept = Vec::new();
        while let Some(command) = self.rules.poll_command() {
            match command {
                Command::Recheck { participant } => self.recheck(participant),
                other => kept.push(other),
            }
        }
        self.later.extend(kept);
    }

    /// `from`: whose packets it takes, and where they came from before a restart.
    pub fn open(
        &mut self,
        id: StreamId,
        who: ParticipantId,
        from: (Terms, Option<SocketAddr>),
        now: MeetingTime,
    ) {
        self.input(
            Input::StreamOpened {
                stream: id,
                participant: who,
            },
            now,
        );
        self.streams.entry(id).or_insert_with(|| Stream {
            id,
            who,
            source: Source::new(from.0, from.1, Some(SSRC), Micros(now.0)),
            buffer: JitterBuffer::new(48_000),
            cutter: Cutter::new(0),
            open: Vec::new(),
            segmenter: Segmenter {
                endpoint: Endpoint::new(endpoint::Thresholds::new(Micros::from_secs(6))),
                buffer: Vec::new(),
                lates: LateSpans::default(),
                entry: 0,
                utterances: BTreeMap::new(),
            },
        });
    }

    pub fn close(&mut self, id: StreamId, now: MeetingTime, sounds: &[Sound]) {
        self.release(id, MeetingTime::MAX, sounds);
        if let Some(mut stream) = self.streams.remove(&id) {
            self.seal(&mut stream);
            let decisions = stream
                .segmenter
                .endpoint
                .cut(stream.segmenter.endpoint.heard_until());
            self.heard(&mut stream, decisions);
            self.input(Input::StreamClosed { stream: id }, now);
        }
    }

    /// Whether a stream takes a packet from there.
    pub fn takes(&mut self, id: StreamId, from: SocketAddr, now: Micros) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        let admitted = stream.source.admits(from, SSRC, true, now).is_ok();
        if admitted {
            stream.source.take(from, SSRC, true, now);
        }
        admitted
    }

    pub fn packet(&mut self, id: StreamId, header: &Header, sound: usize, now: MeetingTime) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream
            .buffer
            .receive(&self.gate, stream.who, header, now, || sound);
        let waiting = stream.buffer.len();
        assert!(waiting <= 2 * HELD_MAX, "{waiting} packets wait");
    }

    /// One turn of the loop.
    pub fn work(&mut self, now: MeetingTime, sounds: &[Sound]) -> Done {
        let mut done = Done::default();
        if self.rules.poll_timeout().is_some_and(|due| due <= now) {
            self.input(Input::Tick, now);
        }
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            self.release(id, now, sounds);
            let Some(mut stream) = self.streams.remove(&id) else {
                continue;
            };
            let decisions = stream.segmenter.endpoint.tick(now);
            self.heard(&mut stream, decisions);
            if stream.cutter.is_idle(now) {
                self.seal(&mut stream);
            }
            self.streams.insert(id, stream);
        }
        self.stored.merge(now);
        for command in std::mem::take(&mut self.later) {
            match command {
                Command::CloseStream { stream, .. } => {
                    self.close(stream, now, sounds);
                    done.closed.push(stream);
                }
                Command::Leave { participant, .. } => done.left.push(participant),
                Command::End { .. } => done.ended = true,
                Command::Tell(_) | Command::Recheck { .. } => {}
            }
        }
        done
    }

    pub fn next_timeout(&self) -> Option<MeetingTime> {
        let intakes = self
            .streams
            .values()
            .filter_map(|stream| stream.buffer.intake().next_timeout());
        self.rules.poll_timeout().into_iter().chain(intakes).min()
    }

    fn release(&mut self, id: StreamId, now: MeetingTime, sounds: &[Sound]) {
        let Some(mut stream) = self.streams.remove(&id) else {
            return;
        };
        let unpack = |sound: usize, _| Unpacked {
            frame: sound,
            delay: LOOK_AHEAD,
            repeats: sounds[sound].repeats.map(|_| FRAME),
        };
        let gate = self.gate.clone();
        while let Some(released) = stream.buffer.release(&gate, stream.who, now, unpack) {
            let Released::Frame {
                recording,
                transcription,
                ..
            } = released
            else {
                continue;
            };
            if let Ok(frame) = recording {
                self.record(&mut stream, frame);
            }
            if let Ok(frame) = transcription {
                self.listen(&mut stream, frame, sounds);
            }
        }
        self.streams.insert(id, stream);
    }

    fn record(&mut self, stream: &mut Stream, frame: Admitted<Recording, usize>) {
        let (sound, pass) = frame.into_parts();
        self.note(Use::Recording, sound, pass);
        let (ended, put) = stream.cutter.frame(&self.gate, &pass, 1);
        if let Some((name, span)) = ended {
            self.sealed(stream, span, name);
        }
        if put.is_none() {
            return;
        }
        stream.open.push(Piece::of(sound, pass));
    }

    fn note(&mut self, purpose: Use, sound: usize, pass: Pass) {
        self.fresh.push((purpose, Piece::of(sound, pass)));
        self.admitted.insert((purpose, sound));
    }

    fn seal(&mut self, stream: &mut Stream) {
        if let Some((name, span)) = stream.cutter.seal() {
            self.sealed(stream, span, name);
        }
    }

    fn sealed(&mut self, stream: &mut Stream, span: Span, name: SegmentName) {
        let pass = name.pass(stream.who, span);
        let segment = Segment {
            stream: stream.id,
            n: name.n,
            pieces: std::mem::take(&mut stream.open),
            pass,
        };
        self.stored.put(&self.gate, segment);
    }

    fn listen(
        &mut self,
        stream: &mut Stream,
        frame: Admitted<Transcription, usize>,
        sounds: &[Sound],
    ) {
        let (sound, pass) = frame.into_parts();
        self.note(Use::Transcription, sound, pass);
        let segmenter = &mut stream.segmenter;
        let mut decisions = Vec::new();
        segmenter.lates.add(pass.span, pass.late);
        let until = segmenter.buffer.last().map(|last| last.placed.end);
        match utterance::joins(
            &self.gate,
            Some(segmenter.entry),
            segmenter.endpoint.needs_from(),
            until,
            &pass,
            &segmenter.lates,
        ) {
            Joins::On => {
                if let Some(until) = until.filter(|until| pass.span.start - *until > STEP_MAX) {
                    decisions.extend(segmenter.endpoint.gap(Span::new(until, pass.span.start)));
                }
            }
            Joins::OtherEntry => {
                decisions.extend(segmenter.endpoint.cut(pass.span.start));
                segmenter.entry = pass.entry;
            }
            Joins::Held => {
                decisions.extend(segmenter.endpoint.cut(segmenter.endpoint.heard_until()));
                segmenter.endpoint.cut(pass.span.start);
            }
        }
        segmenter.buffer.push(Piece::of(sound, pass));
        // Talks for a second and a half, is silent for one.
        let voice = if sounds[sound].made % 2_500_000 < 1_500_000 {
            0.9
        } else {
            0.1
        };
        decisions.extend(segmenter.endpoint.frame(endpoint::Frame {
            span: pass.span,
            level_db: -30.0,
            voice,
        }));
        self.heard(stream, decisions);
        let segmenter = &mut stream.segmenter;
        let needed = segmenter.endpoint.needs_from();
        segmenter.buffer.retain(|piece| piece.placed.end > needed);
    }

    /// What the endpointing decided: a guess is shown, an end is told, if the gate still allows all
    /// of it.
    fn heard(&mut self, stream: &mut Stream, decisions: Vec<Decision>) {
        for decision in decisions {
            let (utterance, span, last) = match decision {
                Decision::Opened { utterance, .. } => {
                    stream
                        .segmenter
                        .utterances
                        .insert(utterance, stream.segmenter.entry);
                    continue;
                }
                Decision::Guess { utterance, span } => (utterance, span, false),
                Decision::Ended {
                    utterance, span, ..
                } => (utterance, span, true),
                Decision::Resumed { .. } | Decision::Dropped { .. } => continue,
            };
            let Some(&entry) = stream.segmenter.utterances.get(&utterance) else {
                continue;
            };
            if last {
                stream.segmenter.utterances.remove(&utterance);
            }
            let pass = stream.pass(span, entry);
            let until = match self.gate.still::<Transcription>(&pass) {
                Verdict::Keep => span.end,
                Verdict::Cut(at) if last => at,
                _ => continue,
            };
            let words = slice(
                &stream.segmenter.buffer,
                Span::new(span.start, until),
                entry,
            );
            self.fresh
                .extend(words.iter().map(|piece| (Use::Transcription, *piece)));
            self.words.extend(words);
        }
    }

    /// The gate changed: what is open is sealed, what was sealed is asked for again, utterances are
    /// cut.
    fn recheck(&mut self, who: Option<ParticipantId>) {
        for id in self.streams.keys().copied().collect::<Vec<_>>() {
            let Some(mut stream) = self.streams.remove(&id) else {
                continue;
            };
            if who.is_none_or(|who| who == stream.who) {
                self.seal(&mut stream);
                if let Some(open) = stream.segmenter.endpoint.open() {
                    let span = Span::new(open.start, stream.segmenter.endpoint.heard_until());
                    let pass = stream.pass(span, stream.segmenter.entry);
                    let cut = utterance::cut(&self.gate, &pass);
                    let decisions =
                        cut.map_or_else(Vec::new, |at| stream.segmenter.endpoint.cut(at));
                    self.heard(&mut stream, decisions);
                }
            }
            self.streams.insert(id, stream);
        }
        self.stored.recheck(&self.gate);
    }

    /// Everything recorded that is in its hands.
    pub fn recorded(&self) -> impl Iterator<Item = &Piece> {
        self.streams
            .values()
            .flat_map(|stream| &stream.open)
            .chain(self.stored.pieces())
    }

    /// What would be told of utterances that are open.
    pub fn open_words(&self) -> Vec<Piece> {
        let open = |stream: &Stream| {
            let open = stream.segmenter.endpoint.open()?;
            let span = Span::new(open.start, stream.segmenter.endpoint.heard_until());
            let pass = stream.pass(span, stream.segmenter.entry);
            let keeps = self.gate.still::<Transcription>(&pass) == Verdict::Keep;
            keeps.then(|| slice(&stream.segmenter.buffer, span, stream.segmenter.entry))
        };
        self.streams.values().filter_map(open).flatten().collect()
    }

    /// What it leaves when it dies: sealed segments and the open ones, as they are.
    pub fn on_disk(&self) -> Vec<Piece> {
        self.recorded().copied().collect()
    }

    /// Segments of which only what their own entry allows is kept.
    pub fn recut(gate: &Gate, pieces: Vec<Piece>, sounds: &[Sound]) -> Vec<Piece> {
        let allowed = |piece: &Piece| {
            let pass = Pass {
                participant: sounds[piece.sound].who,
                span: piece.placed,
                entry: piece.entry,
                late: piece.late,
            };
            recut::is_within(piece.placed, &recut::allowed(gate, &pass))
        };
        pieces.into_iter().filter(allowed).collect()
    }
}

/// The sound in a span.
fn slice(buffer: &[Piece], span: Span, entry: i64) -> Vec<Piece> {
    let of = |piece: &&Piece| piece.placed.overlaps(span);
    let cut = |piece: &Piece| Piece {
        kept: Span::new(
            piece.placed.start.max(span.start),
            piece.placed.end.min(span.end),
        ),
        entry,
        ..*piece
    };
    buffer.iter().filter(of).map(cut).collect()
}
