//! Captions at the speed of an official model, from its shape with random weights: the work is
//! real, the words are noise.

use crate::{rig::serve, shape, support::Scratch, table::Table};
use anyhow::{Context, Result};
use hansard::speech::model::{Registry, checksum};
use hansard_client::{
    meeting::Meeting,
    scenario::{PlayOptions, PlayReport, perform},
    score::percentile,
};
use std::{fs, path::Path, time::Duration};

/// A final's words are placed within its voice, whose edges the detector finds to about this.
const SLACK_MS: i64 = 200;

/// `planning` by RTP with each shape in turn.
pub async fn official() -> Result<Table> {
    let planning = Meeting::test_set("planning")?;
    let mut table = Table::new(
        "official",
        "One meeting of `planning` by RTP, the decoder working on random weights in the shape of an official model: what it \
         says is noise, often up to the token limit, and is decoded twice where it loops. From the end of an utterance to \
         what closed its segment, a final or a retraction.",
    );
    for (name, dimensions) in shape::SHAPES {
        let data = Scratch::new();
        tokio::task::block_in_place(|| bring(data.path(), name, dimensions))?;
        let server = serve(data.path(), &["--model", &format!("{name}-shape")])?;
        let staging = PlayOptions {
            ready_within: Duration::from_secs(180),
            files: false,
            ..PlayOptions::new(server.client())
        };
        let performance = perform(&planning, &staging).await?;
        let (closed, open) = delays(&planning, &performance);
        let lost = performance
            .retracted
            .iter()
            .filter(|retracted| retracted.reason == "lost")
            .count();
        let seconds = |fraction: f64| percentile(&closed, fraction).unwrap_or(f64::NAN);
        table.told(
            format!("{name}: p50, p95"),
            format!("{:.2} s, {:.2} s", seconds(0.5), seconds(0.95)),
        );
        table.none(format!("{name}: finals lost"), lost);
        table.told(
            format!("{name}: utterances of which nothing was ever shown"),
            open.to_string(),
        );
        server.kill();
    }
    Ok(table)
}

/// Puts a model of this shape into a data folder, as an operator brings one.
fn bring(data: &Path, name: &str, dimensions: [i32; 3]) -> Result<()> {
    let (_, bundled) = Registry::new(data)?.find("hansard-test-en")?;
    let folder = data.join("models");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}-shape.bin"));
    shape::write(&bundled, dimensions, &file)?;
    let list = format!(
        "[[model]]\nname = \"{name}-shape\"\nfile = \"{name}-shape.bin\"\nsizeBytes = {}\nsha256 = \"{}\"\nlanguages = [\"en\"]\n\
         longestUtteranceSeconds = 20\naudioCtxFloor = 384\naudioCtxMargin = 128\nprompt = true\nnote = \"noise\"\n",
        fs::metadata(&file)?.len(),
        checksum(&file)?,
    );
    fs::write(folder.join("models.toml"), list).context("the list of models")
}

/// Seconds from the end of each utterance to what closed it, and how many nothing closed.
fn delays(meeting: &Meeting, performance: &PlayReport) -> (Vec<f64>, usize) {
    let (mut closed, mut open) = (Vec::new(), 0);
    for utterance in &meeting.utterances {
        let Some(player) = performance.player(&utterance.speaker) else {
            continue;
        };
        let end = performance.zero + Duration::from_millis(utterance.end_ms.unsigned_abs());
        let zero_ms = performance.zero_ms as i64;
        let (from, to) = (
            utterance.start_ms + zero_ms - SLACK_MS,
            utterance.end_ms + zero_ms + SLACK_MS,
        );
        let of_it = |caption: &&hansard_client::caption::Caption| {
            caption.participant_id == player.participant_id
                && caption.start_ms < to
                && caption.end_ms > from
        };
        let segments: Vec<&str> = performance
            .captions
            .iter()
            .filter(of_it)
            .map(|caption| caption.segment_id.as_str())
            .collect();
        let finals = performance
            .finals()
            .filter(of_it)
            .map(|caption| caption.received);
        let retracted = performance
            .retracted
            .iter()
            .filter(|retracted| segments.contains(&retracted.segment_id.as_str()))
            .map(|retracted| retracted.received);
        match finals.chain(retracted).filter(|at| *at > end).min() {
            Some(at) => closed.push((at - end).as_secs_f64()),
            None => open += 1,
        }
    }
    (closed, open)
}
