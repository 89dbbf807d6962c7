//! Voices, the model, and noise for the speech tests.

use gstreamer::prelude::*;
use hansard::{domain::time::Micros, speech::decoder::Settings};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn settings(states: usize) -> Settings {
    Settings {
        program: env!("CARGO_BIN_EXE_hansard").into(),
        model: root().join("models/ggml-hansard-test-en-q8_0.bin"),
        states,
        hang_after: Duration::from_secs(60),
        ctx_floor: 64,
        ctx_margin: 16,
        longest: Micros::from_secs(12),
    }
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
pub struct Meeting {
    pub utterances: Vec<Utterance>,
    pub voices: BTreeMap<String, Vec<f32>>,
}

impl Meeting {
    pub fn load(name: &str) -> Self {
        let folder = root().join("tests/data/speech").join(name);
        let script = std::fs::read(folder.join("meeting.json")).expect("the meeting's script");
        let script: Script = serde_json::from_slice(&script).expect("the meeting's script parses");
        let voices = script
            .participants
            .iter()
            .map(|who| (who.name.clone(), decode(&folder.join(format!("{}.opus", who.name)))))
            .collect();
        Self { utterances: script.utterances, voices }
    }
}

/// Decodes an Ogg/Opus file with GStreamer.
pub fn decode(file: &Path) -> Vec<f32> {
    gstreamer::init().expect("GStreamer");
    let line = "filesrc name=file ! oggdemux ! opusdec ! audioconvert ! audioresample ! \
                audio/x-raw,format=F32LE,rate=16000,channels=1 ! appsink name=pcm sync=false";
    let pipeline =
        gstreamer::parse::launch(line).expect("the graph").downcast::<gstreamer::Pipeline>().expect("a pipeline");
    pipeline.by_name("file").expect("named").set_property("location", file.to_str().expect("a plain path"));
    let sink = pipeline.by_name("pcm").expect("named").downcast::<gstreamer_app::AppSink>().expect("an appsink");
    pipeline.set_state(gstreamer::State::Playing).expect("plays");
    let mut pcm = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().expect("a buffer").map_readable().expect("readable");
        pcm.extend(buffer.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    pipeline.set_state(gstreamer::State::Null).expect("stops");
    assert!(!pcm.is_empty(), "{} holds no sound", file.display());
    pcm
}

/// Seeded noise: white, or with a spectrum falling by 6 dB per octave.
pub fn noise(seconds: usize, level_db: f32, brown: bool) -> Vec<f32> {
    let mut seed = fastrand::Rng::with_seed(7);
    let mut last = 0.0;
    let mut pcm: Vec<f32> = std::iter::repeat_with(|| {
        let white = seed.f32() * 2.0 - 1.0;
        last = if brown { last * 0.99 + white * 0.1 } else { white };
        last
    })
    .take(seconds * 16_000)
    .collect();
    let rms = (pcm.iter().map(|s| s * s).sum::<f32>() / pcm.len() as f32).sqrt();
    let gain = 10f32.powf(level_db / 20.0) / rms;
    pcm.iter_mut().for_each(|s| *s = (*s * gain).clamp(-1.0, 1.0));
    pcm
}
