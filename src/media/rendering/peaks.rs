//! How loud a finished file is along its length, by reading it.

use crate::{
    domain::{
        peaks::PeakMeter,
        time::{MeetingTime, Span},
    },
    media::{
        graph::{Graph, STEP_MAX},
        rendering::{
            mix::TrackPeaks,
            mix_input::{self, RATE, Source},
        },
    },
};
use anyhow::{Context, Result, anyhow, bail};
use gstreamer::prelude::ObjectExt;
use std::{
    path::Path,
    sync::{atomic::AtomicU64, mpsc::sync_channel},
    thread,
};

/// Blocks of a track that are decoded ahead.
const AHEAD: usize = 2;

/// Of a track, whose file's time 0 is at `zero`. Blocks, for about a second of CPU per three minutes
/// of sound.
///
/// # Errors
/// When the file cannot be read.
pub fn of_track(path: &Path, zero: MeetingTime) -> Result<PeakMeter> {
    let source = Source {
        path: path.to_owned(),
        start: zero,
        // The file holds nothing else.
        allowed: vec![Span::new(MeetingTime(i64::MIN), MeetingTime::MAX)],
        redacted: Vec::new(),
    };
    let mut peaks = TrackPeaks::from(&source);
    let (to, blocks) = sync_channel(AHEAD);
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("peaks".into())
            .spawn_scoped(scope, move || {
                mix_input::play(&source, &AtomicU64::new(0), &to)
            })
            .context("no thread for a track")?;
        for block in blocks {
            peaks.take(&block);
        }
        reading
            .join()
            .map_err(|_| anyhow!("a track's thread panicked"))?
    })?;
    Ok(peaks.meter)
}

/// Of a mix. Blocks.
///
/// # Errors
/// When the file cannot be read, or GStreamer lacks an element.
pub fn of_mix(path: &Path) -> Result<PeakMeter> {
    let graph = Graph::load(include_str!("../../../pipelines/mix_decode.gst"))?;
    let path = path.to_str().context("a path that is no UTF-8")?;
    graph.element("file")?.set_property("location", path);
    let pcm = graph.sink("pcm")?;
    graph.start()?;
    let mut meter = PeakMeter::new(RATE as u32);
    let mut samples = Vec::new();
    while !pcm.is_eos() {
        let Some(sample) = pcm.try_pull_sample(STEP_MAX) else {
            match graph.fault() {
                Some((_, error)) => return Err(error),
                None if pcm.is_eos() => break,
                None => bail!("a mix is not decoded any further within {STEP_MAX}"),
            }
        };
        let buffer = sample.buffer().context("samples without bytes")?;
        let bytes = buffer
            .map_readable()
            .map_err(|_| anyhow!("samples cannot be read"))?;
        let whole = bytes.chunks_exact(size_of::<f32>());
        samples.extend(whole.map(|one| f32::from_le_bytes([one[0], one[1], one[2], one[3]])));
        meter.push(&samples);
        samples.clear();
    }
    match graph.fault() {
        Some((_, error)) => Err(error),
        None => Ok(meter),
    }
}
