//! The second pass over an ended meeting's transcript, where `settings.refineModel` asks for it:
//! each track is decoded once more, without hurry, and its words are given to the segments that
//! there are (`domain/refine`). What a person edited stays, what was withdrawn never returns.
//! Written block by block, so a run that is cut off goes on where it was.

use super::{pass::Pass, transcribe::Sound};
use crate::{
    command::correct::{self, Correction},
    domain::{
        consent::Use,
        correction::TextSource,
        event::words,
        gate::{self, Gate, Transcription, Verdict},
        id::SegmentId,
        job::Progress,
        recording::{intersect, subtract},
        refine::{Decoded, Final, assign, blocks, spoken_before},
        schedule::Step,
        stream::MediaSource,
        time::{MeetingTime, Micros, Span, total},
        transcript::{Spoken, Word, text},
    },
    published,
    speech::offline::{Circumstances, Offline, Utterance},
    store::{
        Tx,
        capture::{self, FinalSegment},
        effect::Effects,
        event, job, new_id,
        recording::{Recording, TrackKey},
        refine,
    },
};
use std::{sync::Arc, time::Duration};
use tracing::info;

/// How often it is asked whether live speech has time to spare.
const LOOK: Duration = Duration::from_millis(500);

/// An utterance as it was decoded again.
struct Again {
    pass: gate::Pass,
    decoded: Decoded,
    language: Option<String>,
}

/// One track's way through the pass.
struct Way<'a> {
    track: &'a Recording,
    key: &'a TrackKey,
    finals: Vec<Final>,
    /// Decoded and not written yet, by time.
    pending: Vec<Again>,
    spoken: Spoken,
    progress: &'a mut Progress,
}

/// How much sound is left to decode.
pub(super) async fn left(pass: &Pass<'_>) -> anyhow::Result<Micros> {
    let mut tx = pass.files.store.worker_tx().await?;
    let gate = pass.gate(&mut tx).await?;
    let tracks = tracks(pass, &mut tx, &gate).await?;
    Ok(total(tracks.iter().flat_map(|(.., wanted)| wanted)))
}

/// The tracks, with what is left of each.
async fn tracks<'a>(
    pass: &'a Pass<'_>,
    tx: &mut Tx,
    gate: &Gate,
) -> anyhow::Result<Vec<(&'a Recording, &'a TrackKey, Vec<Span>)>> {
    let mut tracks = Vec::new();
    for (track, key) in pass.known.tracks() {
        let participant = key.participant;
        let done = refine::place(tx, pass.meeting, pass.claimed.job.id, track.id.0).await?;
        let spoken = gate.allowed(participant, Use::Transcription);
        let spoken = pass.known.may_be_transcribed(participant, &spoken);
        let file = span(track);
        let kept = intersect(
            &intersect(&spoken, &pass.known.stored(participant)),
            &[file],
        );
        let before = Span::new(MeetingTime(i64::MIN), done);
        tracks.push((track, key, subtract(&kept, &[before])));
    }
    Ok(tracks)
}

/// Refines every track, with the model that is given.
pub(super) async fn run(
    pass: &Pass<'_>,
    model: &mut Offline,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut tx = pass.files.store.worker_tx().await?;
    let gate = Arc::new(pass.gate(&mut tx).await?);
    let tracks = tracks(pass, &mut tx, &gate).await?;
    drop(tx);
    for (track, key, wanted) in tracks {
        let mut tx = pass.files.store.worker_tx().await?;
        let finals = refine::finals(&mut tx, pass.meeting, key.participant).await?;
        drop(tx);
        let is_alone = !is_one_of_two(pass, track, key);
        if !is_alone && finals.iter().any(|(_, source)| source.is_none()) {
            info!(track = %track.id, "not refined: nothing says which words were heard on it");
            progress.did(total(&wanted));
            continue;
        }
        let ours = |source: Option<MediaSource>| source.is_none_or(|source| source == key.source);
        let finals: Vec<Final> = finals
            .into_iter()
            .filter_map(|(one, source)| ours(source).then_some(one))
            .collect();
        let from = wanted.first().map_or(MeetingTime::ZERO, |span| span.start);
        let mut way = Way {
            track,
            key,
            spoken: spoken_before(&finals, from),
            finals,
            pending: Vec::new(),
            progress: &mut *progress,
        };
        refine_track(pass, model, &gate, &mut way, wanted).await?;
    }
    info!("the transcript was refined");
    Ok(())
}

async fn refine_track(
    pass: &Pass<'_>,
    model: &mut Offline,
    gate: &Arc<Gate>,
    way: &mut Way<'_>,
    wanted: Vec<Span>,
) -> anyhow::Result<()> {
    let file = pass.fetch(way.track).await?;
    let mut sound = Sound::of(file, wanted);
    let mut utterances = model.utterances(way.key.participant);
    while let Some(piece) = sound.next().await? {
        way.progress.did(piece.span.length());
        let (span, samples) = (piece.span, piece.samples);
        let participant = way.key.participant;
        let Ok(sound) = gate.admit::<Transcription, _>(participant, span.start, span, samples)
        else {
            continue;
        };
        for utterance in utterances.push(sound) {
            decode(pass, model, way, &utterance).await?;
        }
    }
    for utterance in utterances.finish() {
        decode(pass, model, way, &utterance).await?;
    }
    write(pass, way, MeetingTime::MAX).await
}

