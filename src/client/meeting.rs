//! A scripted meeting: voices, and who says what when.

use super::{ogg, opus, sender::Frame};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

#[derive(Clone, Debug, Deserialize)]
pub struct Utterance {
    pub speaker: String,
    pub text: String,
    /// The edges of the sound, from the meeting's beginning.
    pub start_ms: i64,
    pub end_ms: i64,
    /// BCP 47, where it is not English.
    #[serde(default)]
    pub language: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Voice {
    pub name: String,
    /// 20 ms Opus packets; the n-th of each voice is the same instant.
    pub frames: Arc<[Frame]>,
}

/// A loaded set.
#[derive(Clone, Debug)]
pub struct Meeting {
    pub name: String,
    pub duration: Duration,
    pub voices: Vec<Voice>,
    pub utterances: Vec<Utterance>,
}

#[derive(Deserialize)]
struct Script {
    name: String,
    duration_ms: u64,
    participants: Vec<Participant>,
    utterances: Vec<Utterance>,
}

#[derive(Deserialize)]
struct Participant {
    name: String,
}

impl Meeting {
    /// Loads `meeting.json` and one `NAME.opus` per participant from a folder.
    ///
    /// # Errors
    /// When a file is missing or malformed; the message names it.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("meeting.json");
        let script =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::assemble(&script, |name| {
            let path = folder.join(format!("{name}.opus"));
            std::fs::read(&path)
                .map(Into::into)
                .with_context(|| format!("cannot read {}", path.display()))
        })
    }

    /// One of the sets in this source tree, `planning` or `incident`: for tests and benchmarks.
    ///
    /// # Errors
    /// Away from the source tree.
    pub fn test_set(name: &str) -> Result<Self> {
        Self::load(
            &PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("../../tests/data/speech")
                .join(name),
        )
    }

    /// The set inside the binary, for the demo: `planning`, 81 s.
    pub fn bundled() -> Result<Self> {
        Self::assemble(
            include_bytes!("../../tests/data/speech/planning/meeting.json"),
            |name| {
                let file: &'static [u8] = match name {
                    "Alice" => include_bytes!("../../tests/data/speech/planning/Alice.opus"),
                    "Bob" => include_bytes!("../../tests/data/speech/planning/Bob.opus"),
                    "Carol" => include_bytes!("../../tests/data/speech/planning/Carol.opus"),
                    _ => anyhow::bail!("no voice of {name} in this program"),
                };
                Ok(file.into())
            },
        )
    }

    fn assemble(
        script: &[u8],
        read: impl Fn(&str) -> Result<std::borrow::Cow<'static, [u8]>>,
    ) -> Result<Self> {
        let script: Script = serde_json::from_slice(script).context("meeting.json is malformed")?;
        let duration = Duration::from_millis(script.duration_ms);
        let mut voices = Vec::with_capacity(script.participants.len());
        for Participant { name } in script.participants {
            let frames = ogg::read(Cursor::new(read(&name)?))
                .with_context(|| format!("the voice of {name}"))?;
            let ticks: u64 = frames.iter().map(|frame| u64::from(frame.ticks)).sum();
            let length = Duration::from_micros(ticks * 1_000_000 / u64::from(opus::CLOCK_RATE));
            ensure!(
                length.abs_diff(duration) < Duration::from_millis(100),
                "{name} lasts {length:?}, not {duration:?}"
            );
            voices.push(Voice {
                name,
                frames: frames.into(),
            });
        }
        for utterance in &script.utterances {
            ensure!(
                voices.iter().any(|voice| voice.name == utterance.speaker),
                "{} has no voice",
                utterance.speaker
            );
        }
        Ok(Self {
            name: script.name,
            duration,
            voices,
            utterances: script.utterances,
        })
    }
}
