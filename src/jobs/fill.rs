//! The first pass over an ended meeting's transcript: what nobody heard while it was said is
//! transcribed from the stored tracks, under the same consent; what was not kept is told as missing
//! (`domain/unheard::fill`). What was found is stored portion by portion, so a run that is cut off
//! goes on where it was.

use super::{
    pass::Pass,
    transcribe::{File, Sound, Transcribed},
};
use crate::{
    command::translate::translate,
    domain::{
        consent::Use,
        event::words,
        gate::{Gate, Transcription, Verdict},
        id::{ParticipantId, RecordingId},
        job::Progress,
        recording::{Gap, GapReason, intersect},
        time::{Micros, Span, total},
        unheard::{Fill, KeptSound, Missing, TranscriptGapReason, fill},
    },
    published,
    speech::Line,
    store::{
        capture::{self, FinalSegment},
        event, job,
        recording::{Recording, TrackKey},
        unheard,
    },
};
use std::{collections::BTreeMap, sync::Arc};
use tracing::{debug, info};

/// What nobody heard, and what is known of it.
pub(super) struct Unheard {
    gaps: Vec<unheard::Gap>,
    finals: BTreeMap<ParticipantId, Vec<Span>>,
    gate: Arc<Gate>,
}

impl Unheard {
    /// Reads it.
    pub async fn read(pass: &Pass<'_>) -> anyhow::Result<Self> {
        let mut tx = pass.files.store.worker_tx().await?;
        Ok(Self {
            gaps: unheard::of_meeting(&mut tx, pass.meeting).await?,
            finals: unheard::finals(&mut tx, pass.meeting).await?,
            gate: Arc::new(pass.gate(&mut tx).await?),
        })
    }

    /// How much of it there is to listen to.
    pub fn left(&self, pass: &Pass<'_>) -> Micros {
        let wanted = self.gaps.iter().flat_map(|gap| {
            let finals = self.finals.get(&gap.participant);
            plan(pass, &self.gate, gap, finals.map_or(&[], Vec::as_slice)).transcribe
        });
        total(&wanted.collect::<Vec<_>>())
    }
}

fn plan(pass: &Pass<'_>, gate: &Gate, gap: &unheard::Gap, finals: &[Span]) -> Fill {
    let spoken = gate.allowed(gap.participant, Use::Transcription);
    let kept = KeptSound {
        spoken: &pass.known.may_be_transcribed(gap.participant, &spoken),
        stored: &pass.known.stored(gap.participant),
        finals,
    };
    fill(gap.missing, kept)
}

/// Looks for every word that is missing and stores what it finds.
pub(super) async fn run(
    pass: &Pass<'_>,
    unheard: Unheard,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let Unheard {
        gaps,
        mut finals,
        gate,
    } = unheard;
    let mut fetched: BTreeMap<RecordingId, File> = BTreeMap::new();
    let mut found = 0;
    for gap in gaps {
        let finals = finals.entry(gap.participant).or_default();
        let plan = plan(pass, &gate, &gap, finals);
        let (mut undecoded, mut length) = (Vec::new(), Micros(0));
        for (track, key) in tracks(pass, gap.participant) {
            if plan.transcribe.is_empty() {
                break;
            }
            let file = match fetched.get(&track.id) {
                Some(file) => file.clone(),
                None => {
                    let file = pass.fetch(track).await?;
                    fetched.entry(track.id).or_insert(file).clone()
                }
            };
            let mut sound = Sound::of(file, plan.transcribe.clone());
            let settings = &pass.known.meeting.settings;
            while let Some(heard) = sound.hear(pass.speech, settings, &gate, key).await? {
                progress.did(heard.length);
                found += store(pass, &heard, progress.share()).await?;
                finals.extend(heard.lines.iter().map(|line| line.span));
                undecoded.extend(heard.undecoded);
                length = Micros(length.0 + heard.length.0);
            }
        }
        let heard = Transcribed {
            undecoded,
            length,
            ..Transcribed::default()
        };
        close(pass, &gap, &plan, &heard).await?;
    }
    if found > 0 {
        info!(segments = found, "found words that nobody had heard");
    }
    Ok(())
}

