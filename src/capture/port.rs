//! Which port a stream gets, and what the store knows of ports that outlive their streams.
//!
//! A port is bound by this process while its stream lives and while it rests afterwards. What other
//! processes of the same node have, or a dead one had, stands in the store only; it is asked before
//! a port is taken.

use super::Rtp;
use crate::{
    domain::{id::MeetingId, source::Owner},
    ingest::{OpenError, Place, Rested},
    store::{Store, port, stream::Stream},
};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often ports are looked for that a dead process left.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often sources are forgotten that had their time.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Where a stream is received.
#[derive(Debug)]
pub struct Found {
    pub place: Place,
    /// From where others sent to it.
    pub foreign: BTreeSet<SocketAddr>,
}

/// A port for a stream: its own from before a restart if it can be had, else one that nobody sends
/// to. It stands in the store before anybody can be told of it.
pub async fn find(
    store: &Store,
    rtp: &Rtp,
    meeting: MeetingId,
    stream: &Stream,
) -> anyhow::Result<Found> {
    let place = choose(store, rtp, stream).await?;
    keep(store, rtp, meeting, stream, place).await
}

/// The port of a stream whose place this one takes, out of its rest; for when no other is free.
pub async fn reuse(
    store: &Store,
    rtp: &Rtp,
    meeting: MeetingId,
    stream: &Stream,
) -> anyhow::Result<Found> {
    for port in left(store, rtp, meeting, stream).await? {
        if let Ok(place) = rtp.ports.reuse(port).await {
            return keep(store, rtp, meeting, stream, place).await;
        }
    }
    Err(OpenError::NoPort {
        ip: rtp.ports.ip(),
        ports: rtp.ports.range().clone(),
    }
    .into())
}

/// Ports of streams whose place this one takes.
pub async fn left(
    store: &Store,
    rtp: &Rtp,
    meeting: MeetingId,
    stream: &Stream,
) -> anyhow::Result<Vec<u16>> {
    let mut tx = store.worker_tx().await?;
    let owned = port::owned(&mut tx, &rtp.public_ip, meeting).await?;
    tx.commit().await?;
    let next = Owner {
        participant: stream.participant,
        kind: stream.kind,
        source: stream.source,
    };
    let left = owned
        .into_iter()
        .filter(|(_, of, owner)| *of != stream.id && owner.makes_room_for(&next));
    Ok(left.map(|(port, _, _)| port).collect())
}

async fn choose(store: &Store, rtp: &Rtp, stream: &Stream) -> anyhow::Result<Place> {
    let node = rtp.public_ip.as_str();
    let mut tx = store.worker_tx().await?;
    let mut never = port::held(&mut tx, node, stream.id).await?;
    let known = port::foreign(&mut tx, node, stream.participant).await?;
    tx.commit().await?;
    if let Some(remote) = remote(stream).filter(|_| stream.srtp_suite.is_none()) {
        // Announced, it would be refused there.
        never.extend(
            known
                .iter()
                .filter(|(_, source)| *source == remote)
                .map(|(port, _)| port),
        );
    }
    let mut place = None;
    if let Some(own) = stream.port.filter(|own| !never.contains(own)) {
        match rtp.ports.again(own).await {
            Ok(again) => place = Some(again),
            Err(error) => {
                warn!(%error, "a stream gets another port than before")
            }
        }
    }
    let used = known.iter().map(|(port, _)| *port).collect();
    Ok(place.map_or_else(|| rtp.ports.take(&never, &used), Ok)?)
}

async fn keep(
    store: &Store,
    rtp: &Rtp,
    meeting: MeetingId,
    stream: &Stream,
    place: Place,
) -> anyhow::Result<Found> {
    let node = rtp.public_ip.as_str();
    let mut tx = store.worker_tx().await?;
    let known = port::foreign(&mut tx, node, stream.participant).await?;
    port::hold(&mut tx, meeting, stream.id, node, place.port).await?;
    tx.commit().await?;
    let strangers = place
        .strangers
        .iter()
        .copied()
        .filter(|from| remote(stream) != Some(*from));
    let foreign = known
        .into_iter()
        .filter(|(of, _)| *of == place.port)
        .map(|(_, source)| source);
    Ok(Found {
        foreign: foreign.chain(strangers).collect(),
        place,
    })
}

fn remote(stream: &Stream) -> Option<SocketAddr> {
    stream.remote.as_ref()?.parse().ok()
}

/// Whether the machine has no port, so that another try soon is no use; otherwise the store could
/// not be asked.
pub fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<OpenError>().is_some()
}

/// Keeps the store's list of ports true: those whose rest is over go, those that a dead process
/// left are drained here.
pub async fn run(
    store: Store,
    rtp: Rtp,
    mut rested: mpsc::Receiver<Rested>,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut forget = tokio::time::interval(FORGET_EVERY);
    forget.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return,
            Some(rested) = rested.recv() => release(&store, &rtp, &rested).await,
            _ = look.tick() => adopt(&store, &rtp).await,
            _ = forget.tick() => drop_old(&store).await,
        };
        if let Err(error) = done {
            // A port whose row stays is drained once more.
            debug!(%error, "the list of ports cannot be kept now");
        }
    }
}

async fn release(store: &Store, rtp: &Rtp, rested: &Rested) -> crate::store::Result<()> {
    let mut tx = store.worker_tx().await?;
    let senders: Vec<String> = rested.senders.iter().map(SocketAddr::to_string).collect();
    port::rested(&mut tx, &rtp.public_ip, rested.port, &senders).await?;
    Ok(tx.commit().await?)
}

async fn adopt(store: &Store, rtp: &Rtp) -> crate::store::Result<()> {
    let mut tx = store.worker_tx().await?;
    let left = port::left(&mut tx, &rtp.public_ip).await?;
    tx.commit().await?;
    for port in left
        .into_iter()
        .filter(|port| rtp.ports.range().contains(port))
    {
        // Bound by whoever lives, here or in another process: it is theirs to drain.
        if let Ok(place) = rtp.ports.bind(port) {
            place.rest(None);
        }
    }
    Ok(())
}

async fn drop_old(store: &Store) -> crate::store::Result<()> {
    let mut tx = store.worker_tx().await?;
    port::forget(&mut tx).await?;
    Ok(tx.commit().await?)
}
