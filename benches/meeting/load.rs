//! Many meetings at once, the sender on the same cores.

use crate::{
    rig::{Alone, cpu_s, decoder_of, figures, metric, metrics},
    table::Table,
    voices::Material,
};
use anyhow::{Context, Result};
use hansard_client::{
    meeting::Meeting,
    scenario::{PlayOptions, perform},
    score::Score,
    wer,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Starts are spread over this.
const SPREAD: Duration = Duration::from_secs(10);
const FINALS_P95_S: f64 = 2.0;
/// Points of word error rate that a crowd may cost.
const WORSE_MAX: f64 = 0.005;
/// The search is over where the next number that is too many is no further than this share of the
/// largest that holds.
const CLOSE: usize = 10;
/// Each try takes about two minutes.
const TRIES_MAX: usize = 8;
const STEPS: [&str; 6] = ["normal", "slower", "sparse", "guesses", "finals", "full"];

/// What came of so many meetings.
pub struct Crowd {
    pub meetings: usize,
    pub score: Score,
    /// Finals that were given up.
    pub lost: usize,
    /// Finals that say something twice or more in a row.
    looped: usize,
    /// Meetings that could not be played to their end, and why.
    pub failed: Vec<String>,
    /// Half seconds by step of the ladder, as the operations address told it.
    steps: BTreeMap<usize, usize>,
    /// Cores used by server, decoder and us.
    cores: [f64; 3],
    /// Of the decoder's workers, how many finals kept busy (decoded in the silence behind an
    /// utterance or after it), and how many partials, in real time.
    workers: [f64; 2],
}

impl Crowd {
    /// With the bundled model, or another.
    pub async fn play(
        meetings: usize,
        meeting: &Meeting,
        model: Option<(&Material, &str)>,
    ) -> Result<Self> {
        let arguments = ["--capacity", "200"];
        let alone = match model {
            None => Alone::start(&arguments).await?,
            Some((material, name)) => Alone::with_model(material, name, &arguments).await?,
        };
        let pid = alone.server.pid();
        let pids = [
            pid,
            decoder_of(pid).context("no decoder")?,
            std::process::id(),
        ];
        let (before, begun) = (pids.map(cpu_s), Instant::now());
        let mut playing = JoinSet::new();
        for n in 0..meetings {
            let (meeting, client) = (meeting.clone(), alone.client());
            let wait = SPREAD * n as u32 / meetings as u32;
            playing.spawn(async move {
                tokio::time::sleep(wait).await;
                let staging = PlayOptions {
                    ready_within: Duration::from_secs(180),
                    files: false,
                    ..PlayOptions::new(client)
                };
                let performance = perform(&meeting, &staging).await?;
                let lost = performance
                    .retracted
                    .iter()
                    .filter(|retracted| retracted.reason == "lost")
                    .count();
                let looped = performance
                    .finals()
                    .filter(|caption| wer::says_twice(&caption.text))
                    .count();
                anyhow::Ok((performance.score(&meeting), lost, looped))
            });
        }
        let mut crowd = Self {
            meetings,
            score: Score::default(),
            lost: 0,
            looped: 0,
            failed: Vec::new(),
            steps: BTreeMap::new(),
            cores: [0.0; 3],
            workers: [0.0; 2],
        };
        let mut ask = tokio::time::interval(Duration::from_millis(500));
        let mut measured = false;
        loop {
            tokio::select! {
                played = playing.join_next() => match played {
                    None => break,
                    Some(Ok(Ok((score, lost, looped)))) => {
                        crowd.score = std::mem::take(&mut crowd.score) + score;
                        crowd.lost += lost;
                        crowd.looped += looped;
                    }
                    Some(Ok(Err(error))) => crowd.failed.push(format!("{error:#}")),
                    Some(Err(error)) => crowd.failed.push(error.to_string()),
                },
                _ = ask.tick() => {
                    if let Ok(step) = metric(&alone.server, "hansard_speech_step").await {
                        *crowd.steps.entry(step as usize).or_default() += 1;
                    }
                    // While all of them speak; what comes after is the mixes.
                    if !measured && begun.elapsed() > meeting.duration {
                        measured = true;
                        let took = begun.elapsed().as_secs_f64();
                        for (cores, (pid, before)) in crowd.cores.iter_mut().zip(pids.into_iter().zip(before)) {
                            *cores = (cpu_s(pid) - before) / took;
                        }
                        let text = metrics(&alone.server).await.unwrap_or_default();
                        for (labels, s) in figures(&text, "hansard_speech_decode_seconds_sum") {
                            crowd.workers[usize::from(labels.contains("partial"))] += s / took;
                        }
                    }
                }
            }
        }
        // In order it would make the mixes of all of them first.
        alone.server.kill();
        println!("{} meetings: {}", crowd.meetings, crowd.line());
        Ok(crowd)
    }

    fn holds(&self, one: &Self) -> bool {
        self.failed.is_empty()
            && self
                .score
                .final_p(0.95)
                .is_some_and(|p95| p95 <= FINALS_P95_S)
            && self.score.errors.rate() <= one.score.errors.rate() + WORSE_MAX
    }

    fn partials_per_final(&self) -> f64 {
        self.score.partials as f64 / self.score.finals.max(1) as f64
    }

    pub fn line(&self) -> String {
        let seconds =
            |value: Option<f64>| value.map_or("none".into(), |value| format!("{value:.2} s"));
        let [server, decoder, sender] = self.cores;
        let [finals, partials] = self.workers;
        format!(
            "finals p50 {} p95 {}; first text p50 {}; {:.2} % wrong; {:.1} partials per final; \
             {} lost, {} looped and {} changed in their stable text of {}, {} failed; cores {server:.2} server {decoder:.2} decoder {sender:.2} sender; \
             workers busy with finals {finals:.2}, with partials {partials:.2}",
            seconds(self.score.final_p(0.5)),
            seconds(self.score.final_p(0.95)),
            seconds(self.score.first_text_p(0.5)),
            self.score.errors.rate() * 100.0,
            self.partials_per_final(),
            self.lost,
            self.looped,
            self.score.restated,
            self.score.finals,
            self.failed.len(),
        )
    }

    fn steps(&self) -> String {
        let shares = self.steps.iter().map(|(step, times)| {
            format!(
                "{} {:.0} s",
                STEPS.get(*step).unwrap_or(&"?"),
                *times as f64 / 2.0
            )
        });
        shares.collect::<Vec<_>>().join(", ")
    }
}

/// Searches the largest number that holds; answers with it.
pub async fn load(first: usize) -> Result<(Table, Option<usize>)> {
    let planning = Meeting::test_set("planning")?;
    let one = Crowd::play(1, &planning, None).await?;
    let mut tried: BTreeMap<usize, Crowd> = BTreeMap::new();
    let mut next = first.max(1);
    for _ in 0..TRIES_MAX {
        tried.insert(next, Crowd::play(next, &planning, None).await?);
        let most = tried
            .iter()
            .filter(|(_, crowd)| crowd.holds(&one))
            .map(|(n, _)| *n)
            .max();
        let least = tried
            .iter()
            .filter(|(n, crowd)| !crowd.holds(&one) && Some(**n) > most)
            .map(|(n, _)| *n)
            .min();
        next = match (most, least) {
            (Some(most), None) => most * 2,
            (None, Some(least)) if least > 1 => least / 2,
            (Some(most), Some(least)) if least - most > (most / CLOSE).max(1) => {
                most.midpoint(least)
            }
            _ => break,
        };
    }
    let most = tried
        .iter()
        .filter(|(_, crowd)| crowd.holds(&one))
        .map(|(n, _)| *n)
        .max();
    let mut table = Table::new(
        "load",
        "Meetings of `planning` at once, all three agreeing, starts spread over 10 s, the sender on the same cores.",
    );
    table.judge(
        "meetings with finals p95 ≤ 2 s and WER within 0.5 points of one's",
        most.map_or("none".into(), |most| most.to_string()),
        "≥ 8",
        most.is_some_and(|most| most >= 8),
    );
    table.told("1 meeting", one.line());
    for (n, crowd) in &tried {
        table.told(
            format!(
                "{n} meetings{}",
                if crowd.holds(&one) { "" } else { " (too many)" }
            ),
            crowd.line(),
        );
    }
    for error in tried.values().flat_map(|crowd| &crowd.failed).take(3) {
        table.told("a meeting failed", error.clone());
    }
    Ok((table, most))
}

/// Half as many again as `meetings`.
pub async fn overload(meetings: usize) -> Result<Table> {
    let planning = Meeting::test_set("planning")?;
    let calm = Crowd::play(meetings, &planning, None).await?;
    let over = Crowd::play(meetings + meetings.div_ceil(2), &planning, None).await?;
    let mut table = Table::new(
        "overload",
        format!(
            "{} meetings after {} in the same run.",
            over.meetings, calm.meetings
        ),
    );
    table.none("finals lost", over.lost);
    table.none("meetings that could not be played", over.failed.len());
    let rate = |crowd: &Crowd| crowd.score.errors.rate() * 100.0;
    table.judge(
        "word error rate",
        format!("{:.2} %", rate(&over)),
        format!("as before ({:.2} %) + 0.5 points", rate(&calm)),
        rate(&over) <= rate(&calm) + WORSE_MAX * 100.0,
    );
    table.judge(
        "partials per final",
        format!("{:.2}", over.partials_per_final()),
        format!("fewer than before ({:.2})", calm.partials_per_final()),
        over.partials_per_final() < calm.partials_per_final(),
    );
    table.judge(
        "the ladder, by the operations address",
        over.steps(),
        "above normal",
        over.steps.keys().any(|step| *step > 0),
    );
    table.told(format!("at {} meetings", calm.meetings), calm.line());
    table.told("the ladder then", calm.steps());
    table.told(format!("at {} meetings", over.meetings), over.line());
    Ok(table)
}
