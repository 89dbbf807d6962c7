//! Words that nobody heard while they were said, found again in the finished tracks: the same way
//! through speech, the same consent, after everything that is said now. What cannot be found stays
//! told as missing.

use crate::{
    domain::{
        consent::Use,
        event::words,
        gate::{Gate, Transcription, Verdict},
        hold::{Person, held},
        id::{MeetingId, ParticipantId, StreamId, TenantId},
        meeting::{ConsentPolicy, MeetingSettings},
        recording::{CONCEAL_MAX, subtract},
        time::{MeetingTime, Micros, Span},
        transcript::Reason,
        unheard::{Missing, Why, searched},
    },
    media::{containers::matroska::Reader, decode::Decoder, frame::Pcm},
    published,
    queue::Queue,
    speech::{Caption, Line, Speech, StreamOptions},
    store::{
        Store, Tx, attendance,
        capture::{self, FinalSegment, Loaded},
        consent, event, new_id, unheard,
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info};

/// What speech wants.
const RATE: u32 = 16_000;
/// Sound is given in pieces of this length: hardly a message a second.
const PIECE: Micros = Micros::from_ms(500);
/// From piece to piece, so that whoever speaks now is not kept waiting by the past.
const PACE: Duration = Duration::from_millis(2);
/// The longest that a meeting's missing words hold its files up.
const FILL_MAX: Duration = Duration::from_secs(180);

/// A finished track to look in.
pub struct Track {
    pub participant: ParticipantId,
    pub path: PathBuf,
    /// The file's time 0.
    pub zero: MeetingTime,
    /// What of it was lost.
    pub lost: Vec<Span>,
}

/// What the search uses.
#[derive(Clone)]
pub struct Words {
    pub store: Store,
    pub queue: Queue,
    pub speech: Speech,
}

/// One meeting's search.
struct Search<'a> {
    words: &'a Words,
    meeting: MeetingId,
    tenant: TenantId,
    start: DateTime<Utc>,
    epoch: i64,
    settings: &'a MeetingSettings,
    by: Instant,
}

/// What came of looking once.
#[derive(Default)]
struct Found {
    lines: Vec<Line>,
    /// Heard and not understood.
    undecoded: Vec<Span>,
    /// There was sound to hear.
    sound: bool,
    late: bool,
}

impl Words {
    /// Looks for every word that is missing and stores what it finds. Runs again with the same
    /// outcome: what was found is stored in the transaction that forgets that it was missing.
    pub async fn find(
        &self,
        meeting: MeetingId,
        tenant: TenantId,
        loaded: &Loaded,
        tracks: &[Track],
    ) -> anyhow::Result<()> {
        let mut tx = self.store.worker_tx().await?;
        let gaps = unheard::of_meeting(&mut tx, meeting).await?;
        let (Some(start), false) = (loaded.start_time, gaps.is_empty()) else {
            return Ok(());
        };
        let mut finals = unheard::finals(&mut tx, meeting).await?;
        let epoch = unheard::holdings(&mut tx, meeting)
            .await?
            .last()
            .map_or(1, |(epoch, ..)| *epoch);
        let search = Search {
            words: self,
            meeting,
            tenant,
            start,
            epoch,
            settings: &loaded.settings,
            by: Instant::now() + FILL_MAX,
        };
        let gate = Arc::new(search.gate(&mut tx).await?);
        drop(tx);
        let mut found = 0;
        for gap in gaps {
            let of: Vec<&Track> = tracks
                .iter()
                .filter(|track| track.participant == gap.participant)
                .collect();
            // Of who agreed to be recorded as well, a track would be here if there had been
            // anything to hear.
            let agreed = gate.allowed(gap.participant, Use::Recording);
            if of.is_empty() && !subtract(&[gap.missing.span], &agreed).is_empty() {
                continue;
            }
            let finals = finals.entry(gap.participant).or_default();
            let span = Span::new(
                gap.missing.search.min(gap.missing.span.start),
                gap.missing.span.end,
            );
            let wanted = searched(
                span,
                &gate.allowed(gap.participant, Use::Transcription),
                finals,
            );
            let mut heard = Found::default();
            for track in &of {
                let (path, zero, wanted) = (track.path.clone(), track.zero, wanted.clone());
                let pcm =
                    tokio::task::spawn_blocking(move || sound(&path, zero, &wanted)).await??;
                search.hear(&gate, gap.participant, pcm, &mut heard).await;
            }
            finals.extend(heard.lines.iter().map(|line| line.span));
            found += heard.lines.len();
            let lost: Vec<Span> = of
                .iter()
                .flat_map(|track| track.lost.iter().copied())
                .collect();
            search.store(gap, &heard, &lost).await?;
        }
        if found > 0 {
            info!(segments = found, "found words that nobody had heard");
        }
        Ok(())
    }
}

