//! Real models on what `benches/voices.py` makes, on a path that loses packets, and refined.

use crate::{
    offline::Offline,
    rig::Alone,
    table::Table,
    voices::{Material, cuts, offline_errors},
};
use anyhow::{Context, Result};
use hansard_client::{
    caption::Caption,
    impair::Impairments,
    meeting::{Meeting, Utterance},
    scenario::{PlayOptions, PlayReport, perform},
    wer::{self, Errors},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How far a final's span may reach beyond the sound that it is of.
const AROUND_MS: i64 = 700;
/// How many utterances after a change of language may still be in the one before.
const FOLLOWED_WITHIN: usize = 2;
const REFINED_WITHIN: Duration = Duration::from_secs(600);

async fn play(
    material: &Material,
    model: &str,
    meeting: &Meeting,
    staging: impl FnOnce(PlayOptions) -> PlayOptions,
) -> Result<PlayReport> {
    let alone = Alone::with_model(material, model, &[]).await?;
    let staging = staging(PlayOptions {
        files: false,
        ready_within: Duration::from_secs(120),
        ..PlayOptions::new(alone.client())
    });
    let performance = perform(meeting, &staging).await;
    // The files of half an hour may take longer than an orderly end may.
    alone.server.stop();
    performance
}

/// The finals of an utterance, by speaker and time.
fn finals_of<'a>(performance: &'a PlayReport, utterance: &Utterance) -> Vec<&'a Caption> {
    let zero = performance.zero_ms.round() as i64;
    performance
        .finals()
        .filter(|caption| {
            caption.speaker == utterance.speaker
                && caption.start_ms - zero < utterance.end_ms + AROUND_MS
                && caption.end_ms - zero > utterance.start_ms - AROUND_MS
        })
        .collect()
}

/// Short answers, each with silence around it: none may be lost, none said twice.
pub async fn answers(material: &Material) -> Result<Table> {
    let meeting = material.made("answers")?;
    let count = meeting.utterances.len();
    let mut table = Table::new(
        "voices-answers",
        format!(
            "{count} short answers by {} voices, 3 s apart.",
            meeting.voices.len()
        ),
    );
    for name in &material.models {
        let performance = play(material, name, &meeting, |staging| staging).await?;
        let (mut lost, mut twice) = (Vec::new(), Vec::new());
        for utterance in &meeting.utterances {
            let finals = finals_of(&performance, utterance);
            let text: Vec<&str> = finals.iter().map(|caption| caption.text.as_str()).collect();
            let said = wer::words(&text.join(" "));
            let reference = wer::words(&utterance.text);
            if said.is_empty() {
                lost.push(utterance.text.as_str());
            } else if said.len() >= 2 * reference.len()
                && said[..reference.len()] == said[reference.len()..2 * reference.len()]
            {
                twice.push(utterance.text.as_str());
            }
            crate::voices::tell_text(&format!("{} | {}", utterance.text, text.join(" | ")));
        }
        let errors = performance.score(&meeting).errors;
        table.judge(
            format!("{name}: answers lost"),
            told(&lost),
            "≤ 1",
            lost.len() <= 1,
        );
        table.judge(
            format!("{name}: said twice"),
            told(&twice),
            "0",
            twice.is_empty(),
        );
        table.told(
            format!("{name}: words wrong"),
            format!("{} of {}", errors.wrong(), errors.reference),
        );
    }
    Ok(table)
}

fn told(texts: &[&str]) -> String {
    match texts {
        [] => "0".into(),
        some => format!("{} ({})", some.len(), some.join(" ")),
    }
}

/// Half an hour of real and made voices: no final may be a loop.
pub async fn loops(material: &Material) -> Result<Table> {
    let meeting = material.made("half-hour")?;
    let mut table = Table::new(
        "voices-loops",
        format!(
            "{:.0} minutes strung together, {} speakers.",
            meeting.duration.as_secs_f64() / 60.0,
            meeting.voices.len()
        ),
    );
    for name in &material.models {
        let performance = play(material, name, &meeting, |staging| staging).await?;
        let score = performance.score(&meeting);
        let loops: Vec<&str> = performance
            .finals()
            .map(|caption| caption.text.as_str())
            .filter(|text| says_again(&wer::words(text)))
            .collect();
        for text in &loops {
            println!("loop: {text}");
        }
        table.none(
            format!("{name}: finals that loop, of {}", score.finals),
            loops.len(),
        );
        let restated = score.restated as f64 / score.finals.max(1) as f64;
        table.judge(
            format!("{name}: finals that change stable text"),
            format!("{:.1} %", restated * 100.0),
            "≤ 2 %",
            restated <= 0.02,
        );
        table.told(
            format!("{name}: of what partials showed, stable"),
            format!("{:.0} %", score.stable_share() * 100.0),
        );
        table.told(
            format!("{name}: words wrong"),
            format!("{} of {}", score.errors.wrong(), score.errors.reference),
        );
    }
    Ok(table)
}

