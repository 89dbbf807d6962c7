//! PCM into AAC-LC in MP4.

use crate::media::{containers::mp4, graph::Graph};
use anyhow::{Context, Result, anyhow};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bits per second for one voice channel; transparent for speech.
const BIT_RATE: i32 = 96_000;
/// Samples that the encoder puts before the first one.
const PRIMING: u32 = 1_024;
const RATE: u64 = 48_000;

/// A mix being encoded. Mono, 48 kHz.
pub struct Encoder {
    input: AppSrc,
    graph: Graph,
    /// What the muxer writes; finished into `out`.
    raw: PathBuf,
    out: PathBuf,
    samples: u64,
}

impl Encoder {
    /// Writes to `out` and, until it is finished, a file beside it.
    ///
    /// # Errors
    /// When files cannot be made or GStreamer lacks an element.
    pub fn create(out: &Path) -> Result<Self> {
        let graph = Graph::load(include_str!("../../../pipelines/mix_encode.gst"))?;
        let raw = out.with_extension("aac.part");
        graph
            .element("file")?
            .set_property("location", raw.to_str().context("a path that is no UTF-8")?);
        graph.element("encoder")?.set_property("bitrate", BIT_RATE);
        let input: AppSrc = graph
            .element("pcm")?
            .downcast()
            .map_err(|_| anyhow!("pcm is no appsrc"))?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", RATE as i32)
            .field("channels", 1)
            .build();
        input.set_caps(Some(&caps));
        graph.start()?;
        Ok(Self {
            input,
            graph,
            raw,
            out: out.to_owned(),
            samples: 0,
        })
    }

    /// Appends samples; waits while the encoder is behind.
    pub fn push(&mut self, samples: &[f32]) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            let start = clock(self.samples);
            self.samples += samples.len() as u64;
            buffer.set_pts(start);
            buffer.set_duration(clock(self.samples).saturating_sub(start));
        }
        self.input
            .push_buffer(buffer)
            .map(|_| ())
            .map_err(|flow| self.graph.explain(flow))
    }

    /// Ends the file at `out`.
    pub fn finish(self) -> Result<()> {
        self.input
            .end_of_stream()
            .map_err(|flow| self.graph.explain(flow))?;
        self.graph.end()?;
        mp4::finish(&self.raw, &self.out, PRIMING, self.samples)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Ours alone, and of no use any more; it may not exist yet.
        let _ = fs::remove_file(&self.raw);
    }
}

fn clock(samples: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(samples * 1_000_000_000 / RATE)
}