/// When everybody was present, and when it agreed.
pub(super) fn people(
    visits: &[attendance::Visit],
    start: DateTime<Utc>,
    gate: &Gate,
    purpose: Use,
) -> Vec<Person> {
    let on = |time: DateTime<Utc>| MeetingTime((time - start).num_microseconds().unwrap_or(0));
    let mut present: BTreeMap<ParticipantId, Vec<Span>> = BTreeMap::new();
    for visit in visits {
        let span = Span::new(
            on(visit.joined_at),
            visit.left_at.map_or(MeetingTime::MAX, on),
        );
        present.entry(visit.participant).or_default().push(span);
    }
    present
        .into_iter()
        .map(|(participant, present)| (present, gate.allowed(participant, purpose)))
        .collect()
}

impl Search<'_> {
    /// The meeting's gate as the log has it now, with what the policy held.
    async fn gate(&self, tx: &mut Tx) -> anyhow::Result<Gate> {
        let log = consent::whole(tx, self.meeting).await?;
        let gate = consent::replayed(&log, self.start);
        if self.settings.consent_policy != ConsentPolicy::All {
            return Ok(gate);
        }
        let visits = attendance::of_meeting(tx, self.meeting).await?;
        for span in held(&people(&visits, self.start, &gate, Use::Transcription)) {
            gate.hold(Use::Transcription, span.start);
            gate.release(Use::Transcription, span.end);
        }
        Ok(gate)
    }

    /// Gives sound to speech and takes what it says of it.
    async fn hear(
        &self,
        gate: &Arc<Gate>,
        participant: ParticipantId,
        pcm: Vec<Pcm>,
        found: &mut Found,
    ) {
        if pcm.is_empty() {
            return;
        }
        found.sound = true;
        let speech = &self.words.speech;
        let (room, mut captions) = speech.meeting(gate.clone());
        let options = StreamOptions {
            participant,
            stream: StreamId(new_id()),
            language: self.settings.language.clone(),
            glossary: self.settings.glossary.clone(),
            late: true,
        };
        let stream = room.open(options);
        for Pcm { samples, span } in pcm {
            while !speech.has_room() && Instant::now() < self.by {
                sleep(PACE).await;
            }
            // What may not be transcribed is not even given to it.
            if let Ok(sound) =
                gate.admit::<Transcription, _>(participant, span.start, span, samples)
                && !stream.push(sound, span.start)
            {
                found.undecoded.push(span);
            }
            while let Ok(caption) = captions.try_recv() {
                found.take(caption);
            }
            sleep(PACE).await;
        }
        stream.close();
        let finish = room.finish();
        tokio::pin!(finish);
        let done = timeout_at(self.by, async {
            loop {
                tokio::select! {
                    () = &mut finish => break,
                    Some(caption) = captions.recv() => found.take(caption),
                }
            }
        });
        found.late |= done.await.is_err();
        while let Ok(caption) = captions.try_recv() {
            found.take(caption);
        }
    }

    /// Stores what was found in the place of what was missing, as consent has it at this moment.
    async fn store(&self, gap: unheard::Gap, found: &Found, lost: &[Span]) -> anyhow::Result<()> {
        let (meeting, tenant) = (self.meeting, self.tenant);
        let mut tx = self.words.store.worker_tx().await?;
        event::lock(&mut tx, meeting).await?;
        if !unheard::forget(&mut tx, meeting, gap.id).await? {
            // Another run of this job was here.
            return Ok(());
        }
        let gate = self.gate(&mut tx).await?;
        let mut events = Vec::new();
        for line in &found.lines {
            if gate.still::<Transcription>(&line.pass) != Verdict::Keep {
                debug!("words that were found are not allowed any more");
                continue;
            }
            let segment = self.segment(line);
            capture::transcript(&mut tx, tenant, meeting, segment.language.as_deref(), false)
                .await?;
            if capture::add_final(&mut tx, tenant, meeting, &segment).await? {
                events.push(event::append_final(&mut tx, meeting, segment.id).await?);
            }
        }
        let mut left: Vec<(Span, Why)> = found
            .undecoded
            .iter()
            .map(|span| (*span, Why::Undecoded))
            .collect();
        if found.late {
            // There was no time for the rest.
            let found: Vec<Span> = found.lines.iter().map(|line| line.span).collect();
            left.extend(
                subtract(&[gap.missing.span], &found)
                    .into_iter()
                    .map(|span| (span, Why::Undecoded)),
            );
        } else if gap.why != Why::Undecoded {
            // Whole, however long the sender took to find the next holder.
            let lost = lost.iter().filter(|span| span.overlaps(gap.missing.span));
            left.extend(lost.map(|span| (*span, Why::Lost)));
        } else if !found.sound {
            left.push((gap.missing.span, gap.why));
        }
        for (span, why) in left {
            let missing = Missing {
                span,
                search: span.start,
            };
            unheard::note(&mut tx, tenant, meeting, gap.participant, missing, why).await?;
        }
        tx.commit().await?;
        published::publish(&self.words.queue, None, meeting, events.into());
        Ok(())
    }

    fn segment(&self, line: &Line) -> FinalSegment {
        FinalSegment {
            id: line.segment,
            pass: line.pass,
            start_ms: line.span.start.as_ms(),
            end_ms: line.span.end.as_ms(),
            language: line.language.clone(),
            text: line.text.clone(),
            words: words(&line.words),
            revision: i32::try_from(line.revision).unwrap_or(i32::MAX),
            epoch: self.epoch,
        }
    }
}

