//! Voices, the model, a consenting meeting, and noise for the speech tests.

use gstreamer::prelude::*;
use hansard::{
    domain::{
        consent::{ConsentStatus, Use},
        gate::{Entry, Gate},
        id::{ConsentId, ParticipantId, StreamId},
        schedule::Effort,
        stream::MediaSource,
        time::{MeetingTime, Micros, Span},
    },
    speech::{
        Caption, Line, Speech, SpeechConfig, StreamOptions,
        decoder::{self, Decoder, Outcome},
        model::Registry,
    },
};
use hansard_client::wer;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Every wait in these tests is bounded by this.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PACKET: Micros = Micros::from_ms(20);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn settings(states: usize) -> SpeechConfig {
    let registry = Registry::new(&root().join("target/no-data")).expect("the list of models");
    let (model, model_path) = registry.find("hansard-test-en").expect("the bundled model");
    let program = env!("CARGO_BIN_EXE_hansard").into();
    SpeechConfig {
        gpu: false,
        program,
        model,
        model_path,
        states,
        hang_after: PATIENCE,
    }
}

/// The first multilingual model in the data folder that the variable `HANSARD_TEST_MODELS` names;
/// none without it.
pub fn multilingual() -> Option<SpeechConfig> {
    let data = PathBuf::from(std::env::var_os("HANSARD_TEST_MODELS")?);
    let registry = Registry::new(&data).expect("the list of models");
    let mut named = registry
        .models()
        .iter()
        .filter(|model| model.only_language().is_none());
    let found = named.find_map(|model| registry.find(&model.name).ok());
    let (model, model_path) = found.expect("a multilingual model is there");
    Some(SpeechConfig {
        model,
        model_path,
        ..settings(2)
    })
}

#[derive(Clone, Debug, Deserialize)]
pub struct Utterance {
    pub speaker: String,
    pub text: String,
    pub start_ms: i64,
    pub end_ms: i64,
}

#[derive(Deserialize)]
struct Participant {
    name: String,
}

#[derive(Deserialize)]
struct Script {
    participants: Vec<Participant>,
    utterances: Vec<Utterance>,
}

/// A meeting of bundled voices: 16 kHz mono per speaker, all of the meeting's length.
pub struct Play {
    pub utterances: Vec<Utterance>,
    pub voices: BTreeMap<String, Arc<[f32]>>,
}

impl Play {
    pub fn load(name: &str) -> Self {
        let folder = root().join("tests/data/speech").join(name);
        let script = std::fs::read(folder.join("meeting.json")).expect("the meeting's script");
        let script: Script = serde_json::from_slice(&script).expect("the meeting's script parses");
        let voices = script
            .participants
            .iter()
            .map(|who| {
                (
                    who.name.clone(),
                    decode(&folder.join(format!("{}.opus", who.name))).into(),
                )
            })
            .collect();
        Self {
            utterances: script.utterances,
            voices,
        }
    }

    pub fn said_by(&self, who: &str) -> String {
        let lines = self
            .utterances
            .iter()
            .filter(|utterance| utterance.speaker == who);
        lines
            .map(|utterance| utterance.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// One speaker's utterances strung together with so much between them, as a monologue.
    pub fn monologue(&self, who: &str, pause_ms: i64) -> Vec<f32> {
        let voice = &self.voices[who];
        let mut pcm = Vec::new();
        for utterance in self
            .utterances
            .iter()
            .filter(|utterance| utterance.speaker == who)
        {
            pcm.extend_from_slice(
                &voice[utterance.start_ms as usize * 16..utterance.end_ms as usize * 16],
            );
            pcm.resize(pcm.len() + pause_ms as usize * 16, 0.0);
        }
        pcm
    }
}

/// Decodes an Ogg/Opus file with GStreamer.
pub fn decode(file: &Path) -> Vec<f32> {
    gstreamer::init().expect("GStreamer");
    let line = "filesrc name=file ! oggdemux ! opusdec ! audioconvert ! audioresample ! \
                audio/x-raw,format=F32LE,rate=16000,channels=1 ! appsink name=pcm sync=false";
    let pipeline = gstreamer::parse::launch(line)
        .expect("the graph")
        .downcast::<gstreamer::Pipeline>()
        .expect("a pipeline");
    pipeline
        .by_name("file")
        .expect("named")
        .set_property("location", file.to_str().expect("a plain path"));
    let sink = pipeline
        .by_name("pcm")
        .expect("named")
        .downcast::<gstreamer_app::AppSink>()
        .expect("an appsink");
    pipeline
        .set_state(gstreamer::State::Playing)
        .expect("plays");
    let mut pcm = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample
            .buffer()
            .expect("a buffer")
            .map_readable()
            .expect("readable");
        pcm.extend(
            buffer
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes)),
        );
    }
    pipeline.set_state(gstreamer::State::Null).expect("stops");
    assert!(!pcm.is_empty(), "{} holds no sound", file.display());
    pcm
}

