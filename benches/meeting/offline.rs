//! The same model without any hurry: what the live captions are held against.

use crate::sound;
use anyhow::{Context, Result, bail, ensure};
use hansard::{
    domain::{schedule::Effort, time::Micros, transcript::Hypothesis},
    speech::{
        decoder::{Decoder, DecoderConfig, Job, Outcome, Work},
        model::{Model, Registry},
        protocol::Language,
    },
};
use hansard_client::{
    meeting::Meeting,
    wer::{self, Errors},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The longest wait for one decode.
const PATIENCE: Duration = Duration::from_secs(120);
/// Of what decoders take.
pub const RATE: u32 = 16_000;
/// Sound around an utterance that is decoded with it.
const BEFORE_MS: i64 = 250;
const AFTER_MS: i64 = 190;

pub struct Offline {
    pub decoder: Decoder,
    outcomes: mpsc::Receiver<(u64, Outcome)>,
    next: u64,
    /// How the next decodes are done.
    pub effort: Effort,
}

/// One decode.
pub struct Heard {
    pub text: String,
    pub hypothesis: Hypothesis,
    pub work: Work,
    /// In the decoder, and with the way there and back.
    pub inside: Duration,
    pub outside: Duration,
}

impl Offline {
    pub async fn start(states: usize) -> Result<Self> {
        let (_, path) = Registry::new(Path::new("/nonexistent"))?.find("hansard-test-en")?;
        Self::of("hansard-test-en", path, states).await
    }

    /// Another file with the settings of a known model.
    pub async fn of(name: &str, path: PathBuf, states: usize) -> Result<Self> {
        let registry = Registry::new(Path::new("/nonexistent"))?;
        Self::with(registry.model(name)?.clone(), path, states).await
    }

    pub async fn with(model: Model, model_path: PathBuf, states: usize) -> Result<Self> {
        let settings = DecoderConfig {
            gpu: false,
            program: env!("CARGO_BIN_EXE_hansard").into(),
            model,
            model_path,
            states,
            hang_after: PATIENCE,
        };
        let (decoder, outcomes) = Decoder::start(settings).await?;
        Ok(Self {
            decoder,
            outcomes,
            next: 1,
            effort: Effort::Thorough,
        })
    }

    /// Decodes 16 kHz mono.
    pub async fn decode(&mut self, pcm: &[f32]) -> Result<Heard> {
        self.decode_with(pcm, None, None).await
    }

    /// Decodes what comes after these words of the same speaker, with these words to expect.
    pub async fn decode_with(
        &mut self,
        pcm: &[f32],
        before: Option<String>,
        glossary: Option<String>,
    ) -> Result<Heard> {
        let asked = Instant::now();
        self.ask(pcm, before, glossary)?;
        match self.outcome().await? {
            Outcome::Decoded { hypothesis, work } => {
                let words: Vec<&str> = hypothesis
                    .words
                    .iter()
                    .map(|word| word.text.as_str())
                    .collect();
                let inside = Duration::from_micros(work.took.0.unsigned_abs());
                Ok(Heard {
                    text: words.join(" "),
                    hypothesis,
                    work,
                    inside,
                    outside: asked.elapsed(),
                })
            }
            other => bail!("the decoder said {other:?}"),
        }
    }

    pub fn submit(&mut self, pcm: &[f32]) -> Result<()> {
        self.ask(pcm, None, None)
    }

    fn ask(&mut self, pcm: &[f32], before: Option<String>, glossary: Option<String>) -> Result<()> {
        let voiced = Micros(pcm.len() as i64 * 1_000_000 / i64::from(RATE));
        let job = Job {
            language: Language::Fixed { name: "en".into() },
            before,
            glossary,
            effort: self.effort,
            ..Job::new(self.next, pcm.into(), voiced)
        };
        self.next += 1;
        ensure!(self.decoder.submit(job), "the decoder takes nothing");
        Ok(())
    }

    pub async fn outcome(&mut self) -> Result<Outcome> {
        let (_, outcome) = tokio::time::timeout(PATIENCE, self.outcomes.recv())
            .await?
            .context("the decoder is gone")?;
        Ok(outcome)
    }

    /// Every utterance of those who did not decline, each cut out and decoded alone.
    pub async fn errors(&mut self, meeting: &Meeting, declined: &str) -> Result<Errors> {
        let mut errors = Errors::default();
        for voice in meeting.voices.iter().filter(|voice| voice.name != declined) {
            let pcm = sound::voice(&meeting.name, &voice.name, RATE)?;
            let (mut said, mut heard) = (Vec::new(), Vec::new());
            for utterance in meeting
                .utterances
                .iter()
                .filter(|utterance| utterance.speaker == voice.name)
            {
                let cut = cut(
                    &pcm,
                    utterance.start_ms - BEFORE_MS,
                    utterance.end_ms + AFTER_MS,
                );
                heard.push(self.decode(cut).await?.text);
                said.push(utterance.text.as_str());
            }
            errors = errors + wer::compare(&said.join(" "), &heard.join(" "));
        }
        Ok(errors)
    }
}

/// A part of 16 kHz samples.
pub fn cut(pcm: &[f32], from_ms: i64, to_ms: i64) -> &[f32] {
    let at = |ms: i64| (usize::try_from(ms).unwrap_or(0) * RATE as usize / 1_000).min(pcm.len());
    &pcm[at(from_ms)..at(to_ms)]
}
