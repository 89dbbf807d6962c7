//! What clients of WHIP ask of a running meeting: their offers are answered as those of browsers
//! are, and what they say later is about that session only.

use super::RunningMeeting;
use crate::{
    domain::{
        id::ParticipantId,
        refusal::RefusalCode,
        stream::CloseReason,
        whip::{self, IceCredentials},
    },
    queue::{
        Responder,
        message::{Reply, WhipAsk},
    },
};
use serde_json::json;
use uuid::Uuid;

impl RunningMeeting {
    pub(super) fn whip(
        &mut self,
        participant: ParticipantId,
        session: Uuid,
        asks: WhipAsk,
        responder: Responder,
    ) {
        let found = self.whip_session(participant, session);
        let offer = match (asks, found) {
            (WhipAsk::Publish { sdp }, _) => sdp,
            (_, None) => {
                let why = "this session is over, or another took its place; publish again";
                return responder.reply(Reply::refuse(RefusalCode::NotFound, why));
            }
            (WhipAsk::Match { name }, Some(found)) => {
                return responder.reply(if found.name.as_deref() == Some(&name) {
                    Reply::Done
                } else {
                    Reply::refuse(
                        RefusalCode::StaleOffer,
                        "the ICE session has another entity tag by now",
                    )
                });
            }
            (WhipAsk::Restart { ufrag, password }, Some(found)) => {
                whip::restarted(&found.offer, &IceCredentials { ufrag, password })
            }
            (WhipAsk::Close, Some(_)) => {
                for stream in self.forget_peer(participant) {
                    self.close(stream, CloseReason::Request);
                }
                return responder.reply(Reply::Done);
            }
        };
        self.offer(
            participant,
            &json!({"sdp": offer}),
            Some(session),
            responder,
        );
    }
}