/// Three words or more twice in a row, or fewer four times: nobody in the sets speaks like this.
fn says_again(words: &[String]) -> bool {
    (1..=words.len() / 2).any(|n| {
        let times = if n < 3 { 4 } else { 2 };
        words
            .windows(n * times)
            .any(|window| window.chunks(n).all(|chunk| *chunk == window[..n]))
    })
}

/// The same voices on a path that loses 5 % of the packets, each for itself.
pub async fn loss(material: &Material, rounds: usize) -> Result<Table> {
    const LOSS: f64 = 0.05;
    let meeting = material.meeting()?;
    let mut table = Table::new(
        "voices-loss",
        format!(
            "`{}`, {:.0} % of the packets lost, {rounds} times with each model.",
            meeting.name,
            LOSS * 100.0
        ),
    );
    for name in &material.models {
        let mut errors = [Errors::default(), Errors::default()];
        for round in 0..rounds {
            for (lossy, sum) in [false, true].into_iter().zip(&mut errors) {
                let performance = play(material, name, &meeting, |staging| PlayOptions {
                    adjust: lossy.then(|| -> hansard_client::scenario::Adjust {
                        Arc::new(move |_, config| {
                            config.network = Impairments {
                                loss: LOSS,
                                seed: round as u64 + 1,
                                ..config.network
                            };
                        })
                    }),
                    ..staging
                })
                .await?;
                *sum = *sum + performance.score(&meeting).errors;
            }
        }
        let [clean, lossy] = errors.map(|errors| errors.wrong() as f64 / rounds as f64);
        table.judge(
            format!("{name}: words wrong, without and with loss"),
            format!("{clean:.1}, {lossy:.1}"),
            "≤ 3 more",
            lossy <= clean + 3.0,
        );
    }
    Ok(table)
}

