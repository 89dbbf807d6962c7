//! PCM into an MP4 file with AAC-LC, to be finished by [`crate::media::mp4`].

use crate::media::graph::{Graph, Inlet};
use anyhow::{Context, Result};
use gstreamer::{self as gst, prelude::*};
use std::path::Path;

/// Samples that the encoder puts before the first one (FFmpeg's native encoder: one frame).
pub const PRIMING: u64 = 1_024;
/// Samples per AAC frame.
pub const FRAME: u64 = 1_024;

/// Encodes one channel at 48 kHz.
pub struct Encoder {
    // Dropped in this order.
    inlet: Inlet,
    graph: Graph,
    samples: u64,
}

impl Encoder {
    pub fn create(path: &Path) -> Result<Self> {
        let graph = Graph::load(include_str!("../../pipelines/mix.gst"))?;
        graph.element("file")?.set_property("location", path.to_str().context("a path that is no UTF-8")?);
        let pad = graph.element("encoder")?.static_pad("sink").context("an encoder without an input")?;
        graph.start()?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", 48_000)
            .field("channels", 1)
            .build();
        Ok(Self { inlet: Inlet::open(&pad, &caps)?, graph, samples: 0 })
    }

    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let time = |samples: u64| gst::ClockTime::from_nseconds(samples * 1_000_000_000 / 48_000);
        let end = self.samples + samples.len() as u64;
        let mut buffer = gst::Buffer::from_slice(bytes);
        {
            let buffer = buffer.get_mut().expect("just made, so ours alone");
            buffer.set_pts(time(self.samples));
            buffer.set_duration(time(end) - time(self.samples));
        }
        self.samples = end;
        self.inlet.push(buffer).map_err(|flow| self.graph.explain(flow))
    }

    /// Ends the file; returns the number of samples written.
    pub fn finish(self) -> Result<u64> {
        self.inlet.end()?;
        self.graph.end()?;
        Ok(self.samples)
    }
}
