//! What parent and decoder child say to each other over the pipe.
//!
//! To the child: `u32` header length, `u32` number of samples, the header as JSON, the samples as
//! `f32`, all little-endian. From the child: `u32` length and JSON. Not domain types.

use crate::domain::{
    schedule::Effort,
    time::Micros,
    transcript::{HeardWord, Hypothesis},
};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The longest header or answer; longer means that the other side is not who we think.
const JSON_BYTES_MAX: u32 = 1 << 20;
/// Whisper's window, with room for the silence added: 40 s at 16 kHz.
const SAMPLES_MAX: u32 = 40 * 16_000;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ask {
    Decode(Decode),
    /// Stop that job as soon as possible; it is answered all the same.
    Abort {
        job: u64,
    },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decode {
    pub job: u64,
    pub language: Language,
    /// The languages that it may be, ISO 639-1; empty: all that the model knows.
    pub among: Vec<String>,
    /// Words to expect, and what the speaker said before.
    pub glossary: Option<String>,
    pub before: Option<String>,
    /// Into English, whatever is spoken; only a multilingual model can.
    pub translate: bool,
    /// Milliseconds of voice in it.
    pub voiced_ms: i64,
    pub effort: Effort,
    /// Least encoder positions, and how many beyond the audio's end (20 ms each).
    pub ctx_floor: u32,
    pub ctx_margin: u32,
    /// How many hypotheses a decode with [`Effort::Beams`] follows at once; 1: it takes each
    /// likeliest token.
    pub beams: u32,
    /// Whether the model was trained with time stamps: without them it says things twice in a short
    /// window.
    pub time_stamps: bool,
}

/// What audio is decoded in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Language {
    /// This one, whatever it sounds like.
    Fixed {
        name: String,
    },
    /// The speaker's, as far as is known.
    Last {
        name: String,
    },
    Unknown,
}

impl Language {
    /// What audio of a meeting is decoded in, given the language that is set and that which its
    /// speaker spoke last.
    pub fn of(fixed: Option<String>, last: Option<String>) -> Self {
        match (fixed, last) {
            (Some(name), _) => Self::Fixed { name },
            (None, Some(name)) => Self::Last { name },
            (None, None) => Self::Unknown,
        }
    }

    /// ISO 639-1, where it is known.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Fixed { name } | Self::Last { name } => Some(name),
            Self::Unknown => None,
        }
    }

    /// What the first pass is in.
    pub fn first<'a>(&'a self, among: &'a [String]) -> &'a str {
        let unknown = || among.first().map_or("en", String::as_str);
        self.name().unwrap_or_else(unknown)
    }

    pub fn may_change(&self) -> bool {
        !matches!(self, Self::Fixed { .. })
    }

    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tell {
    /// The model is loaded and every state made.
    Ready {
        multilingual: bool,
    },
    /// The model cannot be loaded; the child exits.
    Unusable {
        error: String,
    },
    Done(Done),
    /// Aborted on request, or the decoder gave an error.
    Stopped {
        job: u64,
        error: Option<String>,
    },
}

#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    pub job: u64,
    pub words: Vec<WireWord>,
    pub no_speech: f32,
    pub log_prob: f32,
    pub truncated: bool,
    /// Probability of the last token of text where it is punctuation, else 0.
    pub stop: f32,
    /// The language that it was decoded in, and what it sounds like.
    pub language: String,
    pub sounds: Option<(String, f32)>,
    /// Tokens of text.
    pub tokens: u32,
    /// Microseconds: of the audio, and up to the decoder's last time stamp.
    pub audio_us: i64,
    pub until_us: Option<i64>,
    /// Microseconds: all of it, and of that the first pass's encoder.
    pub took_us: u64,
    pub encode_us: u64,
    pub passes: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WireWord {
    pub t: String,
    pub s: bool,
    pub p: f32,
}

impl From<&Done> for Hypothesis {
    fn from(done: &Done) -> Self {
        Self {
            words: done
                .words
                .iter()
                .map(|word| HeardWord {
                    text: word.t.clone(),
                    spaced: word.s,
                    confidence: word.p,
                })
                .collect(),
            no_speech: done.no_speech,
            log_prob: done.log_prob,
            truncated: done.truncated,
            stop: done.stop,
            used: done.language.clone(),
            sounds: done.sounds.clone(),
            until: done
                .until_us
                .map(|until| (Micros(done.audio_us), Micros(until))),
        }
    }
}

/// One message to the child as bytes.
pub fn ask(ask: &Ask, pcm: &[f32]) -> Vec<u8> {
    let header = serde_json::to_vec(ask).expect("strings and numbers always serialise");
    let mut bytes = Vec::with_capacity(8 + header.len() + pcm.len() * 4);
    bytes.extend_from_slice(&(header.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(pcm.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&header);
    for sample in pcm {
        bytes.extend_from_slice(&sample.to_le_bytes());
    }
    bytes
}

/// Reads one message of the parent; `None` at the end of the pipe.
pub fn read_ask(pipe: &mut impl Read) -> io::Result<Option<(Ask, Vec<f32>)>> {
    let mut sizes = [0; 8];
    match pipe.read_exact(&mut sizes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [a, b, c, d, e, f, g, h] = sizes;
    let (header, samples) = (
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    );
    if header > JSON_BYTES_MAX || samples > SAMPLES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message too large for the decoder's pipe",
        ));
    }
    let mut bytes = vec![0; header as usize + samples as usize * 4];
    pipe.read_exact(&mut bytes)?;
    let (header, pcm) = bytes.split_at(header as usize);
    let pcm = pcm
        .as_chunks::<4>()
        .0
        .iter()
        .map(|sample| f32::from_le_bytes(*sample))
        .collect();
    Ok(Some((serde_json::from_slice(header)?, pcm)))
}

/// Writes one answer to the parent.
pub fn write_tell(pipe: &mut impl Write, tell: &Tell) -> io::Result<()> {
    let json = serde_json::to_vec(tell).expect("strings and numbers always serialise");
    pipe.write_all(&(json.len() as u32).to_le_bytes())?;
    pipe.write_all(&json)?;
    pipe.flush()
}

/// Reads one answer of the child; `None` at the end of the pipe.
pub async fn read_tell(pipe: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Option<Tell>> {
    use tokio::io::AsyncReadExt as _;
    let size = match pipe.read_u32_le().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    if size > JSON_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the decoder's answer is too large",
        ));
    }
    let mut json = vec![0; size as usize];
    pipe.read_exact(&mut json).await?;
    Ok(Some(serde_json::from_slice(&json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_pipe_and_a_huge_one_is_refused() {
        let decode = Ask::Decode(Decode {
            job: 7,
            language: Language::Fixed { name: "en".into() },
            among: Vec::new(),
            glossary: None,
            before: Some("So far.".into()),
            translate: true,
            voiced_ms: 900,
            effort: Effort::Thorough,
            ctx_floor: 64,
            ctx_margin: 16,
            beams: 2,
            time_stamps: true,
        });
        let mut bytes = ask(&decode, &[0.5, -1.0]);
        bytes.extend(ask(&Ask::Abort { job: 7 }, &[]));
        let mut pipe = bytes.as_slice();
        assert_eq!(
            read_ask(&mut pipe).expect("reads"),
            Some((decode, vec![0.5, -1.0]))
        );
        assert_eq!(
            read_ask(&mut pipe).expect("reads"),
            Some((Ask::Abort { job: 7 }, Vec::new()))
        );
        assert_eq!(read_ask(&mut pipe).expect("reads"), None);
        assert!(read_ask(&mut [0xff; 16].as_slice()).is_err());
    }
}