/// What the transcript says after each model transcribed the tracks once more.
pub async fn refined(material: &Material) -> Result<Table> {
    let meeting = material.meeting()?;
    let cuts = cuts(&meeting, &material.voices)?;
    let mut table = Table::new(
        "voices-refined",
        format!(
            "`{}` live, and refined by the same model after the end.",
            meeting.name
        ),
    );
    for name in &material.models {
        let (model, path) = material.find(name)?;
        let bare = offline_errors(&mut Offline::with(model, path, 1).await?, &cuts).await?;
        let alone = Alone::with_model(material, name, &[]).await?;
        let client = alone.client();
        let staging = PlayOptions {
            settings: json!({"refineModel": name}),
            ready_within: Duration::from_secs(120),
            ..PlayOptions::new(client.clone())
        };
        let performance = perform(&meeting, &staging).await?;
        let live = performance.score(&meeting).errors;
        let deadline = Instant::now() + REFINED_WITHIN;
        let transcript = loop {
            let transcript = client.transcript(&performance.meeting_id).await?;
            match transcript["refined"].as_str() {
                Some("done") => break transcript,
                Some("failed") => anyhow::bail!("the refinement failed"),
                _ => anyhow::ensure!(Instant::now() < deadline, "not refined in time"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let took = performance.settled.elapsed();
        alone.server.terminate();
        let errors = meeting
            .voices
            .iter()
            .map(|voice| {
                let said = meeting
                    .utterances
                    .iter()
                    .filter(|one| one.speaker == voice.name)
                    .map(|one| one.text.as_str());
                let heard = segments(&transcript)
                    .filter(|one| one["participant"]["displayName"] == voice.name.as_str())
                    .filter_map(|one| one["text"].as_str());
                wer::compare(
                    &said.collect::<Vec<_>>().join(" "),
                    &heard.collect::<Vec<_>>().join(" "),
                )
            })
            .fold(Errors::default(), |sum, one| sum + one);
        table.told(
            format!("{name}: words wrong live, of {}", errors.reference),
            live.wrong().to_string(),
        );
        table.judge(
            format!("{name}: refined"),
            errors.wrong().to_string(),
            format!("≤ {} offline", bare.wrong()),
            errors.wrong() <= bare.wrong(),
        );
        table.told(
            format!("{name}: refined after the files were ready"),
            format!("{:.0} s", took.as_secs_f64()),
        );
    }
    Ok(table)
}

fn segments(transcript: &Value) -> impl Iterator<Item = &Value> {
    transcript["segments"].as_array().into_iter().flatten()
}

/// Several languages in one meeting, and a speaker who changes between two: by synthetic voices,
/// and by people where `benches/voices.py` found their prompts.
pub async fn languages(material: &Material) -> Result<Vec<Table>> {
    let synthetic = material.made("languages")?;
    let table = languages_of(material, &synthetic, "voices-languages", "synthetic voices");
    let mut tables = vec![table.await?];
    if let Ok(people) = material.made("people") {
        let table = languages_of(material, &people, "voices-people", "people's voices");
        tables.push(table.await?);
    }
    Ok(tables)
}

async fn languages_of(
    material: &Material,
    meeting: &Meeting,
    table: &'static str,
    whose: &str,
) -> Result<Table> {
    let mut expected: Vec<&str> = meeting
        .utterances
        .iter()
        .filter_map(|one| one.language.as_deref())
        .map(base)
        .collect();
    expected.sort_unstable();
    expected.dedup();
    let mut table = Table::new(
        table,
        format!(
            "{} speakers, {whose}; `settings.languages` {expected:?}.",
            meeting.voices.len()
        ),
    );
    for name in &material.models {
        if material.find(name)?.0.only_language().is_some() {
            continue;
        }
        let performance = play(material, name, meeting, |staging| PlayOptions {
            settings: json!({"languages": expected}),
            ..staging
        })
        .await?;
        let zero = performance.zero_ms.round() as i64;
        let (mut foreign, mut late, mut unheard, mut wrong) = (0, 0, 0, 0);
        for voice in &meeting.voices {
            let said = meeting
                .utterances
                .iter()
                .filter(|one| one.speaker == voice.name);
            let (mut before, mut since) = (None, 0);
            for utterance in said {
                let language = utterance
                    .language
                    .as_deref()
                    .map(base)
                    .context("an utterance without its language")?;
                since = if before == Some(language) {
                    since + 1
                } else {
                    1
                };
                before = Some(language);
                let heard: Vec<&Value> = segments(&performance.transcript)
                    .filter(|one| {
                        let ms = |name: &str| one[name].as_i64().unwrap_or_default() - zero;
                        one["participant"]["displayName"] == utterance.speaker.as_str()
                            && ms("startMs") < utterance.end_ms
                            && ms("endMs") > utterance.start_ms
                    })
                    .collect();
                unheard += usize::from(heard.is_empty());
                for segment in heard {
                    let text = segment["text"].as_str().unwrap_or_default();
                    foreign += text
                        .chars()
                        .filter(|c| c.is_alphabetic() && !of_script(language, *c))
                        .count();
                    let right = segment["language"] == language;
                    wrong += usize::from(!right);
                    late += usize::from(!right && since > FOLLOWED_WITHIN);
                    crate::voices::tell_text(&format!(
                        "{language} {} | {text}",
                        segment["language"]
                    ));
                }
            }
        }
        let errors = performance.score(meeting).errors;
        table.none(format!("{name}: letters of another script"), foreign);
        table.none(
            format!("{name}: segments in another language after the second utterance"),
            late,
        );
        table.told(
            format!("{name}: segments in another language, utterances without words"),
            format!("{wrong}, {unheard}"),
        );
        table.told(
            format!("{name}: words wrong"),
            format!("{} of {}", errors.wrong(), errors.reference),
        );
    }
    Ok(table)
}

/// `en` of `en-us`.
fn base(language: &str) -> &str {
    language.split('-').next().unwrap_or(language)
}

fn of_script(language: &str, letter: char) -> bool {
    let block = match language {
        "ru" => '\u{400}'..='\u{4ff}',
        "hi" => '\u{900}'..='\u{97f}',
        _ => '\0'..='\u{24f}',
    };
    block.contains(&letter)
}
