//! Captions of one meeting: how right and how late.

use crate::{
    offline::{self, Offline},
    rig::{Alone, Apart},
    sound::{self, RATE},
    table::Table,
    voices::Material,
};
use anyhow::{Context, Result};
use hansard_client::{
    caption,
    meeting::{Meeting, Utterance},
    scenario::{PlayOptions, PlayReport, perform},
    score::Score,
    tone,
    wer::{self, Errors},
};
use std::time::Duration;

/// The sets, and who declines in each.
const SETS: [(&str, &str); 2] = [("planning", "Carol"), ("incident", "Frank")];
/// No final may be longer in coming than this, however long somebody speaks.
const BETWEEN_FINALS_S: f64 = 22.0;
const MONOLOGUE: Duration = Duration::from_secs(180);

/// Played meetings, pooled.
#[derive(Default)]
struct Pooled {
    score: Score,
    violations: Vec<String>,
    recordings: Vec<String>,
}

impl Pooled {
    fn take(&mut self, meeting: &Meeting, performance: &PlayReport) {
        self.score = std::mem::take(&mut self.score) + performance.score(meeting);
        self.violations
            .extend(caption::violations(&performance.events, true));
        for player in &performance.players {
            self.violations
                .extend(caption::violations(&player.events, true));
        }
        self.recordings.extend(
            performance
                .recordings
                .iter()
                .map(|recording| recording.kind.clone()),
        );
        self.recordings.sort();
    }
}

fn percent(errors: Errors) -> String {
    format!(
        "{:.2} % ({} of {} words)",
        errors.rate() * 100.0,
        errors.wrong(),
        errors.reference
    )
}

fn tell_latency(table: &mut Table, score: &Score) {
    table.at_most(
        "final after the end of speech, p50",
        score.final_p(0.5),
        1.0,
        "s",
    );
    table.at_most(
        "final after the end of speech, p95",
        score.final_p(0.95),
        1.6,
        "s",
    );
    table.at_most("last word on screen, p50", score.last_word_p(0.5), 0.5, "s");
    table.at_most(
        "last word on screen, p95",
        score.last_word_p(0.95),
        1.0,
        "s",
    );
    table.told(
        "finals",
        format!(
            "{}: {} merged, {} split, {} stray",
            score.finals, score.merged, score.split, score.stray
        ),
    );
    table.told(
        "partials per final",
        format!("{:.1}", score.partials as f64 / score.finals.max(1) as f64),
    );
}

fn tell_violations(table: &mut Table, violations: &[String]) {
    table.none(
        "breaches of the contract, at every socket",
        violations.len(),
    );
    for violation in violations.iter().take(5) {
        table.told("breach", violation.clone());
    }
}

async fn play(staging: &PlayOptions, set: &str, declines: &str, pooled: &mut Pooled) -> Result<()> {
    let meeting = Meeting::test_set(set)?;
    let staging = PlayOptions {
        declines: vec![declines.into()],
        ..staging.clone()
    };
    let performance = perform(&meeting, &staging)
        .await
        .with_context(|| set.to_owned())?;
    pooled.take(&meeting, &performance);
    Ok(())
}

pub async fn captions(rounds: usize) -> Result<Table> {
    let mut bare = Errors::default();
    {
        let mut offline = Offline::start(1).await?;
        for (set, declines) in SETS {
            let errors = offline.errors(&Meeting::test_set(set)?, declines).await?;
            bare = (0..rounds).fold(bare, |bare, _| bare + errors);
        }
    }
    let alone = Alone::start(&[]).await?;
    let staging = PlayOptions::new(alone.client());
    let mut pooled = Pooled::default();
    for _ in 0..rounds {
        for (set, declines) in SETS {
            play(&staging, set, declines, &mut pooled).await?;
        }
    }
    alone.server.terminate();

    let Pooled {
        score, violations, ..
    } = pooled;
    let times = if rounds == 1 {
        "once".into()
    } else {
        format!("{rounds} times")
    };
    let mut table = Table::new(
        "captions",
        format!(
            "`planning` and `incident` by RTP, {times}, pooled; Carol and Frank decline; the bundled model."
        ),
    );
    let more = score.errors.wrong().saturating_sub(bare.wrong());
    table.judge(
        "word error rate of the finals",
        percent(score.errors),
        "≤ 5 %, or ≤ 3 words more than offline",
        score.errors.rate() <= 0.05 || more <= 3,
    );
    table.told("the same utterances decoded offline", percent(bare));
    tell_latency(&mut table, &score);
    table.none("words of whoever declined", score.declined_words);
    table.told("last words that no final has", score.unseen.to_string());
    table.told(
        "finals that restate a stable prefix",
        score.restated.to_string(),
    );
    tell_violations(&mut table, &violations);
    Ok(table)
}

