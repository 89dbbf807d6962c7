//! PCM on disk while a mix is made: written once, then read several times from the start.

use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

/// Samples per block: one second.
pub const BLOCK: usize = 48_000;

/// Mono samples in blocks of 16 bits with a common scale: half of what floats take (330 MB per
/// hour), the rounding 96 dB below each second's own peak, and silence takes nothing. The file has
/// no name, so nothing can be left behind.
pub struct Scratch {
    file: BufWriter<File>,
    open: Vec<f32>,
    length: u64,
}

impl Scratch {
    /// `path` is where the file is for an instant.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        let file = file.with_context(|| format!("{} cannot be created", path.display()))?;
        fs::remove_file(path).with_context(|| format!("{} cannot be unlinked", path.display()))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 17, file),
            open: Vec::with_capacity(BLOCK),
            length: 0,
        })
    }

    pub fn write(&mut self, mut samples: &[f32]) -> Result<()> {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(BLOCK - self.open.len()));
            self.open.extend_from_slice(now);
            samples = later;
            if self.open.len() == BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<()> {
        let peak = self
            .open
            .iter()
            .fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        // Sums of 16-bit samples stay what they are.
        let scale = if peak == 0.0 {
            0.0
        } else {
            peak.max(32_767.0 / 32_768.0) / 32_767.0
        };
        let mut bytes = Vec::with_capacity(8 + 2 * self.open.len());
        bytes.extend((self.open.len() as u32).to_le_bytes());
        bytes.extend(scale.to_le_bytes());
        if scale > 0.0 {
            let factor = 1.0 / scale;
            bytes.extend(
                self.open
                    .iter()
                    .flat_map(|sample| ((sample * factor).round() as i16).to_le_bytes()),
            );
        }
        self.file
            .write_all(&bytes)
            .context("the mix's scratch file cannot be written")?;
        self.length += self.open.len() as u64;
        self.open.clear();
        Ok(())
    }

    /// Ends writing.
    pub fn finish(mut self) -> Result<Take> {
        if !self.open.is_empty() {
            self.write_block()?;
        }
        let file = self
            .file
            .into_inner()
            .context("the mix's scratch file cannot be written")?;
        Ok(Take {
            file: BufReader::with_capacity(1 << 17, file),
            length: self.length,
        })
    }
}

/// What was written, to be read from the start any number of times.
pub struct Take {
    file: BufReader<File>,
    length: u64,
}

impl Take {
    /// In samples.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Leaves out the last samples, if there are so many.
    pub fn shorten(&mut self, by: u64) {
        self.length = self.length.saturating_sub(by);
    }

    /// Gives all blocks in order.
    pub fn read(&mut self, mut block: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        self.file.rewind()?;
        let mut left = self.length;
        let mut samples = Vec::with_capacity(BLOCK);
        while left > 0 {
            let mut head = [0; 8];
            self.file.read_exact(&mut head)?;
            let [a, b, c, d, scale @ ..] = head;
            let (count, scale) = (
                u32::from_le_bytes([a, b, c, d]) as usize,
                f32::from_le_bytes(scale),
            );
            samples.clear();
            if scale > 0.0 {
                let mut bytes = vec![0; 2 * count];
                self.file.read_exact(&mut bytes)?;
                let values = bytes
                    .chunks_exact(2)
                    .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) * scale);
                samples.extend(values);
            } else {
                samples.resize(count, 0.0);
            }
            samples.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            block(&samples)?;
            left -= samples.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_written_as_often_as_asked() {
        let path = std::env::temp_dir().join(format!("hansard-scratch-{}", std::process::id()));
        let mut scratch = Scratch::create(&path).expect("creates");
        assert!(!path.exists());
        let mut written: Vec<f32> = (0..100_000)
            .map(|n| ((n % 2_000) as f32 - 1_000.0) / 32_768.0)
            .collect();
        written.extend(vec![0.0; 100_000]);
        written.extend((0..50_000).map(|n| ((n % 2_000) as f32 - 1_000.0) / 200.0));
        for piece in written.chunks(7_001) {
            scratch.write(piece).expect("writes");
        }
        let mut take = scratch.finish().expect("finishes");
        assert_eq!(take.length(), written.len() as u64);
        for _ in 0..2 {
            let mut read = Vec::new();
            take.read(|block| {
                read.extend_from_slice(block);
                Ok(())
            })
            .expect("reads");
            assert_eq!(read.len(), written.len());
            assert_eq!(
                read[..96_000],
                written[..96_000],
                "16-bit samples stay exact"
            );
            let far = read
                .iter()
                .zip(&written)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(far < 5.0 / 32_767.0, "{far}");
        }
        take.shorten(10_001);
        let mut read = 0;
        take.read(|block| {
            read += block.len();
            Ok(())
        })
        .expect("reads");
        assert_eq!(read, written.len() - 10_001);
    }
}
