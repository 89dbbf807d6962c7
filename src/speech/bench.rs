//! Decodes speech as live meetings have it decoded, on all cores, and measures that.

use super::{
    SpeechConfig,
    decoder::{Decoder, Job, Outcome},
    protocol::Language,
};
use crate::domain::{
    capacity::{Measured, decodes},
    schedule::{Cost, Effort, Schedule},
    time::Micros,
};
use anyhow::{Context as _, bail, ensure};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Samples a second.
const RATE: usize = 16_000;
/// A decode that is out for longer counts as failed: the largest model on a slow core.
const DECODE_MAX: Duration = Duration::from_secs(120);

/// What was measured of a model.
#[derive(Clone, Debug)]
pub struct Figures {
    pub measured: Measured,
    /// What each final and each partial took, with every core decoding; sorted.
    pub finals: Vec<Micros>,
    pub partials: Vec<Micros>,
}

/// Decodes `utterances` (16 kHz mono) again and again until `at_most` has passed; each that was
/// begun is decoded with its final, so it takes longer with a slow model.
///
/// # Errors
/// When the model cannot be loaded or its decoder fails.
pub async fn measure(
    config: &SpeechConfig,
    utterances: &[Arc<[f32]>],
    at_most: Duration,
) -> anyhow::Result<Figures> {
    ensure!(
        utterances.iter().any(|pcm| !pcm.is_empty()),
        "nothing is spoken"
    );
    let (decoder, mut outcomes) = Decoder::start(config.into()).await?;
    let speed = decoder.speed();
    let schedule = Schedule::new(config.states, Cost::new(speed.fixed, speed.per_second));
    let language = config.model.only_language().unwrap_or("en").to_owned();
    let mut plan = utterances.iter().cycle();
    let mut waiting: VecDeque<(bool, Arc<[f32]>)> = VecDeque::new();
    let mut running: BTreeMap<u64, bool> = BTreeMap::new();
    let mut figures = Figures {
        measured: Measured {
            speech: Micros(0),
            took: Micros(0),
        },
        finals: Vec::new(),
        partials: Vec::new(),
    };
    let began = Instant::now();
    let mut next = 0;
    loop {
        while running.len() < config.states {
            if waiting.is_empty() && (began.elapsed() < at_most || next == 0) {
                let pcm = plan.next().context("nothing is spoken")?;
                let length = micros(pcm.len());
                figures.measured.speech = figures.measured.speech + length;
                let lengths = decodes(length, |so_far| {
                    // What the first second gave is on the screens.
                    schedule.partial_after(so_far, so_far > Micros::from_secs(1))
                });
                let count = lengths.len();
                waiting.extend(lengths.into_iter().enumerate().map(|(n, length)| {
                    let samples = (length.0 as usize * RATE / 1_000_000).min(pcm.len());
                    (n + 1 == count, pcm[..samples].into())
                }));
            }
            let Some((is_final, pcm)) = waiting.pop_front() else {
                break;
            };
            let voiced = micros(pcm.len());
            let job = Job {
                language: Language::Fixed {
                    name: language.clone(),
                },
                effort: if is_final {
                    Effort::Thorough
                } else {
                    Effort::Quick
                },
                ..Job::new(next, pcm, voiced)
            };
            ensure!(decoder.submit(job), "the decoder takes no work");
            running.insert(next, is_final);
            next += 1;
        }
        if running.is_empty() {
            break;
        }
        let (id, outcome) = timeout(DECODE_MAX, outcomes.recv())
            .await
            .context("the decoder does not answer")?
            .context("the decoder stopped")?;
        let is_final = running.remove(&id);
        match (outcome, is_final) {
            (Outcome::Decoded { work, .. }, Some(true)) => figures.finals.push(work.took),
            (Outcome::Decoded { work, .. }, _) => figures.partials.push(work.took),
            (Outcome::Failed(error), _) => bail!("a decode failed: {error}"),
            (Outcome::Aborted, _) => bail!("a decode was broken off"),
        }
    }
    figures.measured.took = Micros(began.elapsed().as_micros() as i64);
    figures.finals.sort();
    figures.partials.sort();
    Ok(figures)
}

fn micros(samples: usize) -> Micros {
    Micros((samples * 1_000_000 / RATE) as i64)
}