const SILENCES: &str = "60 s of digital silence, white noise at −35 dBFS, brown noise at −20 dBFS, chords, breath, \
                        laughter and a car horn";

pub async fn silence() -> Result<Table> {
    let mut table = Table::new("silence", format!("{SILENCES}; the bundled model."));
    hear_nothing(&mut table, "", Alone::start(&[]).await?).await?;
    Ok(table)
}

/// The same with models of the operator's.
pub async fn silence_by(material: &Material) -> Result<Table> {
    let mut table = Table::new("voices-silence", format!("{SILENCES}."));
    for name in &material.models {
        let alone = Alone::with_model(material, name, &[]).await?;
        hear_nothing(&mut table, &format!("{name}: "), alone).await?;
    }
    Ok(table)
}

async fn hear_nothing(table: &mut Table, model: &str, alone: Alone) -> Result<()> {
    const LENGTH: Duration = Duration::from_secs(60);
    let samples = tone::silence(LENGTH, RATE).len();
    let voices = vec![
        sound::spoken_by("Silence", &vec![0.0; samples])?,
        sound::spoken_by("White", &sound::noise(60, -35.0, false, samples))?,
        sound::spoken_by("Brown", &sound::noise(61, -20.0, true, samples))?,
        sound::spoken_by("Chords", &sound::chords(samples))?,
        sound::spoken_by("Breath", &sound::breath(samples))?,
        sound::spoken_by("Laughter", &sound::laughter(samples))?,
        sound::spoken_by("Horn", &sound::horn(samples))?,
    ];
    let meeting = sound::wordless("silence", voices);
    let performance = perform(&meeting, &PlayOptions::new(alone.client())).await?;
    alone.server.terminate();
    for voice in &meeting.voices {
        let captions = performance
            .captions
            .iter()
            .filter(|caption| caption.speaker == voice.name);
        let (finals, partials): (Vec<_>, Vec<_>) = captions.partition(|caption| caption.last);
        for one in &finals {
            crate::voices::tell_text(&format!("{}: {}", voice.name, one.text));
        }
        for (kind, of) in [("finals", finals), ("partials", partials)] {
            let words = of.iter().map(|caption| wer::words(&caption.text).len());
            table.none(
                format!("{model}words in {kind}, {}", voice.name.to_lowercase()),
                words.sum(),
            );
        }
    }
    Ok(())
}

/// One voice's utterances again and again without anything between them, with noise under it.
pub fn babble(length: Duration, level_db: f32) -> Result<(Vec<f32>, Vec<Utterance>)> {
    let set = Meeting::test_set("planning")?;
    let voice = sound::voice("planning", "Alice", RATE)?;
    let (mut samples, mut said) = (Vec::new(), Vec::new());
    let whole = tone::silence(length, RATE).len();
    'full: loop {
        for utterance in set
            .utterances
            .iter()
            .filter(|utterance| utterance.speaker == "Alice")
        {
            let cut =
                &voice[sound::at(utterance.start_ms)..sound::at(utterance.end_ms).min(voice.len())];
            if samples.len() + cut.len() > whole {
                break 'full;
            }
            let ms = |samples: usize| (samples * 1_000 / RATE as usize) as i64;
            let start_ms = ms(samples.len());
            samples.extend_from_slice(cut);
            said.push(Utterance {
                start_ms,
                end_ms: ms(samples.len()),
                ..utterance.clone()
            });
        }
    }
    let noise = sound::noise(7, level_db, true, samples.len());
    sound::add(&mut samples, 0, &noise);
    Ok((samples, said))
}

