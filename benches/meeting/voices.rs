//! Real models on real voices, which are not part of this repository: a data folder with models as
//! an operator has it, and a folder with `meeting.json` and an Opus file per speaker.

use crate::{
    load::Crowd,
    offline::{self, Offline, RATE},
    rig::Alone,
    settings::{Given, decode_all},
    table::Table,
};
use anyhow::{Context, Result, ensure};
use hansard::{
    domain::schedule::Effort,
    speech::model::{Model, Registry},
};
use hansard_client::{
    caption,
    meeting::{Meeting, Utterance},
    scenario::{PlayOptions, PlayReport, perform},
    score::Score,
    tone,
    wer::Errors,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is measured on.
#[derive(Clone)]
pub struct Material {
    pub data: PathBuf,
    pub voices: PathBuf,
    /// What `benches/voices.py` wrote.
    pub made: Option<PathBuf>,
    pub models: Vec<String>,
}

impl Material {
    /// The models asked for, else all that the data folder has beside the bundled one.
    pub fn of(
        data: Option<&Path>,
        voices: Option<&Path>,
        made: Option<&Path>,
        models: &[String],
    ) -> Result<Self> {
        let (Some(data), Some(voices)) = (data, voices) else {
            anyhow::bail!("needs --data and --voices: models and voices are not in the repository")
        };
        let registry = Registry::new(data)?;
        let models = match models {
            [] => registry
                .models()
                .iter()
                .filter(|model| !model.bundled && registry.find(&model.name).is_ok())
                .map(|model| model.name.clone())
                .collect(),
            some => some.to_vec(),
        };
        ensure!(!models.is_empty(), "{} has no models", data.display());
        Ok(Self {
            data: data.to_owned(),
            voices: voices.to_owned(),
            made: made.map(Path::to_owned),
            models,
        })
    }

    pub fn find(&self, name: &str) -> Result<(Model, PathBuf)> {
        Ok(Registry::new(&self.data)?.find(name)?)
    }

    pub fn meeting(&self) -> Result<Meeting> {
        Meeting::load(&self.voices)
    }

    /// One of the sets that `benches/voices.py` writes.
    pub fn made(&self, name: &str) -> Result<Meeting> {
        let folder = self
            .made
            .as_ref()
            .context("needs --made: run benches/voices.py")?;
        Meeting::load(&folder.join(name))
    }

    /// Puts the models into a fresh data folder.
    pub fn bring(&self, to: &Path) -> Result<()> {
        let folder = to.join("models");
        fs::create_dir_all(&folder)?;
        let list = self.data.join("models/models.toml");
        if list.is_file() {
            fs::copy(&list, folder.join("models.toml"))?;
        }
        for name in &self.models {
            let (model, path) = self.find(name)?;
            let path = fs::canonicalize(path)?;
            std::os::unix::fs::symlink(path, folder.join(&model.file))?;
        }
        Ok(())
    }
}

/// One utterance's sound with its reference.
pub struct Cut {
    pub speaker: String,
    pub said: String,
    pub pcm: Vec<f32>,
}

pub fn cuts(meeting: &Meeting, folder: &Path) -> Result<Vec<Cut>> {
    let mut cuts = Vec::new();
    for voice in &meeting.voices {
        let pcm = tone::decode(&folder.join(format!("{}.opus", voice.name)), RATE)?;
        let of_voice = |utterance: &&Utterance| utterance.speaker == voice.name;
        for one in meeting.utterances.iter().filter(of_voice) {
            cuts.push(Cut {
                speaker: voice.name.clone(),
                said: one.text.clone(),
                pcm: offline::cut(&pcm, one.start_ms - 250, one.end_ms + 190).to_vec(),
            });
        }
    }
    Ok(cuts)
}

/// All cuts decoded alone without any hurry: 5 beams over the full window.
pub async fn offline_errors(offline: &mut Offline, cuts: &[Cut]) -> Result<Errors> {
    offline.effort = Effort::Offline;
    Ok(decode_all(offline, cuts, &Given::default()).await?.errors)
}

/// With `HANSARD_BENCH_TEXT` set, prints it.
pub fn tell_text(line: &str) {
    if std::env::var_os("HANSARD_BENCH_TEXT").is_some() {
        println!("{line}");
    }
}

/// The figures that one meeting is held to, by the size of the model.
struct Limits {
    p50: f64,
    p95: f64,
    first_text: f64,
}

impl Limits {
    fn of(name: &str) -> Self {
        if name.starts_with("tiny") {
            Self {
                p50: 0.55,
                p95: 0.75,
                first_text: 0.9,
            }
        } else {
            Self {
                p50: 0.75,
                p95: 1.0,
                first_text: 1.1,
            }
        }
    }
}

/// One meeting live with each model, against the same cuts without any hurry.
pub async fn voices(material: &Material, rounds: usize) -> Result<Table> {
    let meeting = material.meeting()?;
    let cuts = cuts(&meeting, &material.voices)?;
    let mut table = Table::new(
        "voices",
        format!(
            "`{}` by RTP, {rounds} times with each model, pooled; offline: the decoder's process, 5 beams over the full window, on \
             the reference's cuts.",
            meeting.name
        ),
    );
    for name in &material.models {
        let (model, path) = material.find(name)?;
        let bare = offline_errors(&mut Offline::with(model, path, 1).await?, &cuts).await?;
        let alone = Alone::with_model(material, name, &[]).await?;
        let mut score = Score::default();
        let (mut violations, mut retracted) = (Vec::new(), 0);
        for _ in 0..rounds {
            let staging = PlayOptions {
                files: false,
                ..PlayOptions::new(alone.client())
            };
            let performance = perform(&meeting, &staging).await?;
            violations.extend(caption::violations(&performance.events, true));
            retracted += performance.retracted.len();
            show(&performance);
            score = score + performance.score(&meeting);
        }
        alone.server.terminate();
        tell(&mut table, name, &score, bare, rounds);
        table.told(format!("{name}: retracted"), retracted.to_string());
        table.none(
            format!("{name}: breaches of the contract"),
            violations.len(),
        );
    }
    Ok(table)
}

/// The numbers of meetings that a model is held to at once, by its size: for the finals, and for
/// the first text.
fn crowds(name: &str) -> [usize; 2] {
    if name.starts_with("tiny") {
        [24, 16]
    } else {
        [12, 8]
    }
}

/// Many meetings at once with each model, the sender on the same cores.
pub async fn crowd(material: &Material, only: Option<usize>) -> Result<Table> {
    let meeting = material.meeting()?;
    let mut table = Table::new(
        "voices-load",
        format!(
            "Meetings of `{}` at once, starts spread over 10 s, the sender on the same cores.",
            meeting.name
        ),
    );
    for name in &material.models {
        let [most, some] = crowds(name);
        let model = Some((material, name.as_str()));
        let one = Crowd::play(1, &meeting, model).await?;
        table.told(format!("{name}, 1 meeting"), one.line());
        let all = [some, most, most * 3 / 2];
        for meetings in only.map_or(all.to_vec(), |only| vec![only]) {
            let crowd = Crowd::play(meetings, &meeting, model).await?;
            let what = format!("{name}, {meetings} meetings");
            table.told(what.clone(), crowd.line());
            table.none(format!("{what}: finals lost"), crowd.lost);
            table.none(format!("{what}: meetings that failed"), crowd.failed.len());
            if meetings > most {
                continue;
            }
            table.at_most(
                format!("{what}: finals after the end of speech, p95"),
                crowd.score.final_p(0.95),
                2.0,
                "s",
            );
            let wrong = |crowd: &Crowd| crowd.score.errors.wrong() as f64 / crowd.meetings as f64;
            let more = wrong(&crowd) - wrong(&one);
            table.at_most(
                format!("{what}: more words wrong than with one meeting, per meeting"),
                Some(more),
                2.0,
                "",
            );
            if meetings == some {
                table.at_most(
                    format!("{what}: first text after the beginning of speech, p50"),
                    crowd.score.first_text_p(0.5),
                    2.5,
                    "s",
                );
            }
        }
    }
    Ok(table)
}

/// With `HANSARD_BENCH_TEXT` set, every caption.
fn show(performance: &PlayReport) {
    if std::env::var_os("HANSARD_BENCH_TEXT").is_none() {
        return;
    }
    for caption in &performance.captions {
        let at = caption
            .received
            .saturating_duration_since(performance.zero)
            .as_secs_f64();
        println!(
            "{at:8.2} {} {} [{}-{}] {}|{}",
            if caption.last { "F" } else { " " },
            caption.speaker,
            caption.start_ms - performance.zero_ms as i64,
            caption.end_ms - performance.zero_ms as i64,
            String::from_utf16_lossy(&caption.stable()),
            String::from_utf16_lossy(
                &caption
                    .text
                    .encode_utf16()
                    .skip(caption.stable_chars)
                    .collect::<Vec<_>>()
            ),
        );
    }
}

fn tell(table: &mut Table, name: &str, score: &Score, bare: Errors, rounds: usize) {
    let limits = Limits::of(name);
    let errors = score.errors;
    table.judge(
        format!(
            "{name}: words wrong live, of {}, per round",
            errors.reference / rounds
        ),
        format!("{:.1}", errors.wrong() as f64 / rounds as f64),
        format!("≤ {} offline + 2", bare.wrong()),
        errors.wrong() <= (bare.wrong() + 2) * rounds,
    );
    for (what, figure, limit) in [
        (
            "final after the end of speech, p50",
            score.final_p(0.5),
            limits.p50,
        ),
        (
            "final after the end of speech, p95",
            score.final_p(0.95),
            limits.p95,
        ),
        (
            "first text after the beginning of speech, p50",
            score.first_text_p(0.5),
            limits.first_text,
        ),
    ] {
        table.at_most(format!("{name}: {what}"), figure, limit, "s");
    }
    table.told(
        format!("{name}: first text, p95"),
        score
            .first_text_p(0.95)
            .map_or("none".into(), |s| format!("{s:.2} s")),
    );
    let restated = score.restated as f64 / score.finals.max(1) as f64;
    table.judge(
        format!(
            "{name}: finals that change stable text, of {}",
            score.finals
        ),
        format!("{:.1} %", restated * 100.0),
        "≤ 2 %",
        restated <= 0.02,
    );
    table.judge(
        format!("{name}: of what partials showed, stable"),
        format!("{:.0} %", score.stable_share() * 100.0),
        "≥ 50 %",
        score.stable_share() >= 0.5,
    );
    table.told(
        format!("{name}: finals"),
        format!(
            "{} merged, {} split, {} stray; {:.1} partials per final; {} last words missed",
            score.merged,
            score.split,
            score.stray,
            score.partials as f64 / score.finals.max(1) as f64,
            score.unseen
        ),
    );
}
