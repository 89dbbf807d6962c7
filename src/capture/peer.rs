//! What an offer asks for beside a meeting's loop: whether its participant may have streams, their
//! rows, and the answer. All of it has one time limit.

use super::Deps;
use crate::{
    command::{Refused, join::enter as come_in, open_stream},
    domain::{
        admission::EntryBy,
        id::{MeetingId, ParticipantId, StreamId, TenantId},
        negotiation::{Description, Sent},
        refusal::RefusalCode,
        stream::{MediaKind, Transport},
    },
    ingest::{
        Peer,
        webrtc::{Answer, Refused as OfferRefused},
    },
    published,
    queue::message::Reply,
    store::{
        StoreError,
        effect::Effects,
        event, meeting, new_id,
        requested_stream::RequestedStream,
        stream::{self, Stream},
    },
};
use std::time::Duration;
use tracing::{debug, warn};
use uuid::Uuid;

/// Its asker gives up after 2 s.
const NEGOTIATION_MAX: Duration = Duration::from_millis(1_500);

/// A participant's offer, read.
pub struct Offered {
    pub participant: ParticipantId,
    /// Its number among the meeting's.
    pub attempt: u64,
    pub description: Description,
    /// Where it came by WHIP.
    pub whip: Option<WhipSession>,
    /// What its sections send.
    pub sent: Vec<Sent>,
    /// Those of it that are to begin.
    pub begins: Vec<Sent>,
}

/// A session of a peer connection that came by WHIP.
#[derive(Clone, Debug)]
pub struct WhipSession {
    pub id: Uuid,
    /// The offer as it was taken.
    pub offer: String,
    /// [`whip::ice_name`](crate::domain::whip::ice_name) of the answer.
    pub name: Option<String>,
}

/// What came of an offer.
pub struct Negotiated {
    pub sdp: String,
    /// The new streams by the `mid` of their sections, each with its row.
    pub streams: Vec<(String, Stream)>,
}

/// Answers an offer, and makes rows for the streams that it begins.
pub async fn negotiate(
    deps: &Deps,
    (tenant, meeting): (TenantId, MeetingId),
    participant: ParticipantId,
    peer: &Peer,
    sdp: String,
    begins: &[Sent],
) -> Result<Negotiated, Reply> {
    let negotiating = async {
        let answer = peer.offer(sdp).await.map_err(|why| told(&why))?;
        let rows = rows(tenant, meeting, participant, &answer, begins)?;
        let made = make(deps, meeting, participant, &rows).await;
        let (live, effects) = made.map_err(refused)?;
        published::publish(&deps.queue, None, meeting, effects);
        let streams = begins.iter().zip(&rows).filter_map(|(sent, row)| {
            let made = live.iter().find(|stream| stream.id == row.id)?;
            Some((sent.mid.clone(), made.clone()))
        });
        Ok(Negotiated {
            streams: streams.collect(),
            sdp: answer.sdp,
        })
    };
    tokio::time::timeout(NEGOTIATION_MAX, negotiating)
        .await
        .unwrap_or_else(|_| {
            Err(Reply::refuse(
                RefusalCode::Unavailable,
                "it took too long; offer again",
            ))
        })
}

/// What is said to an answer to an offer of ours.
pub async fn answered(peer: &Peer, id: String, sdp: String) -> Reply {
    let taking = peer.answer(id, sdp);
    match tokio::time::timeout(NEGOTIATION_MAX, taking).await {
        Ok(Ok(())) => Reply::Done,
        Ok(Err(why)) => told(&why),
        Err(_) => Reply::refuse(
            RefusalCode::Unavailable,
            "it took too long; the offer is made again",
        ),
    }
}

fn told(why: &OfferRefused) -> Reply {
    let code = match why {
        OfferRefused::Description(_) => RefusalCode::Invalid,
        OfferRefused::Glare => RefusalCode::Glare,
        OfferRefused::Stale => RefusalCode::StaleOffer,
        OfferRefused::Over => {
            return Reply::refuse(
                RefusalCode::Failed,
                "the peer connection failed; make a new one",
            );
        }
    };
    Reply::refuse(code, why.to_string())
}

fn rows(
    tenant: TenantId,
    meeting: MeetingId,
    participant: ParticipantId,
    answer: &Answer,
    begins: &[Sent],
) -> Result<Vec<RequestedStream>, Reply> {
    let row = |sent: &Sent| {
        let taken = answer.codecs.get(&sent.mid);
        let (codec, payload_type) = *taken.ok_or_else(|| {
            let taken = match sent.kind {
                MediaKind::Audio => "sound is taken as Opus (opus/48000/2)",
                MediaKind::Video => "pictures are taken as VP8 or H264",
            };
            Reply::refuse(
                RefusalCode::Invalid,
                format!("sdp: section {}: {taken}", sent.mid),
            )
        })?;
        Ok(RequestedStream {
            id: StreamId(new_id()),
            tenant,
            meeting,
            participant,
            transport: Transport::WebRtc,
            kind: sent.kind,
            source: sent.source,
            codec,
            payload_type,
            red_payload_type: None,
            clock_rate: codec.clock_rate(),
            ssrc: None,
            remote: None,
            relatch: false,
            srtp_suite: None,
            srtp_sealed: None,
        })
    };
    begins.iter().map(row).collect()
}

/// Makes the participant present and the rows. Answers with the meeting's streams.
async fn make(
    deps: &Deps,
    meeting: MeetingId,
    participant: ParticipantId,
    rows: &[RequestedStream],
) -> Result<(Vec<Stream>, Effects), Refused> {
    let mut tx = deps.store.worker_tx().await?;
    event::lock(&mut tx, meeting).await?;
    let of = meeting::get(&mut tx, meeting)
        .await?
        .ok_or(StoreError::NotFound)?;
    let entered = come_in(&mut tx, meeting, participant, EntryBy::Stream).await??;
    for row in rows {
        open_stream::request(&mut tx, &of, row).await?;
    }
    let live = stream::live(&mut tx, meeting).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok((live, entered.effects))
}

fn refused(refused: Refused) -> Reply {
    match refused {
        Refused::Barred(barred) => Reply::barred(&barred),
        Refused::Store(StoreError::NotFound) | Refused::NoParticipant => Reply::refuse(
            RefusalCode::NotFound,
            "there is no such participant in this meeting",
        ),
        Refused::Store(error) => {
            debug!(%error, "an offer's streams");
            Reply::refuse(
                RefusalCode::Unavailable,
                "the database is not available; offer again",
            )
        }
        other => {
            warn!(error = %other, "an offer's streams");
            Reply::refuse(
                RefusalCode::Unavailable,
                "its streams cannot be opened; offer again",
            )
        }
    }
}
