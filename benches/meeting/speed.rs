//! What a decode takes: through the decoder's process, by the bare model, and at official sizes.

use crate::{
    offline::{self, Offline},
    shape, sound,
    support::Scratch,
    table::Table,
};
use anyhow::Result;
use hansard::speech::model::Registry;
use hansard_client::{meeting::Meeting, score::percentile};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

/// What the decoder adds behind the sound, and the least that Whisper takes.
const TAIL: usize = 6_400;
const LEAST: usize = 17_600;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

pub async fn decode() -> Result<Table> {
    let mut table = Table::new(
        "decode",
        "One decode of each utterance of `planning`, one thread: through the decoder's process and by the bare model.",
    );
    let meeting = Meeting::test_set("planning")?;
    let mut cuts = Vec::new();
    for voice in &meeting.voices {
        let pcm = sound::voice("planning", &voice.name, offline::RATE)?;
        for one in meeting
            .utterances
            .iter()
            .filter(|utterance| utterance.speaker == voice.name)
        {
            cuts.push(offline::cut(&pcm, one.start_ms - 250, one.end_ms + 190).to_vec());
        }
    }
    let registry = Registry::new(Path::new("/nonexistent"))?;
    let (model, path) = registry.find("hansard-test-en")?;
    let mut offline = Offline::start(1).await?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for cut in &cuts {
        let heard = offline.decode(cut).await?;
        inside.push(heard.inside);
        outside.push(heard.outside);
    }
    drop(offline);

    whisper_rs::install_logging_hooks();
    let bare = tokio::task::block_in_place(|| -> Result<Vec<Duration>> {
        let context = WhisperContext::new_with_params(&path, WhisperContextParameters::default())?;
        let mut state = context.create_state()?;
        let mut run = |cut: &[f32]| -> Result<Duration> {
            let mut pcm = cut.to_vec();
            let frames = pcm.len().div_ceil(320) as u32 + model.audio_ctx_margin;
            pcm.resize((pcm.len() + TAIL).max(LEAST), 0.0);
            let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
            params.set_n_threads(1);
            params.set_language(Some("en"));
            params.set_no_context(true);
            params.set_single_segment(true);
            params.set_no_timestamps(true);
            params.set_temperature_inc(0.0);
            params.set_print_progress(false);
            params.set_audio_ctx(frames.max(model.audio_ctx_floor).next_multiple_of(8) as i32);
            let begun = Instant::now();
            state.full(params, &pcm)?;
            Ok(begun.elapsed())
        };
        run(&cuts[0])?;
        cuts.iter().map(|cut| run(cut)).collect()
    })?;
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    let (inside, outside, bare) = (median(inside), median(outside), median(bare));
    let ratio = |time: Duration| time.as_secs_f64() / bare.as_secs_f64().max(1e-9);
    table.told("median by the bare model", ms(bare));
    table.told(
        "in the decoder's process, with the no-speech probe",
        format!("{} ({:.2} ×)", ms(inside), ratio(inside)),
    );
    table.told(
        "and with the way there and back",
        format!("{} ({:.2} ×)", ms(outside), ratio(outside)),
    );

    let folder = Scratch::new();
    for (name, dimensions) in shape::SHAPES {
        let file = folder.path().join(format!("{name}.bin"));
        tokio::task::block_in_place(|| shape::write(&path, dimensions, &file))?;
        let mut offline = Offline::of(name, file, 1).await?;
        let speed = offline.decoder.speed();
        let mut times = Vec::new();
        for cut in cuts.iter().take(6) {
            times.push(offline.decode(cut).await?.outside.as_secs_f64());
        }
        let seconds = |fraction: f64| percentile(&times, fraction).unwrap_or(f64::NAN);
        table.told(
            format!("random weights in the shape of {name}: one utterance, p50, worst"),
            format!("{:.2} s, {:.2} s", seconds(0.5), seconds(1.0)),
        );
        let said = format!(
            "{:.0} ms + {:.0} ms per second",
            speed.fixed.0 as f64 / 1e3,
            speed.per_second.0 as f64 / 1e3
        );
        table.told(format!("its cost as measured at start, {name}"), said);
    }
    Ok(table)
}