/// Seeded noise: white, or with a spectrum falling by 6 dB per octave; its level as dBFS RMS.
pub fn noise(seconds: usize, level_db: f32, brown: bool) -> Vec<f32> {
    let mut seed = fastrand::Rng::with_seed(7);
    let mut last = 0.0;
    let mut pcm: Vec<f32> = std::iter::repeat_with(|| {
        let white = seed.f32() * 2.0 - 1.0;
        last = if brown {
            last * 0.99 + white * 0.1
        } else {
            white
        };
        last
    })
    .take(seconds * 16_000)
    .collect();
    let rms = (pcm.iter().map(|s| s * s).sum::<f32>() / pcm.len() as f32).sqrt();
    let gain = 10f32.powf(level_db / 20.0) / rms;
    pcm.iter_mut()
        .for_each(|s| *s = (*s * gain).clamp(-1.0, 1.0));
    pcm
}

/// A caption, and the meeting's time when it was received.
pub type Published = (MeetingTime, Caption);

/// A meeting in which everybody gave consent before the start, fed at `speed` times real time.
pub struct Hall {
    pub gate: Arc<Gate>,
    pub meeting: hansard::speech::Meeting,
    captions: mpsc::Receiver<Caption>,
    pub names: BTreeMap<ParticipantId, String>,
    streams: BTreeMap<String, (ParticipantId, hansard::speech::Stream)>,
    started: Instant,
    pub speed: f64,
    pub now: MeetingTime,
    pub told: Vec<Published>,
}

impl Hall {
    pub fn open(speech: &Speech, names: &[&str], speed: f64) -> Self {
        Self::open_in(speech, names, speed, None)
    }

    pub fn open_in(speech: &Speech, names: &[&str], speed: f64, language: Option<&str>) -> Self {
        let gate = Arc::new(Gate::new(&Use::ALL));
        let (meeting, captions) = speech.meeting(gate.clone());
        let mut hall = Self {
            gate,
            meeting,
            captions,
            names: BTreeMap::new(),
            streams: BTreeMap::new(),
            started: Instant::now(),
            speed,
            now: MeetingTime::ZERO,
            told: Vec::new(),
        };
        for (n, name) in (1..).zip(names) {
            let participant = ParticipantId(Uuid::from_u128(n));
            let consent = Entry {
                entry: n as i64,
                id: ConsentId(Uuid::from_u128(100 + n)),
                participant,
                uses: Use::ALL.to_vec(),
                status: ConsentStatus::Accepted,
                at: MeetingTime::from_ms(-1_000),
            };
            hall.gate.apply(&consent, MeetingTime::from_ms(-1_000));
            let stream = hall.meeting.open(StreamOptions {
                participant,
                stream: StreamId(Uuid::from_u128(1_000 + n)),
                source: MediaSource::Microphone,
                language: language.map(str::to_owned),
                languages: Vec::new(),
                glossary: vec!["Hansard".into()],
                // Of the bundled model, which cannot: nothing comes of it.
                translate: true,
                late: false,
            });
            hall.names.insert(participant, (*name).to_owned());
            hall.streams
                .insert((*name).to_owned(), (participant, stream));
        }
        hall
    }

    /// One packet of everybody's sound, at its time.
    pub async fn packet(&mut self, sound: &[(&str, &[f32])]) {
        let due = self.started
            + Duration::from_secs_f64((self.now.0 + PACKET.0) as f64 / 1e6 / self.speed);
        while let Ok(caption) = tokio::time::timeout_at(due.into(), self.captions.recv()).await {
            let caption = caption.expect("captions go on");
            let late = self.started.elapsed().as_secs_f64() * self.speed * 1e6;
            self.told.push((MeetingTime(late as i64), caption));
        }
        for (name, pcm) in sound {
            self.push(name, pcm);
        }
        self.now = self.now + PACKET;
        self.meeting.tick(self.now);
    }

    /// The next caption, while nothing is said and no time passes.
    pub async fn hear(&mut self) {
        let caption = tokio::time::timeout(PATIENCE, self.captions.recv()).await;
        let caption = caption.expect("a caption").expect("captions go on");
        self.told.push((self.now, caption));
    }

    fn push(&self, name: &str, pcm: &[f32]) {
        let (participant, stream) = &self.streams[name];
        let span = Span::of(self.now, PACKET);
        if let Ok(sound) = self.gate.admit(*participant, span.end, span, pcm.to_vec()) {
            assert!(stream.push(sound, span.start), "there is room");
        }
    }

    pub async fn play(&mut self, voices: &[(&str, &[f32])]) {
        let longest = voices.iter().map(|(_, pcm)| pcm.len()).max().unwrap_or(0);
        for at in (0..longest).step_by(320) {
            let sound: Vec<(&str, &[f32])> = voices
                .iter()
                .filter(|(_, pcm)| pcm.len() >= at + 320)
                .map(|(name, pcm)| (*name, &pcm[at..at + 320]))
                .collect();
            self.packet(&sound).await;
        }
    }

    /// Withdraws at `self.now` and tells the meeting.
    pub fn withdraw(&self, name: &str) {
        let (participant, _) = &self.streams[name];
        self.gate.withdraw(
            ConsentId(Uuid::from_u128(999)),
            *participant,
            &Use::ALL,
            self.now,
        );
        self.meeting.withdrawn();
    }

