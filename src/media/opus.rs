//! Opus packets into PCM, by libopus' own interface.
//!
//! GStreamer's `opusdec` goes through libopus' multistream interface, which computes the size of a decoder four times per
//! packet; where custom modes are built in (Debian does) each of them asks the processor what it can, by CPUID, and in a
//! virtual machine each CPUID leaves the machine. That was a third of what a busy server did (docs/BENCHMARKS.md).

use anyhow::{Result, anyhow, bail};
use opusic_c::{Channels, Decoder, ErrorCode, SampleRate};

/// The longest packet there is (RFC 6716 section 3.2.5), in milliseconds.
const PACKET_MAX_MS: usize = 120;

/// One stream's decoder, mono at one rate.
pub(super) struct Opus {
    decoder: Decoder,
    pcm: Vec<f32>,
}

fn failed(code: ErrorCode) -> anyhow::Error {
    anyhow!("libopus: {code:?}")
}

impl Opus {
    /// `rate` is in Hz: 8,000, 16,000 or 48,000.
    pub fn new(rate: u32) -> Result<Self> {
        let hertz = match rate {
            8_000 => SampleRate::Hz8000,
            16_000 => SampleRate::Hz16000,
            48_000 => SampleRate::Hz48000,
            _ => bail!("Opus is not decoded at {rate} Hz here"),
        };
        let decoder = Decoder::new(Channels::Mono, hertz).map_err(failed)?;
        Ok(Self { decoder, pcm: vec![0.0; rate as usize / 1_000 * PACKET_MAX_MS] })
    }

    /// The samples of a packet.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32]> {
        let samples = self.decoder.decode_float_to_slice(packet, &mut self.pcm, false).map_err(failed)?;
        Ok(&self.pcm[..samples])
    }

    /// So many samples in the place of a packet that is missing: from the redundancy in the `next` one, where there is
    /// one and it has any, else as libopus conceals.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>) -> Result<&[f32]> {
        let Some(pcm) = self.pcm.get_mut(..samples) else { bail!("{samples} samples cannot be concealed at once") };
        let (packet, redundancy) = next.map_or((&[][..], false), |next| (next, true));
        let samples = self.decoder.decode_float_to_slice(packet, pcm, redundancy).map_err(failed)?;
        Ok(&self.pcm[..samples])
    }

    /// Forgets what was before.
    pub fn reset(&mut self) -> Result<()> {
        self.decoder.reset().map_err(failed)
    }
}
