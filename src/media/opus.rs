//! Opus packets into PCM, by libopus' own interface.
//!
//! GStreamer's `opusdec` goes through libopus' multistream interface, which computes the size of a
//! decoder four times per packet; where custom modes are built in (Debian does) each of them asks
//! the processor what it can, by CPUID, and in a virtual machine each CPUID leaves the machine.
//! That was a third of what a busy server did (docs/BENCHMARKS.md).

use anyhow::{Result, anyhow, bail};
use opusic_c::{Channels, Decoder, ErrorCode, SampleRate};

/// The longest packet there is (RFC 6716 section 3.2.5), in milliseconds.
const PACKET_MAX_MS: usize = 120;

/// One stream's decoder, mono at one rate.
pub(super) struct Opus {
    decoder: Decoder,
    pcm: Vec<f32>,
    /// Samples of 2.5 ms.
    step: usize,
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
        Ok(Self {
            decoder,
            pcm: vec![0.0; rate as usize / 1_000 * PACKET_MAX_MS],
            step: rate as usize / 400,
        })
    }

    /// The samples of a packet. One that libopus refuses is concealed for the length `lasting`, as
    /// if it had been lost: what a sender puts behind a valid first byte is not in our hands, and
    /// one packet must not cost a recording.
    pub fn decode(&mut self, packet: &[u8], lasting: usize) -> Result<&[f32]> {
        match self
            .decoder
            .decode_float_to_slice(packet, &mut self.pcm, false)
        {
            Ok(samples) => Ok(&self.pcm[..samples]),
            Err(error) => {
                metrics::counter!("hansard_frames_concealed_total", "reason" => "invalid")
                    .increment(1);
                tracing::debug!(
                    ?error,
                    bytes = packet.len(),
                    "libopus refused a packet; it is concealed"
                );
                self.conceal(lasting.min(self.pcm.len()), None)
            }
        }
    }

    /// So many samples in the place of a packet that is missing: from the redundancy in the `next`
    /// one, where there is one and it has any, else as libopus conceals, else silence.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>) -> Result<&[f32]> {
        let Some(pcm) = self.pcm.get_mut(..samples) else {
            bail!("{samples} samples cannot be concealed at once")
        };
        let made = next.and_then(|next| self.decoder.decode_float_to_slice(next, pcm, true).ok());
        // libopus conceals whole steps of 2.5 ms.
        let whole = samples - samples % self.step;
        let made = made
            .or_else(|| {
                self.decoder
                    .decode_float_to_slice(&[], &mut pcm[..whole], false)
                    .ok()
            })
            .unwrap_or_default();
        pcm[made.min(samples)..].fill(0.0);
        Ok(pcm)
    }

    /// Forgets what was before.
    pub fn reset(&mut self) -> Result<()> {
        self.decoder.reset().map_err(failed)
    }
}
