//! The peer connections of a running meeting: one for each participant that offers. What takes
//! longer than a turn of the loop is a task that answers by a [`Fact`].

use super::RunningMeeting;
use crate::{
    capture::{
        commit::Write,
        fact::Fact,
        peer::{self, Negotiated, Offered, WhipSession},
    },
    domain::{
        codec::Codec,
        id::{ParticipantId, StreamId},
        meeting::Input,
        negotiation::{self, Description, Invalid, Offer, Sent},
        own_sections::Shown,
        peer_message::{
            MediaAction, MediaRequest, OfferAnswered, OfferMade, OfferedTrack, PauseReason,
            PausedVideo, PeerMessage, PeerTrack, VideoPaused,
        },
        refusal::RefusalCode,
        stream::{CloseReason, Transport},
        whip,
    },
    ingest::{Hears, Notice, OwnOffer, Peer},
    published,
    queue::{Responder, message::Reply},
    store::stream::Stream,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tracing::{Instrument, info, info_span, warn};
use uuid::Uuid;

/// One participant's connection.
pub(super) struct Connection {
    peer: Peer,
    /// Of the last offer, among the meeting's.
    attempt: u64,
    description: Description,
    /// Where it came by WHIP.
    whip: Option<WhipSession>,
    /// By the `mid` of their sections; of a stream that was closed from here it stays, so that it
    /// is not begun again by the next offer.
    streams: BTreeMap<String, (Sent, StreamId)>,
}

impl RunningMeeting {
    /// What a participant's browser says.
    pub(super) fn signal(
        &mut self,
        participant: ParticipantId,
        message: &Value,
        responder: Responder,
    ) {
        match message["type"].as_str() {
            Some("offer") => self.offer(participant, &message["data"], None, responder),
            Some("answer") => self.answer_of(participant, &message["data"], responder),
            // Its checks come to us from wherever it is, and say so by themselves.
            _ => responder.reply(Reply::Done),
        }
    }

    /// A participant answers an offer of the server's to it.
    fn answer_of(&self, participant: ParticipantId, data: &Value, responder: Responder) {
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let Some(connection) = self.peers.get(&participant) else {
            return responder.reply(Reply::refuse(
                RefusalCode::StaleOffer,
                "the server has no offer open for you",
            ));
        };
        let (peer, id, sdp) = (connection.peer.clone(), text("id"), text("sdp"));
        let taking = async move { responder.reply(peer::answered(&peer, id, sdp).await) };
        tokio::spawn(taking.in_current_span());
    }

    /// Tells a participant what its peer connection has to say. What is lost is told again.
    pub(super) fn tell(&self, participant: ParticipantId, notice: Notice) {
        if !self.peers.contains_key(&participant) {
            return;
        }
        let epoch = self.holder.epoch;
        let message = match notice {
            Notice::Offer(offer) => PeerMessage::Offer(offered(offer, epoch)),
            Notice::Paused(paused) => PeerMessage::VideoPaused(VideoPaused {
                epoch,
                paused: paused.into_iter().map(paused_video).collect(),
            }),
        };
        published::to_participant(&self.deps.queue, self.meeting, participant, &message);
    }

    /// The connection of this session of WHIP, while it lives.
    pub(super) fn whip_session(
        &self,
        participant: ParticipantId,
        session: Uuid,
    ) -> Option<&WhipSession> {
        let connection = self.peers.get(&participant)?;
        let whip = connection.whip.as_ref()?;
        (whip.id == session && connection.peer.is_alive()).then_some(whip)
    }

    /// Who has a connection, each with the number of its last offer.
    pub(super) fn connections(&self) -> impl Iterator<Item = (ParticipantId, u64)> {
        let peers = self.peers.iter();
        peers.map(|(participant, connection)| (*participant, connection.attempt))
    }

    /// Lets go of a connection, which ends it. Answers with the streams that it had.
    pub(super) fn forget_peer(&mut self, participant: ParticipantId) -> Vec<StreamId> {
        let had = self.peers.remove(&participant).map(|had| had.streams);
        had.into_iter()
            .flatten()
            .map(|(_, (_, stream))| stream)
            .collect()
    }

    /// `session`: of WHIP, whose clients take no offers.
    pub(super) fn offer(
        &mut self,
        participant: ParticipantId,
        data: &Value,
        session: Option<Uuid>,
        responder: Responder,
    ) {
        let Some(endpoint) = &self.deps.rtp.webrtc else {
            return responder.reply(Reply::refuse(RefusalCode::WebRtcUnavailable,
                "this worker takes media as plain RTP only (POST /v1/meetings/{id}/streams); its operator can set rtp-webrtc-ports",
            ));
        };
        let (sdp, description, sent) = match read(data) {
            Ok(read) => read,
            Err(invalid) => {
                return responder.reply(Reply::refuse(RefusalCode::Invalid, invalid.to_string()));
            }
        };
        self.attempts += 1;
        let attempt = self.attempts;
        let before = self.peers.get_mut(&participant).filter(|before| {
            before.peer.is_alive()
                && description.continues(&before.description)
                && before.whip.as_ref().map(|whip| whip.id) == session
        });
        let begins: Vec<Sent> = sent
            .iter()
            .filter(|sent| {
                let mut had = before.iter().flat_map(|before| before.streams.values());
                !had.any(|(before, _)| before == *sent)
            })
            .cloned()
            .collect();
        let whip = session.map(|id| WhipSession {
            id,
            offer: sdp.clone(),
            name: None,
        });
        let peer = match before {
            Some(before) => {
                before.attempt = attempt;
                before.peer.clone()
            }
            // The earlier one ends, and its streams a little later unless their like takes their
            // place.
            None => {
                let span = info_span!("peer", participant = %participant);
                let hears = session.is_none().then(|| Hears {
                    room: self.tracks.room().clone(),
                    participant,
                    notices: self.notices.clone(),
                });
                let peer = span.in_scope(|| endpoint.peer(hears));
                let connection = Connection {
                    peer: peer.clone(),
                    attempt,
                    description: description.clone(),
                    whip: whip.clone(),
                    streams: BTreeMap::new(),
                };
                self.peers.insert(participant, connection);
                peer
            }
        };

        let of = (self.holder.tenant, self.meeting);
        let (deps, facts) = (self.deps.clone(), self.facts.clone());
        let offered = Offered {
            participant,
            attempt,
            description,
            whip,
            sent,
            begins,
        };
        let negotiating = async move {
            let done = peer::negotiate(&deps, of, participant, &peer, sdp, &offered.begins).await;
            let done = done.map(Box::new);
            let fact = Fact::Negotiated(Box::new(offered), done, responder);
            let _ = facts.send(fact).await;
        };
        tokio::spawn(negotiating.in_current_span());
    }

    /// An offer has its answer: its streams are open before the browser hears it.
    pub(super) fn negotiated(
        &mut self,
        offered: Offered,
        done: Result<Box<Negotiated>, Reply>,
        responder: Responder,
    ) {
        let Offered {
            participant,
            attempt,
            description,
            whip,
            sent,
            begins,
        } = offered;
        let connection = self
            .peers
            .get_mut(&participant)
            .filter(|connection| connection.attempt == attempt);
        let (negotiated, connection) = match (done, connection) {
            (Ok(negotiated), Some(connection)) => (negotiated, connection),
            (Ok(negotiated), None) => {
                for (_, row) in negotiated.streams {
                    self.refuse(&row, None, CloseReason::Replaced, String::new());
                }
                return responder.reply(Reply::refuse(
                    RefusalCode::Replaced,
                    "a newer offer took its place",
                ));
            }
            (Err(reply), connection) => {
                let stands =
                    matches!(&reply, Reply::Error { code, .. } if *code == RefusalCode::Glare);
                // Else what the connection took of the offer is not known.
                if connection.is_some() && !stands {
                    self.peers.remove(&participant);
                }
                return responder.reply(reply);
            }
        };
        connection.description = description;
        connection.whip = whip.map(|whip| WhipSession {
            name: whip::ice_name(&negotiated.sdp).map(str::to_owned),
            ..whip
        });
        let peer = connection.peer.clone();
        let over: Vec<StreamId> = connection
            .streams
            .values()
            .filter(|(before, _)| !sent.contains(before))
            .map(|(_, stream)| *stream)
            .collect();
        connection
            .streams
            .retain(|_, (before, _)| sent.contains(before));
        for stream in over {
            self.close(stream, CloseReason::Request);
        }
        for (mid, row) in negotiated.streams {
            let id = row.id;
            let Some(sent) = begins.iter().find(|sent| sent.mid == mid) else {
                continue;
            };
            if self.open_peer(row, &peer, &mid)
                && let Some(connection) = self.peers.get_mut(&participant)
            {
                connection.streams.insert(mid, (sent.clone(), id));
            }
        }
        let answer = PeerMessage::Answer(OfferAnswered {
            sdp: negotiated.sdp,
            epoch: self.holder.epoch,
            tracks: self.tracks_of(participant),
        });
        responder.reply(Reply::Signal {
            kind: answer.kind().into(),
            data: answer.data(),
        });
    }

    fn tracks_of(&self, participant: ParticipantId) -> Vec<PeerTrack> {
        let streams = self.peers.get(&participant).map(|of| &of.streams);
        let open = streams
            .into_iter()
            .flatten()
            .filter(|(_, (_, stream))| self.tracks.is_open(*stream));
        open.map(|(mid, (sent, stream))| PeerTrack {
            mid: mid.clone(),
            stream_id: *stream,
            kind: sent.kind,
            source: sent.source,
        })
        .collect()
    }

    /// Opens a stream of a peer connection. The rules know of it first, so that a hold stands
    /// before its first packet.
    fn open_peer(&mut self, row: Stream, peer: &Peer, mid: &str) -> bool {
        let (stream, participant) = (row.id, row.participant);
        for replaced in self.tracks.replaced_by(&row) {
            self.close(replaced, CloseReason::Replaced);
        }
        self.input(Input::PeerStreamOpened {
            stream,
            participant,
        });
        let now = self.clock.now();
        let opened = match row.codec {
            Codec::Audio(codec) => {
                let Some(speech) = self.speech_of(&row) else {
                    return false;
                };
                self.tracks.open_peer(&row, codec, peer, mid, speech, now)
            }
            Codec::Video(_) => self.tracks.open_picture(&row, peer, mid, now),
        };
        match opened {
            Ok(()) => self.write(Write::PeerStreamOpened {
                stream,
                participant,
            }),
            Err(error) => {
                let why = format!("{error:#}");
                info_span!("stream", id = %stream)
                    .in_scope(|| warn!(error = why, "a stream of a peer cannot be opened"));
                self.input(Input::StreamClosed { stream });
                self.refuse(&row, None, CloseReason::Unavailable, why);
                return false;
            }
        }
        true
    }

    /// Streams whose keys died with the process that had them: they are over, and their senders are
    /// asked for new ones.
    pub(super) fn ask_again(&mut self, streams: &[Stream]) {
        let lost = streams
            .iter()
            .filter(|stream| stream.transport == Transport::WebRtc);
        let mut participants = BTreeSet::new();
        for stream in lost {
            participants.insert(stream.participant);
            self.refuse(stream, None, CloseReason::Moved, String::new());
        }
        let asked = PeerMessage::Media(MediaRequest {
            epoch: self.holder.epoch,
            action: MediaAction::Offer,
        });
        for participant in participants {
            info!(%participant, "a browser is asked to offer again");
            // Lost, its sender sees that its connection fails.
            published::to_participant(&self.deps.queue, self.meeting, participant, &asked);
        }
    }
}

fn offered(offer: OwnOffer, epoch: i64) -> OfferMade {
    let tracks = offer.tracks.into_iter().map(|(mid, shown)| OfferedTrack {
        mid,
        participant_id: shown.participant,
        kind: shown.kind,
        source: shown.source,
    });
    OfferMade {
        sdp: offer.sdp,
        id: offer.id,
        epoch,
        tracks: tracks.collect(),
    }
}

fn paused_video(shown: Shown) -> PausedVideo {
    PausedVideo {
        participant_id: shown.participant,
        source: shown.source,
        reason: PauseReason::Bandwidth,
    }
}

fn read(data: &Value) -> Result<(String, Description, Vec<Sent>), Invalid> {
    let offer = Offer::parse(data)?;
    let description = negotiation::read(&offer.sdp)?;
    let sent = description.sent(&offer.told())?;
    Ok((
        negotiation::without_candidates(&offer.sdp),
        description,
        sent,
    ))
}