/// The participant's tracks that are there.
fn tracks<'a>(
    pass: &'a Pass<'_>,
    participant: ParticipantId,
) -> impl Iterator<Item = (&'a Recording, &'a TrackKey)> {
    let tracks = pass.known.tracks();
    tracks.filter(move |(_, key)| key.participant == participant)
}

/// Stores what was found, as consent has it at this moment.
async fn store(pass: &Pass<'_>, heard: &Transcribed, progress: f32) -> anyhow::Result<usize> {
    let (meeting, tenant) = (pass.meeting, pass.tenant);
    let mut tx = pass.begin().await?;
    let gate = pass.gate(&mut tx).await?;
    let mut events = Vec::new();
    for line in &heard.lines {
        if gate.still::<Transcription>(&line.pass) != Verdict::Keep {
            debug!("words that were found are not allowed any more");
            continue;
        }
        let segment = segment(pass, line);
        capture::transcript(&mut tx, tenant, meeting, segment.language.as_deref(), false).await?;
        if capture::add_final(&mut tx, tenant, meeting, &segment).await? {
            events.push(event::append_final(&mut tx, meeting, segment.id).await?);
        }
    }
    let found = events.len();
    // Nothing comes of one whose final was not stored.
    for translation in &heard.translations {
        let stored = translate(&mut tx, meeting, &translation.told()).await?;
        events.extend(stored.events);
    }
    job::progress(&mut tx, pass.claimed.job.id, progress).await?;
    tx.commit().await?;
    published::publish(&pass.files.queue, None, meeting, events.into());
    Ok(found)
}

/// All of a gap was listened to: what is still missing stays told.
async fn close(
    pass: &Pass<'_>,
    gap: &unheard::Gap,
    plan: &Fill,
    heard: &Transcribed,
) -> anyhow::Result<()> {
    let mut left: Vec<(Span, TranscriptGapReason)> = heard
        .undecoded
        .iter()
        .map(|span| (*span, TranscriptGapReason::Undecoded))
        .collect();
    left.extend(
        plan.not_stored
            .iter()
            .map(|span| (*span, TranscriptGapReason::NotStored)),
    );
    if gap.why != TranscriptGapReason::Undecoded {
        // Whole, however long the sender took to find the next holder.
        let lost = tracks(pass, gap.participant).flat_map(|(track, _)| lost(track));
        let lost = lost.filter(|span| span.overlaps(gap.missing.span));
        left.extend(lost.map(|span| (span, TranscriptGapReason::Lost)));
    } else if heard.length.0 == 0 {
        let silent = intersect(&plan.transcribe, &[gap.missing.span]);
        left.extend(silent.into_iter().map(|span| (span, gap.why)));
    }
    let mut tx = pass.begin().await?;
    unheard::forget(&mut tx, pass.meeting, gap.id).await?;
    for (span, why) in left {
        let missing = Missing {
            span,
            search: span.start,
        };
        let (tenant, participant) = (pass.tenant, gap.participant);
        unheard::note(&mut tx, tenant, pass.meeting, participant, missing, why).await?;
    }
    tx.commit().await?;
    Ok(())
}

fn segment(pass: &Pass<'_>, line: &Line) -> FinalSegment {
    FinalSegment {
        id: line.segment,
        pass: line.pass,
        media_source: line.source,
        start_ms: line.span.start.as_ms(),
        end_ms: line.span.end.as_ms(),
        language: line.language.clone(),
        text: line.text.clone(),
        words: words(&line.words),
        revision: i32::try_from(line.revision).unwrap_or(i32::MAX),
        epoch: pass.epoch,
    }
}
/// What of a track was lost.
fn lost(track: &Recording) -> Vec<Span> {
    let gaps: Vec<Gap> = serde_json::from_value(track.file_gaps.clone()).unwrap_or_default();
    gaps.into_iter()
        .filter(|gap| gap.reason == GapReason::Lost)
        .map(|gap| gap.span())
        .collect()
}
