//! How a meeting stops being live here, in a written order: streams closed → open utterances
//! finalised → segments sealed → uploaded → rows committed → participants' sockets closed → job
//! settled. Every step has a bound; what is not through by then is in the spool, and `recover`
//! finds it.

use super::{LoopEnd, RunningMeeting};
use crate::{
    capture::{
        read, recorder_events,
        unheard::{self, Unheard},
    },
    command,
    domain::{
        close_code::{Close, Whom},
        consent::Use,
        event::{Event, RecordingReport},
        limits::FINALS_AFTER_END,
        recording_state::{RecordingState, StateReason},
        stream::CloseReason,
        time::MeetingTime,
    },
    media::live::{segment, spool},
    published,
    queue::JobKind,
    speech::Caption,
    store::{
        StoreError, capture,
        effect::Effects,
        event, job, lease, recording, refine,
        spool::{self as spools, Folder},
    },
    worker::{Claimed, Outcome},
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{info, warn};

/// Reading the log a last time.
const LAST_LOOK_MAX: Duration = Duration::from_secs(1);
/// From the end to the last words of a meeting whose sound waits for the decoder.
const LAST_WORDS_MAX: Duration = Duration::from_secs(300);
/// From the end to the last translation. Whoever waits for the meeting's files waits for it, too.
const TRANSLATIONS_MAX: Duration = Duration::from_secs(5);
/// How often it is asked whether all sound of closed streams is decoded.
const ENDING_POLL: Duration = Duration::from_millis(20);
/// Sealing and storing of what is left.
const UPLOADS_MAX: Duration = Duration::from_secs(30);
/// Committing what is left.
const COMMITS_MAX: Duration = Duration::from_secs(10);
/// The same steps of a meeting that another worker shall go on with: nobody hears it until it is
/// handed over, so what takes longer stays in the spool, and its words are found again after the
/// end.
const HANDOVER_MAX: Duration = Duration::from_secs(1);

/// What still comes out of the meeting's threads.
pub struct Outputs {
    pub spool_events: mpsc::Receiver<spool::SpoolEvent>,
    pub captions: mpsc::Receiver<Caption>,
}

/// Closes the meeting here.
pub async fn close(
    mut running: RunningMeeting,
    claimed: Claimed,
    over: LoopEnd,
    mut outputs: Outputs,
) -> anyhow::Result<Outcome> {
    let meeting = running.meeting;
    if over == LoopEnd::Lost {
        // Somebody else has it: nothing more is written or told; the spool is `recover`'s.
        running.lost.cancel();
        info!("the meeting runs elsewhere now");
        return Ok(Outcome::Settled);
    }
    let ended = Instant::now();
    last_look(&mut running).await;
    let (speakers, until) = (running.tracks.heard_of(), running.clock.now());
    if over == LoopEnd::Released {
        running.tracks.hand_over();
    }
    for stream in running.tracks.ids() {
        let tracks = &mut running.tracks;
        tracks.close(stream, CloseReason::Request, until, &running.commits);
    }
    let all = utter(&mut running, &mut outputs, &claimed, over, ended).await;
    let mut missing = running.tracks.take_lost();
    if !all {
        missing.extend(speakers.into_iter().map(|participant| Unheard {
            participant,
            from: None,
            until,
        }));
    }
    let start = running.clock.to_wall(MeetingTime::ZERO);
    let RunningMeeting {
        deps,
        holder,
        rules,
        tracks,
        commits,
        uploads,
        lost,
        ..
    } = running;
    let (uploads_max, commits_max) = if over == LoopEnd::Released {
        (HANDOVER_MAX, HANDOVER_MAX)
    } else {
        (UPLOADS_MAX, COMMITS_MAX)
    };
    let over_guard = tracks.finish();
    let sealed = tokio::time::timeout(uploads_max, async {
        while let Some(event) = outputs.spool_events.recv().await {
            recorder_events::take(&uploads, &commits, event);
        }
        uploads.drain(uploads_max).await
    });
    let finals = async {
        let committed = commits.flush(commits_max).await;
        if matches!(over, LoopEnd::Ended { .. }) && committed {
            published::publish(&deps.queue, None, meeting, let_go());
        }
    };
    let (sealed, ()) = tokio::join!(sealed, finals);
    drop(over_guard);
    let stored = sealed.unwrap_or(false);
    let committed = commits.flush(commits_max).await;
    if lost.is_cancelled() {
        return Ok(Outcome::Settled);
    }
    // What is in storage needs no spool; a withdrawal from now on acts on what is not recorded any
    // more. What is not is taken up by `recover` once the folder is given up, which is when the end
    // is written.
    let _owned = uploads.close().await;
    let (folder, epoch) = (holder.spool.clone(), holder.epoch);
    let left =
        tokio::task::spawn_blocking(move || segment::leftovers(&folder, meeting, epoch)).await?;
    // When it cannot be read, something may be there.
    let spooled = left.map_or(1, |left| left.len());
    if spooled > 0 {
        warn!(
            segments = spooled,
            stored, committed, "not everything could be stored; the rest waits in the spool"
        );
    }
    if over == LoopEnd::Released {
        return Ok(Outcome::Release);
    }

    let [recorded, transcribed] =
        [Use::Recording, Use::Transcription].map(|purpose| rules.gate().uses(purpose));
    let done = async {
        let mut tx = deps.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        lease::fence(&mut tx, meeting, holder.owner, holder.epoch).await?;
        // Before the job that makes the files is there, so that it waits for them.
        capture::note_spooled(&mut tx, meeting, holder.epoch, spooled).await?;
        let folder = Folder {
            meeting,
            epoch: holder.epoch,
        };
        spools::note(&mut tx, deps.spool_id, holder.tenant, folder, Some(spooled)).await?;
        if over == (LoopEnd::Ended { stored: false }) {
            capture::end(&mut tx, meeting).await?;
        }
        let mut effects = command::end::dismiss(&mut tx, meeting).await?;
        effects.extend(let_go());
        recording::close_all(&mut tx, meeting).await?;
        let tracks = recording::of_meeting(&mut tx, meeting).await?;
        let missing = transcribed && unheard::note(&mut tx, &holder, start, &missing).await?;
        // Words are looked for again in what was recorded.
        capture::transcript(&mut tx, holder.tenant, meeting, None, !missing).await?;
        let refined = transcribed && refine::ask(&mut tx, meeting).await?;
        let files = recorded && !tracks.is_empty();
        let (state, reason) = if files {
            (RecordingState::Finalising, None)
        } else {
            (RecordingState::Off, Some(StateReason::NothingRecorded))
        };
        let state = Event::RecordingState(RecordingReport::idle(state, reason, holder.epoch));
        effects
            .events
            .push(event::append(&mut tx, meeting, &state).await?);
        // Behind joined tracks comes the transcript.
        let kind = match (files, missing || refined) {
            (true, _) => Some(JobKind::Join),
            (false, true) => Some(JobKind::Transcript),
            (false, false) => None,
        };
        if let Some(kind) = kind {
            let job = job::ensure(&mut tx, holder.tenant, kind, meeting, &json!({})).await?;
            effects.jobs.push((kind, job));
        }
        job::finish(&mut tx, claimed.job.id, claimed.owner, claimed.job.epoch).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(effects)
    };
    let effects = match tokio::time::timeout(COMMITS_MAX, done).await {
        Ok(Ok(done)) => done,
        Ok(Err(StoreError::Fenced)) => return Ok(Outcome::Settled),
        // The lease runs out, and whoever takes it over finds the meeting ended, or without anybody
        // in it.
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => anyhow::bail!("the database did not answer while the meeting was closed"),
    };
    published::publish(&deps.queue, None, meeting, effects);
    info!("the meeting is over");
    Ok(Outcome::Settled)
}

/// Participants' sockets are closed, with what was told before.
fn let_go() -> Effects {
    Effects::close(Close::Ended, Whom::Participants)
}

/// Nobody reads the log for this meeting after this, so a withdrawal of the last moment must be
/// known now: it counts in the last words and in the last segments.
async fn last_look(running: &mut RunningMeeting) {
    let start = running.clock.to_wall(MeetingTime::ZERO);
    let read = read::read(
        &running.deps.store,
        running.meeting,
        running.applied(),
        start,
    );
    let Ok(Ok(read)) = tokio::time::timeout(LAST_LOOK_MAX, read).await else {
        return;
    };
    let now = running.clock.now();
    for entry in &read.consent {
        running.rules.gate().apply(entry, now);
    }
    running.tracks.recheck(None);
    if let Some(speech) = &running.speech {
        speech.withdrawn();
    }
    running.uploads.recheck();
}

/// Lets everybody who is in the middle of a sentence be heard out. Participants are let go in time;
/// on a machine that is behind, the last words still come to observers and into the transcript.
/// Answers whether all of them did.
async fn utter(
    running: &mut RunningMeeting,
    outputs: &mut Outputs,
    claimed: &Claimed,
    over: LoopEnd,
    ended: Instant,
) -> bool {
    let (queue, meeting, lost) = (
        running.deps.queue.clone(),
        running.meeting,
        running.lost.clone(),
    );
    let (patience, translating) = match over {
        LoopEnd::Released => (HANDOVER_MAX, Duration::ZERO),
        _ => (
            Duration::from_micros((FINALS_AFTER_END.0 - 1_000_000).unsigned_abs()),
            TRANSLATIONS_MAX,
        ),
    };
    let leave_by = ended + patience;
    let all = {
        let hearing = finish_captions(running, outputs, ended + translating);
        tokio::pin!(hearing);
        let mut all = timeout_at(leave_by, &mut hearing).await.is_ok();
        if !all && matches!(over, LoopEnd::Ended { .. }) {
            published::publish(&queue, None, meeting, let_go());
            all = tokio::select! {
                () = &mut hearing => true,
                // The process ends, or somebody else has the meeting.
                () = claimed.stop.cancelled() => false,
                () = lost.cancelled() => false,
                () = sleep_until(ended + LAST_WORDS_MAX) => false,
            };
        }
        all
    };
    if !all && over != LoopEnd::Released {
        warn!(
            "the last words are not in the transcript: speech was too far behind. Give this worker fewer meetings \
             (--capacity) or a smaller model"
        );
    }
    while let Ok(caption) = outputs.captions.try_recv() {
        running.caption(caption);
    }
    all
}

/// Until everything that was said is in the channel.
async fn finish_captions(
    running: &mut RunningMeeting,
    outputs: &mut Outputs,
    translated_by: Instant,
) {
    // First the sound that is still being decoded to PCM.
    while running.tracks.is_ending() {
        tokio::select! {
            Some(caption) = outputs.captions.recv() => running.caption(caption),
            Some(event) = outputs.spool_events.recv() => running.spool_event(event),
            () = sleep(ENDING_POLL) => {}
        }
    }
    let Some(speech) = running.speech.take() else {
        return;
    };
    let finish = speech.finish(Some(translated_by.into_std()));
    tokio::pin!(finish);
    loop {
        tokio::select! {
            () = &mut finish => break,
            Some(caption) = outputs.captions.recv() => running.caption(caption),
            Some(event) = outputs.spool_events.recv() => running.spool_event(event),
        }
    }
}