/// Decodes one utterance, after everything that is said now, and writes what lies before it.
async fn decode(
    pass: &Pass<'_>,
    model: &mut Offline,
    way: &mut Way<'_>,
    utterance: &Utterance,
) -> anyhow::Result<()> {
    let of = utterance.pass;
    write(pass, way, of.span.start).await?;
    while pass.speech.step() != Step::Normal {
        tokio::time::sleep(LOOK).await;
    }
    let settings = &pass.known.meeting.settings;
    let with = Circumstances {
        language: settings.language.clone(),
        languages: settings.languages.clone(),
        glossary: settings.glossary.clone(),
    };
    let heard = model.decode(utterance, &with, &mut way.spoken).await?;
    way.pending.push(Again {
        pass: of,
        decoded: Decoded {
            span: of.span,
            words: heard.words,
        },
        language: heard.language,
    });
    Ok(())
}

/// Writes the blocks that end before `until`: nothing that is decoded later reaches into them.
async fn write(pass: &Pass<'_>, way: &mut Way<'_>, until: MeetingTime) -> anyhow::Result<()> {
    let spans: Vec<Span> = way.pending.iter().map(|again| again.pass.span).collect();
    let closed: Vec<Span> = blocks(&way.finals, &spans)
        .into_iter()
        .filter(|block| block.end <= until && spans.iter().any(|span| span.overlaps(*block)))
        .collect();
    for block in closed {
        let (ours, later) = std::mem::take(&mut way.pending)
            .into_iter()
            .partition(|again: &Again| again.pass.span.overlaps(block));
        way.pending = later;
        let finals: Vec<Final> = way
            .finals
            .iter()
            .filter(|one| one.span.overlaps(block))
            .cloned()
            .collect();
        write_block(pass, way, block, &finals, ours).await?;
    }
    Ok(())
}

async fn write_block(
    pass: &Pass<'_>,
    way: &Way<'_>,
    block: Span,
    finals: &[Final],
    mut again: Vec<Again>,
) -> anyhow::Result<()> {
    let mut tx = pass.begin().await?;
    // Consent as it is at this moment.
    let gate = pass.gate(&mut tx).await?;
    again.retain(|again| gate.still::<Transcription>(&again.pass) == Verdict::Keep);
    let decoded: Vec<Decoded> = again.iter().map(|again| again.decoded.clone()).collect();
    let refined = assign(finals, &decoded);
    let language = |span: Span| {
        let of = again.iter().find(|again| again.pass.span.overlaps(span));
        of.and_then(|again| again.language.clone())
    };
    let corrections = refined.corrected.into_iter().map(|(segment, base, words)| {
        let span = finals.iter().find(|one| one.id == segment);
        Correction {
            segment,
            base,
            text: text(&words),
            words: Some(words),
            language: span.and_then(|one| language(one.span)),
        }
    });
    let corrections: Vec<Correction> = corrections.collect();
    let (_, mut effects) =
        correct::correct(&mut tx, pass.meeting, TextSource::Refine, None, corrections).await?;
    for (of, words) in &refined.new {
        effects.extend(add(pass, &mut tx, way.key.source, &again[*of], words).await?);
    }
    refine::set_place(
        &mut tx,
        pass.meeting,
        pass.claimed.job.id,
        way.track.id.0,
        block.end,
    )
    .await?;
    job::progress(&mut tx, pass.claimed.job.id, way.progress.share()).await?;
    tx.commit().await?;
    published::publish(&pass.files.queue, None, pass.meeting, effects);
    Ok(())
}

/// Stores what nobody heard while it was said.
async fn add(
    pass: &Pass<'_>,
    tx: &mut Tx,
    media_source: MediaSource,
    again: &Again,
    said: &[Word],
) -> anyhow::Result<Effects> {
    let Some((first, last)) = said.first().zip(said.last()) else {
        return Ok(Effects::default());
    };
    let segment = FinalSegment {
        id: SegmentId(new_id()),
        pass: again.pass,
        media_source,
        start_ms: first.span.start.as_ms(),
        end_ms: last.span.end.as_ms(),
        language: again.language.clone(),
        text: text(said),
        words: words(said),
        revision: 1,
        epoch: pass.epoch,
    };
    if !capture::add_final(tx, pass.tenant, pass.meeting, &segment).await? {
        return Ok(Effects::default());
    }
    Ok(event::append_final(tx, pass.meeting, segment.id)
        .await?
        .into())
}

fn span(track: &Recording) -> Span {
    let length = Micros::from_ms(track.duration_ms.unwrap_or(0));
    Span::of(MeetingTime::from_ms(track.start_ms), length)
}

/// Whether the same person had another track meanwhile: a microphone and a shared screen.
fn is_one_of_two(pass: &Pass<'_>, track: &Recording, key: &TrackKey) -> bool {
    pass.known.tracks().any(|(other, of)| {
        of.participant == key.participant
            && other.id != track.id
            && span(other).overlaps(span(track))
    })
}
