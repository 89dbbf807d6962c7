//! The streams of a running meeting: opened, heard, closed.

use super::{capture::Live, ledger::Write};
use crate::{
    domain::{
        id::{ParticipantId, StreamId},
        meeting::Input,
        recording::Codec,
    },
    ingest::Arrival,
    queue::{Responder, message::Reply},
    speech::StreamOptions,
    store::stream::Stream,
};
use tracing::warn;

impl Live {
    /// Opens a stream's port. The rules know of its participant first, so that a hold stands before its first packet.
    pub fn open(&mut self, stream: Stream, responder: Option<Responder>) {
        let (id, participant) = (stream.id, stream.participant);
        let again = self.tracks.port(id);
        if let (Some(port), Some(_)) = (again, &responder) {
            self.answer(responder, port);
            return;
        }
        if Codec::parse(&stream.codec).is_none() {
            let why = format!("{} is not taken yet: send audio as opus, PCMU or PCMA", stream.codec);
            return self.refuse(&stream, responder, "not_supported", why);
        }
        for replaced in self.tracks.replaced_by(&stream) {
            self.close(replaced, "replaced");
        }
        self.input(Input::StreamOpened { stream: id, participant });
        let Some(speech) = &self.speech else { return };
        let speech = speech.open(StreamOptions {
            participant,
            stream: id,
            language: self.speaking.language.clone(),
            glossary: self.speaking.glossary.clone(),
            late: false,
        });
        match self.tracks.open(&stream, speech, self.clock.now()) {
            Ok(port) => {
                let ip = self.deps.rtp.public_ip.clone();
                // Another worker's stream may come with the meeting: whoever sends must know where to.
                if stream.ip.as_ref() != Some(&ip) || stream.port != Some(port) || stream.state != "open" {
                    self.write(Write::StreamOpened { stream: id, participant, ip, port });
                }
                self.answer(responder, port);
            }
            Err(error) => {
                let why = format!("{error:#}");
                warn!(meeting = %self.meeting, stream = %id, error = why, "a stream cannot be opened");
                self.input(Input::StreamClosed { stream: id });
                self.refuse(&stream, responder, "unavailable", why);
            }
        }
    }

    fn refuse(&self, stream: &Stream, responder: Option<Responder>, code: &str, message: String) {
        let (stream, participant) = (stream.id, stream.participant);
        self.write(Write::StreamClosed { stream, participant, reason: code.to_owned() });
        if let Some(responder) = responder {
            responder.reply(Reply::Error { code: code.to_owned(), message });
        }
    }

    fn answer(&self, responder: Option<Responder>, port: u16) {
        if let Some(responder) = responder {
            responder.reply(Reply::Stream { ip: self.deps.rtp.public_ip.clone(), port });
        }
    }

    pub fn close(&mut self, stream: StreamId, reason: &str) {
        if let Some(participant) = self.drop_track(stream) {
            self.write(Write::StreamClosed { stream, participant, reason: reason.to_owned() });
        }
    }

    pub fn drop_track(&mut self, stream: StreamId) -> Option<ParticipantId> {
        let participant = self.tracks.close(stream, &self.ledger)?;
        self.input(Input::StreamClosed { stream });
        Some(participant)
    }

    pub fn arrival(&mut self, stream: StreamId, arrival: Arrival) {
        match arrival {
            Arrival::Rtp { at, header, payload, .. } => {
                let arrived = self.clock.at(at);
                if self.tracks.packet(stream, header, payload, arrived, &self.ledger) {
                    self.input(Input::StreamAlive { stream });
                }
                if self.tracks.is_unreadable(stream) {
                    warn!(meeting = %self.meeting, %stream, "a sender's time stamps do not follow its packets; closed");
                    self.close(stream, "clock_rate");
                }
            }
            Arrival::SenderReport { at, ntp, timestamp, cname } => {
                self.tracks.report(stream, ntp, timestamp, cname, self.clock.at(at));
                self.input(Input::StreamAlive { stream });
            }
            Arrival::Alive { .. } => self.input(Input::StreamAlive { stream }),
            Arrival::Bye { .. } => self.close(stream, "bye"),
            Arrival::Latched { from } => self.write(Write::Latched { stream, from: from.to_string() }),
        }
    }
}