    /// Withdraws and consents again at once: what follows stands under another entry.
    pub fn consent_again(&self, name: &str, n: i64) {
        let (participant, _) = &self.streams[name];
        let entry = |entry, status| Entry {
            entry,
            id: ConsentId(Uuid::from_u128(entry as u128)),
            participant: *participant,
            uses: Use::ALL.to_vec(),
            status,
            at: self.now,
        };
        self.gate
            .apply(&entry(n - 1, ConsentStatus::Withdrawn), self.now);
        self.gate
            .apply(&entry(n, ConsentStatus::Accepted), self.now);
        self.meeting.withdrawn();
    }

    /// Everything that is still to come.
    pub async fn finish(self) -> Vec<Published> {
        self.finish_by(None).await
    }

    /// The same, without translations that are not there by then.
    pub async fn finish_by(self, translated_by: Option<Instant>) -> Vec<Published> {
        let Self {
            meeting,
            mut captions,
            mut told,
            streams,
            started,
            speed,
            ..
        } = self;
        drop(streams);
        tokio::time::timeout(PATIENCE, meeting.finish(translated_by))
            .await
            .expect("the meeting finishes");
        while let Some(caption) = captions.recv().await {
            told.push((
                MeetingTime((started.elapsed().as_secs_f64() * speed * 1e6) as i64),
                caption,
            ));
        }
        told
    }
}

/// One decode by a decoder of its own.
pub async fn decode_offline(pcm: &[f32]) -> String {
    let settings = settings(1);
    let (decoder, mut outcomes) = Decoder::start(decoder::DecoderConfig {
        gpu: false,
        program: settings.program,
        model: settings.model,
        model_path: settings.model_path,
        states: 1,
        hang_after: PATIENCE,
    })
    .await
    .expect("the decoder starts");
    let voiced = Micros(pcm.len() as i64 * 1_000 / 16);
    assert!(decoder.submit(decoder::Job {
        effort: Effort::Firm,
        ..decoder::Job::new(1, pcm.into(), voiced)
    }));
    match tokio::time::timeout(PATIENCE, outcomes.recv()).await {
        Ok(Some((1, Outcome::Decoded { hypothesis, .. }))) => hypothesis
            .words
            .iter()
            .map(|word| word.text.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        other => panic!("{other:?}"),
    }
}

pub fn finals(told: &[Published]) -> impl Iterator<Item = (MeetingTime, &Line)> {
    told.iter().filter_map(|(at, caption)| match caption {
        Caption::Final(line) => Some((*at, line)),
        _ => None,
    })
}

pub fn text_of(told: &[Published], who: ParticipantId) -> String {
    let mut lines: Vec<&Line> = finals(told)
        .map(|(_, line)| line)
        .filter(|line| line.participant == who)
        .collect();
    lines.sort_by_key(|line| line.span.start);
    lines
        .iter()
        .map(|line| line.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Word errors of everybody's finals against the script.
pub fn errors(
    play: &Play,
    told: &[Published],
    names: &BTreeMap<ParticipantId, String>,
) -> wer::Errors {
    names
        .iter()
        .map(|(who, name)| wer::compare(&play.said_by(name), &text_of(told, *who)))
        .sum()
}

/// What the contract promises of any sequence of captions.
pub fn check_contract(told: &[Published]) {
    let mut segments: BTreeMap<_, (u32, bool, Vec<u16>)> = BTreeMap::new();
    let mut translated = BTreeSet::new();
    for (_, caption) in told {
        let (segment, revision, ends) = match caption {
            Caption::Translated(translation) => {
                let known = segments
                    .get(&translation.segment)
                    .expect("its final came before");
                assert!(known.1 && known.0 == translation.revision, "of its final");
                assert!(translated.insert(translation.segment), "once");
                continue;
            }
            Caption::Partial(line) => (line.segment, line.revision, false),
            Caption::Final(line) => (line.segment, line.revision, true),
            Caption::Retracted(retraction) => (retraction.segment, retraction.revision, true),
        };
        let known = segments.entry(segment).or_insert((0, false, Vec::new()));
        assert!(!known.1, "nothing after the end of {segment}");
        assert!(revision > known.0, "revisions of {segment} rise");
        (known.0, known.1) = (revision, ends);
        if let Caption::Partial(line) | Caption::Final(line) = caption {
            assert!(
                line.words
                    .windows(2)
                    .all(|pair| pair[0].span.end <= pair[1].span.start),
                "{line:?}"
            );
            assert!(
                line.words.iter().all(
                    |word| word.span.start >= line.span.start && word.span.end <= line.span.end
                )
            );
        }
        if let Caption::Partial(line) = caption {
            let text: Vec<u16> = line.text.encode_utf16().collect();
            assert!(
                text.starts_with(&known.2),
                "the stable prefix stays: {line:?}"
            );
            assert!(
                line.stable_chars as usize >= known.2.len(),
                "the stable prefix never shrinks: {line:?}"
            );
            known.2 = text[..line.stable_chars as usize].to_vec();
        }
    }
    assert!(
        segments.values().all(|(_, ended, _)| *ended),
        "every segment ends"
    );
}
