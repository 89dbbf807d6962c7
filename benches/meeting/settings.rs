//! What a decode of each model costs, and what its settings do to words: for `models.toml`.

use crate::{
    offline::{Offline, RATE},
    table::Table,
    voices::{Cut, Material, cuts, tell_text},
};
use anyhow::{Context, Result};
use hansard::{
    domain::{schedule::Effort, time::Micros, transcript::doubt},
    speech::{glossary_prompt, model::Model},
};
use hansard_client::{
    meeting::Meeting,
    score::percentile,
    wer::{self, Errors},
};
use std::path::Path;

/// What decodes are given beside the sound.
#[derive(Default)]
pub struct Given {
    /// What the same speaker said before.
    context: bool,
    glossary: Option<String>,
}

/// What decoding all cuts alone gave.
pub struct Decoded {
    pub errors: Errors,
    /// Milliseconds each.
    took: Vec<f64>,
    again: usize,
    doubted: usize,
}

/// Decodes every utterance alone.
pub async fn decode_all(offline: &mut Offline, cuts: &[Cut], given: &Given) -> Result<Decoded> {
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    let (mut took, mut again, mut doubted) = (Vec::new(), 0, 0);
    let mut before: Option<(String, String)> = None;
    for cut in cuts {
        let prompt = before
            .take()
            .filter(|(speaker, _)| given.context && *speaker == cut.speaker)
            .map(|(_, text)| text);
        let one = offline
            .decode_with(&cut.pcm, prompt, given.glossary.clone())
            .await?;
        took.push(one.inside.as_secs_f64() * 1e3);
        again += usize::from(one.work.passes > 1);
        let voiced = Micros(cut.pcm.len() as i64 * 1_000_000 / i64::from(RATE));
        let doubt = doubt(&one.hypothesis, voiced);
        doubted += usize::from(doubt.is_some());
        if doubt.is_none() {
            before = Some((cut.speaker.clone(), one.text.clone()));
        }
        tell_text(&format!("{:?} {:?} {}", one.work, doubt, one.text));
        said.push(cut.said.as_str());
        heard.push(one.text);
    }
    Ok(Decoded {
        errors: wer::compare(&said.join(" "), &heard.join(" ")),
        took,
        again,
        doubted,
    })
}

/// One line of the table.
struct Variant {
    what: &'static str,
    floor: u32,
    margin: u32,
    beams: u32,
    time_stamps: bool,
    effort: Effort,
    context: bool,
    glossary: bool,
}

/// As finals are decoded where nothing is said of it.
const PLAIN: Variant = Variant {
    what: "",
    floor: 256,
    margin: 64,
    beams: 1,
    time_stamps: true,
    effort: Effort::Thorough,
    context: false,
    glossary: false,
};

#[rustfmt::skip]
const VARIANTS: [Variant; 16] = [
    Variant { what: "offline, 5 beams over the full window", effort: Effort::Offline, ..PLAIN },
    Variant { what: "window 256, margin 64", ..PLAIN },
    Variant { what: "without time stamps", time_stamps: false, ..PLAIN },
    Variant { what: "2 beams", beams: 2, effort: Effort::Beams, ..PLAIN },
    Variant { what: "3 beams", beams: 3, effort: Effort::Beams, ..PLAIN },
    Variant { what: "5 beams", beams: 5, effort: Effort::Beams, ..PLAIN },
    Variant { what: "with what was said before", context: true, ..PLAIN },
    Variant { what: "with a glossary", glossary: true, ..PLAIN },
    Variant { what: "with both", context: true, glossary: true, ..PLAIN },
    Variant { what: "window 384, margin 64", floor: 384, ..PLAIN },
    Variant { what: "window 384, margin 128", floor: 384, margin: 128, ..PLAIN },
    Variant { what: "window 512, margin 128", floor: 512, margin: 128, ..PLAIN },
    Variant { what: "window 768, margin 128", floor: 768, margin: 128, ..PLAIN },
    Variant { what: "one pass, as partials: window 128", floor: 128, effort: Effort::Quick, ..PLAIN },
    Variant { what: "one pass, window 192", floor: 192, effort: Effort::Quick, ..PLAIN },
    Variant { what: "one pass, window 256", effort: Effort::Quick, ..PLAIN },
];