impl Found {
    fn take(&mut self, caption: Caption) {
        match caption {
            Caption::Final(line) => self.lines.push(line),
            Caption::Retracted(retraction) if retraction.reason == Reason::Lost => {
                self.undecoded.push(retraction.span)
            }
            Caption::Partial(_) | Caption::Retracted(_) => {}
        }
    }
}

/// What a track sounds like in these spans, sorted and apart.
fn sound(path: &Path, zero: MeetingTime, wanted: &[Span]) -> anyhow::Result<Vec<Pcm>> {
    let mut pieces: Vec<Pcm> = Vec::new();
    if wanted.is_empty() {
        return Ok(pieces);
    }
    let Some(mut reader) = Reader::open(path, zero)? else {
        return Ok(pieces);
    };
    let mut decoder = Decoder::new(reader.codec(), RATE)?;
    let mut join = |pcm: Pcm| match pieces.last_mut() {
        Some(last)
            if (pcm.span.start - last.span.end).0.abs() < 1_000 && last.span.length() < PIECE =>
        {
            last.span.end = pcm.span.end;
            last.samples.extend(pcm.samples);
        }
        _ => pieces.push(pcm),
    };
    while let Some(frame) = reader.read()? {
        let next = wanted.partition_point(|span| span.end < frame.span.end);
        if wanted
            .get(next)
            .is_none_or(|span| span.start > frame.span.start)
        {
            continue;
        }
        if let Some(end) = decoder.end() {
            let hole = Span::new(end, frame.span.start);
            if !hole.is_empty() && hole.length() <= CONCEAL_MAX {
                decoder.lost(hole, &mut join)?;
            }
        }
        if let Err(error) = decoder.push(&frame, &mut join) {
            // One packet that no decoder takes is no reason to give the others up.
            debug!(error = format!("{error:#}"), "a packet cannot be decoded");
        }
    }
    decoder.flush(&mut join)?;
    Ok(pieces)
}
