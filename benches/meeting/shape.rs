//! A Whisper file with random weights in the shape of an official model, to measure its speed where
//! its weights are not at hand. Filters and vocabulary are those of the bundled file; what it says
//! is noise.

use anyhow::{Context, Result};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// Width, heads, layers.
pub const SHAPES: [(&str, [i32; 3]); 2] = [("tiny.en", [384, 6, 4]), ("base.en", [512, 8, 6])];
const POSITIONS: i32 = 1_500;
const TEXT: i32 = 448;

struct Weights<W> {
    out: W,
    random: fastrand::Rng,
}

impl<W: Write> Weights<W> {
    fn tensor(&mut self, name: &str, dims: &[i32], half: bool) -> Result<()> {
        for number in [dims.len() as i32, name.len() as i32, i32::from(half)]
            .into_iter()
            .chain(dims.iter().rev().copied())
        {
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.out.write_all(name.as_bytes())?;
        let one = name.ends_with("ln.weight") || name.ends_with("ln_post.weight");
        for _ in 0..dims.iter().map(|dim| *dim as usize).product() {
            // The sum of four is near enough to a normal distribution.
            let value = if one {
                1.0
            } else {
                (0..4).map(|_| self.random.f32() - 0.5).sum::<f32>() * 0.035
            };
            match half {
                true => self.out.write_all(&half_of(value).to_le_bytes())?,
                false => self.out.write_all(&value.to_le_bytes())?,
            }
        }
        Ok(())
    }

    fn norm(&mut self, name: &str, width: i32) -> Result<()> {
        self.tensor(&format!("{name}.weight"), &[width], false)?;
        self.tensor(&format!("{name}.bias"), &[width], false)
    }

    fn block(&mut self, name: &str, width: i32, cross: bool) -> Result<()> {
        for attention in ["attn", "cross_attn"]
            .into_iter()
            .take(1 + usize::from(cross))
        {
            for part in ["query", "key", "value", "out"] {
                self.tensor(
                    &format!("{name}.{attention}.{part}.weight"),
                    &[width, width],
                    true,
                )?;
                if part != "key" {
                    self.tensor(&format!("{name}.{attention}.{part}.bias"), &[width], false)?;
                }
            }
            self.norm(&format!("{name}.{attention}_ln"), width)?;
        }
        self.tensor(&format!("{name}.mlp.0.weight"), &[4 * width, width], true)?;
        self.tensor(&format!("{name}.mlp.0.bias"), &[4 * width], false)?;
        self.tensor(&format!("{name}.mlp.2.weight"), &[width, 4 * width], true)?;
        self.tensor(&format!("{name}.mlp.2.bias"), &[width], false)?;
        self.norm(&format!("{name}.mlp_ln"), width)
    }
}

/// Half precision of a number well within its range, truncated.
fn half_of(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as i32 - 112;
    let sign = (bits >> 16 & 0x8000) as u16;
    if exponent <= 0 {
        sign
    } else {
        sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16
    }
}

/// Writes a file of this shape beside what `source` tells of filters and words.
pub fn write(source: &Path, [width, heads, layers]: [i32; 3], to: &Path) -> Result<()> {
    let head = fs::read(source)?;
    let number = |at: usize| -> Result<i32> {
        let bytes = head
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .context("the model's head is cut short")?;
        Ok(i32::from_le_bytes(bytes))
    };
    let (words, mels) = (number(4)?, number(40)?);
    let mut end = 56 + usize::try_from(number(48)? * number(52)? * 4)?;
    let tokens = number(end)?;
    end += 4;
    for _ in 0..tokens {
        end += 4 + usize::try_from(number(end)?)?;
    }
    let mut weights = Weights {
        out: BufWriter::new(File::create(to)?),
        random: fastrand::Rng::with_seed(1),
    };
    let shape = [
        0x6767_6d6c,
        words,
        POSITIONS,
        width,
        heads,
        layers,
        TEXT,
        width,
        heads,
        layers,
        mels,
        1,
    ];
    for number in shape {
        weights.out.write_all(&number.to_le_bytes())?;
    }
    weights.out.write_all(&head[48..end])?;
    weights.tensor("encoder.positional_embedding", &[POSITIONS, width], false)?;
    weights.tensor("encoder.conv1.weight", &[width, mels, 3], true)?;
    weights.tensor("encoder.conv1.bias", &[width, 1], false)?;
    weights.tensor("encoder.conv2.weight", &[width, width, 3], true)?;
    weights.tensor("encoder.conv2.bias", &[width, 1], false)?;
    for n in 0..layers {
        weights.block(&format!("encoder.blocks.{n}"), width, false)?;
    }
    weights.norm("encoder.ln_post", width)?;
    weights.tensor("decoder.positional_embedding", &[TEXT, width], false)?;
    weights.tensor("decoder.token_embedding.weight", &[words, width], true)?;
    for n in 0..layers {
        weights.block(&format!("decoder.blocks.{n}"), width, true)?;
    }
    weights.norm("decoder.ln", width)?;
    weights.out.flush()?;
    Ok(())
}
