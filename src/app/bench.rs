//! `hansard models bench`: how many live meetings this machine carries with each model that is
//! here, measured on the bundled voices.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use super::model;
use crate::{
    config::Settings,
    domain::{
        codec::AudioCodec,
        time::{MeetingTime, Micros, Span},
    },
    media::{decode::Decoder, frame::Frame},
    speech::{
        SpeechConfig,
        bench::{Figures, measure},
        measured::{self, Machine},
        model::{Model, ModelError, Registry},
    },
};
use anyhow::{Context, ensure};
use hansard_client::meeting::Meeting;
use std::{sync::Arc, time::Duration};

/// Samples a second that speech takes.
const RATE: u32 = 16_000;
/// What endpointing adds before and behind the voice.
const BEFORE_MS: i64 = 250;
const BEHIND_MS: i64 = 190;

/// Measures one model, or all that are here, for about so long each, and keeps what it found.
pub async fn run(
    settings: &Settings,
    name: Option<String>,
    at_most: Duration,
) -> anyhow::Result<()> {
    let registry = model::registry(settings)?;
    let is_named = name.is_some();
    let names: Vec<String> = match name {
        Some(name) => vec![name],
        None => registry
            .models()
            .iter()
            .filter(|model| is_here(&registry, &model.name))
            .map(|model| model.name.clone())
            .collect(),
    };
    let utterances = tokio::task::spawn_blocking(utterances).await??;
    let machine = Machine::here(settings.gpu);
    println!("{}, {} cores", machine.cpu, machine.cores);
    println!(
        "{:<24} {:>13} {:>15} {:>15} {:>13}",
        "model", "live meetings", "final p50/p95", "partial p50/p95", "decodes"
    );
    let mut failed = Vec::new();
    for name in names {
        let decoded = decode(settings, &registry, &name, &utterances, at_most).await;
        let (model, figures) = match decoded {
            Ok(decoded) => decoded,
            Err(error) if is_named => return Err(error),
            // The others can be measured all the same.
            Err(error) => {
                println!("{name:<24} not measured: {error:#}");
                failed.push(name);
                continue;
            }
        };
        let Figures {
            measured,
            finals,
            partials,
        } = figures;
        println!(
            "{name:<24} {:>13} {:>15} {:>15} {:>13}",
            measured.meetings(),
            quantiles(&finals),
            quantiles(&partials),
            finals.len() + partials.len()
        );
        measured::keep(&settings.data, &model, &machine, measured.meetings())
            .with_context(|| format!("{} is not writable", settings.data.display()))?;
    }
    println!(
        "One speaker each, who speaks 86 % of the time, on 80 % of the cores. Kept in {}: `serve`, `worker` and \
         `doctor` use it.",
        settings.data.display()
    );
    ensure!(
        failed.is_empty(),
        "could not measure {}: see above, and mend or remove what is named there",
        failed.join(", ")
    );
    Ok(())
}

/// Whether its file is here, though it may not be whole.
fn is_here(registry: &Registry, name: &str) -> bool {
    !matches!(
        registry.find(name),
        Err(ModelError::Missing { .. } | ModelError::NotPut { .. })
    )
}

/// Has one model decode what is spoken.
async fn decode(
    settings: &Settings,
    registry: &Registry,
    name: &str,
    utterances: &[Arc<[f32]>],
    at_most: Duration,
) -> anyhow::Result<(Model, Figures)> {
    let (model, path) = registry.verify(name)?;
    let config = SpeechConfig::new(model.clone(), path, settings.gpu)?;
    let figures = measure(&config, utterances, at_most)
        .await
        .with_context(|| format!("measuring {name}"))?;
    Ok((model, figures))
}

fn quantiles(sorted: &[Micros]) -> String {
    let at = |share: f64| {
        let place = (sorted.len() as f64 * share) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1)))
    };
    match (at(0.5), at(0.95)) {
        (Some(median), Some(high)) => format!("{}/{} ms", median.as_ms(), high.as_ms()),
        _ => "-".into(),
    }
}

/// What is spoken in the bundled meeting.
fn utterances() -> anyhow::Result<Vec<Arc<[f32]>>> {
    let meeting = Meeting::bundled()?;
    let mut cut = Vec::new();
    for voice in &meeting.voices {
        let pcm = pcm(&voice.frames)?;
        for spoken in meeting
            .utterances
            .iter()
            .filter(|utterance| utterance.speaker == voice.name)
        {
            let at = |ms: i64| {
                let samples = ms.max(0) * i64::from(RATE) / 1_000;
                usize::try_from(samples).unwrap_or(0).min(pcm.len())
            };
            cut.push(pcm[at(spoken.start_ms - BEFORE_MS)..at(spoken.end_ms + BEHIND_MS)].into());
        }
    }
    Ok(cut)
}

fn pcm(frames: &[hansard_client::frame::Frame]) -> anyhow::Result<Vec<f32>> {
    let mut decoder = Decoder::new(AudioCodec::Opus, RATE)?;
    let mut at = MeetingTime::ZERO;
    let mut samples = Vec::new();
    let mut out = |pcm: crate::media::frame::Pcm| samples.extend_from_slice(&pcm.samples);
    for frame in frames {
        let span = Span::of(at, Micros(i64::from(frame.ticks) * 1_000 / 48));
        let frame = Frame {
            payload: Arc::from(&frame.payload[..]),
            span,
        };
        decoder.push(&frame, &mut out)?;
        at = span.end;
    }
    decoder.flush(&mut out)?;
    Ok(samples)
}
