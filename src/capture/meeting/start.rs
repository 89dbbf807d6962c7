//! From a claim to the first turn of the loop.

use super::{
    Inputs, RunningMeeting,
    closing::Outputs,
    outside::{Outside, OutsideEvent},
};
use crate::{
    capture::{
        Deps,
        commit::{self, Holder},
        entry, journal, port, read,
        track::Tracks,
        upload,
    },
    domain::{
        log_reader::LogReader,
        meeting::Meeting,
        stream::{CloseReason, StreamState, Transport},
        time::MeetingTime,
    },
    queue::{
        Responder,
        message::{Ask, Reply},
    },
    store::{
        capture::Loaded,
        spool::{self, Folder},
    },
    worker::{Claimed, Outcome},
};
use anyhow::Context;
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span};

/// Packets that may wait for the loop: two seconds of forty voices.
const ARRIVALS_MAX: usize = 4096;
/// Offers of peers that may wait to be told; one that finds no room is made again.
const NOTICES_MAX: usize = 256;
/// Answers that may wait; each belongs to an ask or a poll.
const FACTS_MAX: usize = 256;

pub(super) async fn attempt(deps: &Arc<Deps>, claimed: Claimed) -> anyhow::Result<Outcome> {
    let meeting = claimed.meeting()?;
    deps.store
        .sync_clock(&deps.clock, 5)
        .await
        .context("reading Postgres's clock")?;
    let mut outside = Outside {
        claimed,
        serving: deps.queue.serve(meeting).await,
        watched: deps.head_watch.watch(meeting),
    };
    let Some(loaded) = read::load(&deps.store, meeting).await? else {
        return Ok(Outcome::Done);
    };
    let mut waiting = None;
    let start = match wait_for_start(deps, &mut outside, &mut waiting).await? {
        Ok(start) => start,
        Err(outcome) => return Ok(outcome),
    };
    // Loaded before time 0 was known; streams may have been asked for since.
    let loaded = read::load(&deps.store, meeting).await?.unwrap_or(loaded);
    let now = deps.clock.meeting(start).now();
    let settings = loaded.settings.clone();
    let (running, inputs, outputs) = RunningMeeting::begin(
        deps.clone(),
        &outside.claimed,
        loaded,
        Meeting::new(settings, now),
        start,
    )
    .await?;
    running.run(outside, inputs, outputs, waiting).await
}

/// Nobody was present yet: a stream is about to be asked for. Its ask brings the first participant,
/// and with it time 0; it is left in `waiting`. `Err`: the meeting does not begin here.
async fn wait_for_start(
    deps: &Deps,
    outside: &mut Outside,
    waiting: &mut Option<(Ask, Responder)>,
) -> anyhow::Result<Result<DateTime<Utc>, Outcome>> {
    let meeting = outside.claimed.meeting()?;
    loop {
        if let Some(start) = read::start_time(&deps.store, meeting).await? {
            return Ok(Ok(start));
        }
        if outside.watched.has_ended() {
            return Ok(Err(Outcome::Done));
        }
        match outside.next().await {
            OutsideEvent::Stop | OutsideEvent::Unserved => return Ok(Err(Outcome::Release)),
            OutsideEvent::LeaseLost => return Ok(Err(Outcome::Settled)),
            OutsideEvent::Head(_) => {}
            OutsideEvent::Ask(Ask::OpenStream { stream }, responder) => {
                match entry::admit(&deps.store, &deps.queue, meeting, stream).await {
                    Ok(_) => *waiting = Some((Ask::OpenStream { stream }, responder)),
                    Err(reply) => responder.reply(reply),
                }
            }
            OutsideEvent::Ask(_, responder) => responder.reply(Reply::Done),
        }
    }
}

impl RunningMeeting {
    async fn begin(
        deps: Arc<Deps>,
        claimed: &Claimed,
        loaded: Loaded,
        rules: Meeting,
        start: DateTime<Utc>,
    ) -> anyhow::Result<(Self, Inputs, Outputs)> {
        let meeting = claimed.meeting()?;
        let clock = deps.clock.meeting(start);
        let lost = CancellationToken::new();
        let holder = Holder {
            tenant: loaded.tenant,
            meeting,
            owner: claimed.owner,
            epoch: claimed.job.epoch,
            spool: deps.spool.clone(),
        };
        let (facts_tx, facts) = mpsc::channel(FACTS_MAX);
        let commits = commit::start(
            deps.store.clone(),
            deps.queue.clone(),
            rules.gate().clone(),
            holder.clone(),
            facts_tx.clone(),
            lost.clone(),
        );
        let owned = Arc::new(deps.disk.own(meeting, holder.epoch));
        // Before anything lies there: who looks for this meeting's sound knows where it may be.
        let folder = Folder {
            meeting,
            epoch: holder.epoch,
        };
        let mut tx = deps.store.worker_tx().await?;
        spool::note(&mut tx, deps.spool_id, holder.tenant, folder, None).await?;
        tx.commit().await?;
        let uploads = upload::start(
            deps.uploader.clone(),
            rules.gate().clone(),
            commits.clone(),
            holder.clone(),
            owned.clone(),
            lost.clone(),
        );
        let (speech, captions) = deps.speech.meeting(rules.gate().clone());
        let (to_loop, arrivals) = mpsc::channel(ARRIVALS_MAX);
        let (to_notices, notices) = mpsc::channel(NOTICES_MAX);
        let (tracks, spool_events) = Tracks::new(
            deps.clone(),
            holder.clone(),
            rules.gate().clone(),
            owned,
            to_loop,
            &loaded,
            speech.ticker(),
        )?;
        let mut running = Self {
            deps,
            meeting,
            holder,
            clock,
            rules,
            tracks,
            commits,
            uploads,
            speech: Some(speech),
            settings: loaded.settings,
            names: BTreeMap::new(),
            peers: BTreeMap::new(),
            notices: to_notices,
            attempts: 0,
            lost,
            facts: facts_tx,
            withdrawals: BTreeSet::new(),
            reader: LogReader::default(),
            ticked: MeetingTime::ZERO,
        };
        // What was withdrawn while Postgres was away comes before anything that Postgres says.
        let spool = running.deps.spool.clone();
        for withdrawal in
            tokio::task::spawn_blocking(move || journal::read(&spool, meeting)).await??
        {
            running.withdrawn(&withdrawal);
        }
        let first = read::read(&running.deps.store, meeting, 0, start).await?;
        running.read(Some(first));
        running.ask_again(&loaded.streams);
        for stream in loaded.streams.into_iter().filter(|stream| {
            stream.state == StreamState::Open && stream.transport == Transport::Rtp
        }) {
            let deps = running.deps.clone();
            let finding = port::find(&deps.store, &deps.rtp, meeting, &stream);
            match finding
                .instrument(info_span!("stream", id = %stream.id))
                .await
            {
                Ok(found) => running.open(stream, found, None),
                Err(error) if port::is_final(&error) => {
                    running.refuse(
                        &stream,
                        None,
                        CloseReason::Unavailable,
                        format!("{error:#}"),
                    );
                }
                Err(error) => {
                    return Err(error.context("finding the ports of the meeting's streams"));
                }
            }
        }
        info!("capture started");
        Ok((
            running,
            Inputs {
                arrivals,
                notices,
                facts,
            },
            Outputs {
                spool_events,
                captions,
            },
        ))
    }
}
