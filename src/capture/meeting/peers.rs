//! The peer connections of a running meeting: one for each participant that offers. What takes
//! longer than a turn of the loop is a task that answers by a [`Fact`].

use super::RunningMeeting;
use crate::{
    capture::{
        commit::Write,
        fact::Fact,
        peer::{self, Negotiated},
        port::refuse,
    },
    domain::{
        codec::Codec,
        id::{ParticipantId, StreamId},
        meeting::Input,
        negotiation::{self, Description, Invalid, Offer, Sent},
        stream::{CloseReason, MediaKind, Transport},
    },
    ingest::Peer,
    queue::{
        Responder,
        message::{Published, Reply},
    },
    store::stream::Stream,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tracing::{Instrument, info, info_span, warn};

/// One participant's connection.
pub(super) struct Connection {
    peer: Peer,
    /// Of the last offer, among the meeting's.
    attempt: u64,
    description: Description,
    /// By the `mid` of their sections; of a stream that was closed from here it stays, so that it is
    /// not begun again by the next offer.
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
            Some("offer") => self.offer(participant, &message["data"], responder),
            // Its checks come to us from wherever it is, and say so by themselves.
            Some("ice_candidate") => responder.reply(Reply::Done),
            _ => responder.reply(refuse("stale_offer", "the server made no such offer")),
        }
    }

    fn offer(&mut self, participant: ParticipantId, data: &Value, responder: Responder) {
        let Some(endpoint) = &self.deps.rtp.webrtc else {
            return responder.reply(refuse(
                "webrtc_unavailable",
                "this worker takes media as plain RTP only (POST /v1/meetings/{id}/streams); its operator can set rtp-webrtc-ports",
            ));
        };
        let (sdp, description, sent) = match read(data) {
            Ok(read) => read,
            Err(invalid) => return responder.reply(refuse("invalid", &invalid.to_string())),
        };
        self.attempts += 1;
        let attempt = self.attempts;
        let before = self
            .peers
            .get(&participant)
            .filter(|before| before.peer.is_alive() && description.continues(&before.description));
        let (peer, streams) = match before {
            Some(before) => (before.peer.clone(), before.streams.clone()),
            // The earlier one ends, and its streams a little later unless their like takes their
            // place.
            None => {
                let span = info_span!("peer", participant = %participant);
                (span.in_scope(|| endpoint.peer()), BTreeMap::new())
            }
        };
        let goes_on = |(mid, (before, _)): &(String, (Sent, StreamId))| {
            sent.iter().any(|sent| sent.mid == *mid && sent == before)
        };
        let (streams, over): (BTreeMap<_, _>, BTreeMap<_, _>) = streams
            .into_iter()
            .partition(|(mid, of)| goes_on(&(mid.clone(), of.clone())));
        let begins: Vec<Sent> = sent
            .into_iter()
            // Pictures are negotiated and not kept yet.
            .filter(|sent| sent.kind == MediaKind::Audio && !streams.contains_key(&sent.mid))
            .collect();
        let connection = Connection {
            peer: peer.clone(),
            attempt,
            description,
            streams,
        };
        self.peers.insert(participant, connection);
        for (_, stream) in over.into_values() {
            self.close(stream, CloseReason::Request);
        }

        let of = (self.holder.tenant, self.meeting);
        let (deps, facts) = (self.deps.clone(), self.facts.clone());
        let negotiating = async move {
            let done = peer::negotiate(&deps, of, participant, &peer, sdp, &begins).await;
            let fact = Fact::Negotiated {
                participant,
                attempt,
                begins,
                done: done.map(Box::new),
                responder,
            };
            let _ = facts.send(fact).await;
        };
        tokio::spawn(negotiating.in_current_span());
    }

    /// An offer has its answer: its streams are open before the browser hears it.
    pub(super) fn negotiated(
        &mut self,
        participant: ParticipantId,
        attempt: u64,
        begins: Vec<Sent>,
        done: Result<Box<Negotiated>, Reply>,
        responder: Responder,
    ) {
        let peer = self
            .peers
            .get(&participant)
            .filter(|connection| connection.attempt == attempt)
            .map(|connection| connection.peer.clone());
        let (negotiated, peer) = match (done, peer) {
            (Ok(negotiated), Some(peer)) => (negotiated, peer),
            (Ok(negotiated), None) => {
                for (_, row) in negotiated.streams {
                    self.refuse(&row, None, CloseReason::Replaced, String::new());
                }
                return responder.reply(refuse("replaced", "a newer offer took its place"));
            }
            (Err(reply), peer) => {
                // What the connection took of the offer is not known.
                if peer.is_some() {
                    self.peers.remove(&participant);
                }
                return responder.reply(reply);
            }
        };
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
        let data = json!({
            "sdp": negotiated.sdp,
            "epoch": self.holder.epoch,
            "tracks": self.tracks_of(participant),
        });
        responder.reply(Reply::Signal {
            kind: "answer".into(),
            data,
        });
    }

    fn tracks_of(&self, participant: ParticipantId) -> Vec<Value> {
        let streams = self.peers.get(&participant).map(|of| &of.streams);
        let open = streams
            .into_iter()
            .flatten()
            .filter(|(_, (_, stream))| self.tracks.is_open(*stream));
        open.map(|(mid, (sent, stream))| {
            json!({"mid": mid, "streamId": stream, "kind": sent.kind, "source": sent.source})
        })
        .collect()
    }

    /// Opens a stream of a peer connection. The rules know of it first, so that a hold stands before
    /// its first packet.
    fn open_peer(&mut self, row: Stream, peer: &Peer, mid: &str) -> bool {
        let Codec::Audio(codec) = row.codec else {
            return false;
        };
        let (stream, participant) = (row.id, row.participant);
        for replaced in self.tracks.replaced_by(&row) {
            self.close(replaced, CloseReason::Replaced);
        }
        self.input(Input::PeerStreamOpened {
            stream,
            participant,
        });
        let Some(speech) = self.speech_of(&row) else {
            return false;
        };
        let now = self.clock.now();
        let opened = self.tracks.open_peer(&row, codec, peer, mid, speech, now);
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
        for participant in participants {
            info!(%participant, "a browser is asked to offer again");
            let media = Published::Live {
                kind: "media".into(),
                data: json!({"epoch": self.holder.epoch, "action": "offer"}),
                to: Some(participant),
            };
            // Lost, its sender sees that its connection fails.
            let _ = self.deps.queue.publish(self.meeting, &media);
        }
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