pub async fn monologue() -> Result<Table> {
    let (samples, utterances) = babble(MONOLOGUE, -50.0)?;
    let voice = sound::spoken_by("Alice", &samples)?;
    let meeting = Meeting {
        utterances,
        ..sound::wordless("monologue", vec![voice])
    };
    let alone = Alone::start(&[]).await?;
    let performance = perform(&meeting, &PlayOptions::new(alone.client())).await?;
    alone.server.terminate();
    let score = performance.score(&meeting);

    let mut finals: Vec<_> = performance.finals().collect();
    finals.sort_by_key(|caption| caption.start_ms);
    let mut told: Vec<f64> = finals
        .iter()
        .map(|caption| {
            caption
                .received
                .saturating_duration_since(performance.zero)
                .as_secs_f64()
        })
        .chain([0.0])
        .collect();
    told.sort_by(f64::total_cmp);
    let longest = told
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max_by(f64::total_cmp);

    // The same cuts, decoded in peace: between two finals, in the middle of what neither has words
    // of.
    let pcm: Vec<f32> = samples
        .as_chunks::<3>()
        .0
        .iter()
        .map(|three| three.iter().sum::<f32>() / 3.0)
        .collect();
    let place = |ms: i64| ms - performance.zero_ms.round() as i64;
    let mut offline = Offline::start(1).await?;
    let mut heard = Vec::new();
    for (n, caption) in finals.iter().enumerate() {
        let from = n.checked_sub(1).map_or(caption.start_ms - 250, |n| {
            (finals[n].end_ms + caption.start_ms) / 2
        });
        let to = finals.get(n + 1).map_or(caption.end_ms + 250, |next| {
            (caption.end_ms + next.start_ms) / 2
        });
        heard.push(
            offline
                .decode(offline::cut(&pcm, place(from), place(to)))
                .await?
                .text,
        );
    }
    let reference: Vec<&str> = meeting
        .utterances
        .iter()
        .map(|utterance| utterance.text.as_str())
        .collect();
    let bare = wer::compare(&reference.join(" "), &heard.join(" "));

    let length = samples.len() as f64 / f64::from(RATE);
    let mut table = Table::new(
        "monologue",
        format!("{length:.0} s of one voice without its pauses, brown noise at −50 dBFS under it."),
    );
    table.at_most(
        "longest time between finals",
        longest,
        BETWEEN_FINALS_S,
        "s",
    );
    table.judge(
        "word error rate of the finals",
        percent(score.errors),
        "offline decode of the same cuts + 2 points",
        score.errors.rate() <= bare.rate() + 0.02,
    );
    table.told("the same cuts decoded offline", percent(bare));
    let spans = finals
        .iter()
        .map(|caption| (caption.end_ms - caption.start_ms) as f64 / 1_000.0);
    table.told(
        "finals",
        format!(
            "{}, the longest {:.1} s",
            finals.len(),
            spans.fold(0.0, f64::max)
        ),
    );
    let lag = score
        .final_p(0.95)
        .map_or("none".into(), |p95| format!("{p95:.2} s"));
    table.told("final after the last utterance it has words of, p95", lag);
    tell_violations(&mut table, &caption::violations(&performance.events, true));
    Ok(table)
}

pub async fn cluster(rounds: usize) -> Result<Table> {
    let (set, declines) = SETS[0];
    let (mut one, mut several) = (Pooled::default(), Pooled::default());
    let apart = Apart::start(2, 2).await?;
    let staging = PlayOptions {
        clients: apart.clients()?,
        ..PlayOptions::new(apart.clients()?.remove(0))
    };
    for _ in 0..rounds {
        play(&staging, set, declines, &mut several).await?;
    }
    drop(apart);
    let alone = Alone::start(&[]).await?;
    for _ in 0..rounds {
        play(&PlayOptions::new(alone.client()), set, declines, &mut one).await?;
    }
    alone.server.terminate();

    let mut table = Table::new(
        "cluster",
        format!(
            "`planning`, {rounds} times each: one `serve`, then 2 × `api` and 2 × `worker` on Postgres, RabbitMQ and \
                 S3, participants at different `api`s."
        ),
    );
    let (a, b) = (&one.score, &several.score);
    let same = a.errors.wrong().abs_diff(b.errors.wrong());
    table.judge(
        "word error rate",
        percent(b.errors),
        format!("as one process: {}", percent(a.errors)),
        same <= rounds,
    );
    table.judge(
        "files",
        format!("{}", several.recordings.len()),
        format!("as one process: {}", one.recordings.len()),
        one.recordings == several.recordings,
    );
    for (name, fraction) in [("p50", 0.5), ("p95", 0.95)] {
        for (what, one, several) in [
            (
                "final after the end of speech",
                a.final_p(fraction),
                b.final_p(fraction),
            ),
            (
                "last word on screen",
                a.last_word_p(fraction),
                b.last_word_p(fraction),
            ),
        ] {
            let more = one
                .zip(several)
                .map(|(one, several)| (several - one) * 1_000.0);
            table.told(
                format!("{what}, {name}, one process"),
                one.map_or("none".into(), |s| format!("{s:.2} s")),
            );
            table.at_most(
                format!("{what}, {name}, more through several"),
                more,
                100.0,
                "ms",
            );
        }
    }
    table.none("words of whoever declined", b.declined_words);
    tell_violations(&mut table, &several.violations);
    Ok(table)
}