impl Variant {
    fn of(&self, model: &Model) -> Model {
        Model {
            audio_ctx_floor: self.floor,
            audio_ctx_floor_partial: Some(self.floor),
            audio_ctx_margin: self.margin,
            beams: self.beams,
            time_stamps: self.time_stamps,
            ..model.clone()
        }
    }
}

/// The names in what is said, as somebody would put them into a glossary: words in the middle of a
/// sentence with a capital.
fn names(meeting: &Meeting) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for utterance in &meeting.utterances {
        let mut in_sentence = false;
        for word in utterance.text.split_whitespace() {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let is_name = bare.len() > 1 && bare.starts_with(char::is_uppercase);
            if in_sentence && is_name && !names.iter().any(|name| name == bare) {
                names.push(bare.to_owned());
            }
            in_sentence = !word.ends_with(['.', '?', '!']);
        }
    }
    names
}

/// Milliseconds of a pass's encoder, and of each token of text, by the least window.
async fn costs(model: &Model, path: &Path, floor: u32, cut: &Cut) -> Result<(f64, f64)> {
    let model = Variant { floor, ..PLAIN }.of(model);
    let mut offline = Offline::with(model, path.to_path_buf(), 1).await?;
    offline.effort = Effort::Quick;
    let (mut encoder, mut token) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let work = offline.decode(&cut.pcm).await?.work;
        let ms = |time: Micros| time.0 as f64 / 1e3;
        encoder.push(ms(work.encoder));
        token.push(ms(work.took - work.encoder) / f64::from(work.tokens.max(1)));
    }
    let median = |times: &[f64]| percentile(times, 0.5).unwrap_or_default();
    Ok((median(&encoder), median(&token)))
}

/// The table for every model.
pub async fn settings(material: &Material) -> Result<Table> {
    let meeting = material.meeting()?;
    let cuts = cuts(&meeting, &material.voices)?;
    let names = names(&meeting);
    let glossary = glossary_prompt(&names);
    let mut table = Table::new(
        "model-settings",
        format!(
            "`{}`, every utterance cut out and decoded alone, one thread: what a pass costs by its window (encoder \
             positions of 20 ms), and what each setting does to words and time. Where nothing else is said a window of \
             256 or the audio and 64, the likeliest token, and up to two passes more where the first is doubted. \
             Glossary: the {} names that occur.",
            meeting.name,
            names.len()
        ),
    );
    let short = cuts
        .iter()
        .min_by_key(|cut| cut.pcm.len())
        .context("no utterances")?;
    for name in &material.models {
        let (model, path) = material.find(name)?;
        for floor in [128, 256, 384, 512, 768, 1_024, 1_500] {
            let (encoder, token) = costs(&model, &path, floor, short).await?;
            table.told(
                format!("{name}, window {floor}: encoder, and each token of text"),
                format!("{encoder:.0} ms, {token:.1} ms"),
            );
        }
        for variant in &VARIANTS {
            let mut offline = Offline::with(variant.of(&model), path.clone(), 1).await?;
            offline.effort = variant.effort;
            let given = Given {
                context: variant.context,
                glossary: glossary.clone().filter(|_| variant.glossary),
            };
            let decoded = decode_all(&mut offline, &cuts, &given).await?;
            table.told(
                format!(
                    "{name}, {}: words wrong, median and longest decode, more than one pass, doubted",
                    variant.what
                ),
                format!(
                    "{} of {}, {:.0} ms, {:.0} ms, {}, {}",
                    decoded.errors.wrong(),
                    decoded.errors.reference,
                    percentile(&decoded.took, 0.5).unwrap_or_default(),
                    percentile(&decoded.took, 1.0).unwrap_or_default(),
                    decoded.again,
                    decoded.doubted
                ),
            );
        }
    }
    Ok(table)
}
