//! The streams of a running meeting: opened, heard, closed.

use super::RunningMeeting;
use crate::{
    capture::{commit::Write, port::Found},
    domain::{
        codec::Codec,
        id::{ParticipantId, StreamId},
        meeting::Input,
        stream::{CloseReason, MediaReason, StreamState},
    },
    ingest::Arrival,
    queue::{
        Responder,
        message::{Reply, StreamNow},
    },
    speech::{self, StreamOptions},
    store::stream::Stream,
};
use std::time::Instant;
use tracing::{Span, info, info_span, warn};

/// What is logged of one stream.
fn span(id: StreamId) -> Span {
    info_span!("stream", %id)
}

impl RunningMeeting {
    /// Opens a stream on a port. The rules know of its participant first, so that a hold stands
    /// before its first packet.
    pub(super) fn open(&mut self, stream: Stream, found: Found, responder: Option<Responder>) {
        let (id, participant) = (stream.id, stream.participant);
        if self.tracks.is_open(id) {
            // Asked for twice; the port that was found for the second is nobody's.
            if let Some(responder) = responder {
                self.answer(responder, id);
            }
            return;
        }
        let Codec::Audio(codec) = stream.codec else {
            let why = format!(
                "{} is not taken yet: send audio as opus, PCMU or PCMA",
                stream.codec
            );
            return self.refuse(&stream, responder, CloseReason::NotSupported, why);
        };
        for replaced in self.tracks.replaced_by(&stream) {
            self.close(replaced, CloseReason::Replaced);
        }
        self.input(Input::StreamOpened {
            stream: id,
            participant,
        });
        let Some(speech) = self.speech_of(&stream) else {
            return;
        };
        match self
            .tracks
            .open(&stream, codec, found, speech, self.clock.now())
        {
            Ok(port) => {
                let ip = self.deps.rtp.public_ip.clone();
                // Another worker's stream may come with the meeting: whoever sends must know where
                // to.
                if stream.ip.as_ref() != Some(&ip)
                    || stream.port != Some(port)
                    || stream.state != StreamState::Open
                {
                    self.write(Write::StreamOpened {
                        stream: id,
                        participant,
                        ip,
                        port,
                    });
                }
                if let Some(responder) = responder {
                    self.answer(responder, id);
                }
            }
            Err(error) => {
                let why = format!("{error:#}");
                span(id).in_scope(|| warn!(error = why, "a stream cannot be opened"));
                self.input(Input::StreamClosed { stream: id });
                self.refuse(&stream, responder, CloseReason::Unavailable, why);
            }
        }
    }

    /// Where a stream's sound is heard; `None` once the meeting is being finished.
    pub(super) fn speech_of(&self, stream: &Stream) -> Option<speech::Stream> {
        Some(self.speech.as_ref()?.open(StreamOptions {
            participant: stream.participant,
            stream: stream.id,
            source: stream.source,
            language: self.settings.language.clone(),
            languages: self.settings.languages.clone(),
            glossary: self.settings.glossary.clone(),
            translate: self.settings.translate_to.is_some(),
            late: false,
        }))
    }

    pub(super) fn refuse(
        &self,
        stream: &Stream,
        responder: Option<Responder>,
        reason: CloseReason,
        message: String,
    ) {
        let (stream, participant) = (stream.id, stream.participant);
        self.write(Write::StreamClosed {
            stream,
            participant,
            reason,
        });
        if let Some(responder) = responder {
            responder.reply(Reply::refuse(reason.into(), message));
        }
    }

    /// Tells whoever asked which port the stream has.
    pub(super) fn answer(&self, responder: Responder, stream: StreamId) {
        if let Some(port) = self.tracks.port(stream) {
            responder.reply(Reply::Stream {
                ip: self.deps.rtp.public_ip.clone(),
                port,
            });
        }
    }

    pub(super) fn close(&mut self, stream: StreamId, reason: CloseReason) {
        if let Some(participant) = self.drop_track(stream, reason) {
            self.write(Write::StreamClosed {
                stream,
                participant,
                reason,
            });
        }
    }

    pub(super) fn drop_track(
        &mut self,
        stream: StreamId,
        why: CloseReason,
    ) -> Option<ParticipantId> {
        let now = self.clock.now();
        let participant = self.tracks.close(stream, why, now, &self.commits)?;
        self.input(Input::StreamClosed { stream });
        Some(participant)
    }

    pub(super) fn arrival(&mut self, stream: StreamId, arrival: Arrival) {
        match arrival {
            Arrival::Rtp {
                at,
                header,
                payload,
                ..
            } => {
                let arrived = self.clock.at(at);
                if self
                    .tracks
                    .packet(stream, header, payload, arrived, &self.commits)
                {
                    self.input(Input::StreamAlive {
                        stream,
                        media: true,
                    });
                }
                if self.tracks.is_unreadable(stream) {
                    span(stream).in_scope(|| {
                        warn!("a sender's time stamps do not follow its packets; closed");
                    });
                    self.close(stream, CloseReason::ClockRate);
                }
            }
            Arrival::Other { at, sequence } => {
                if self
                    .tracks
                    .pass(stream, sequence, self.clock.at(at), &self.commits)
                {
                    self.input(Input::StreamAlive {
                        stream,
                        media: true,
                    });
                }
            }
            Arrival::SenderReport {
                at,
                ntp,
                timestamp,
                cname,
            } => {
                let at = self.clock.at(at);
                self.tracks.report(stream, ntp, timestamp, cname, at);
                self.tracks.sign(stream, at);
                self.input(Input::StreamAlive {
                    stream,
                    media: false,
                });
            }
            Arrival::Alive { at } => {
                self.tracks.sign(stream, self.clock.at(at));
                self.input(Input::StreamAlive {
                    stream,
                    media: false,
                });
            }
            Arrival::Bye { at } => {
                self.tracks.bye(stream, self.clock.at(at));
                self.input(Input::StreamBye { stream });
            }
            Arrival::Latched { from, ssrc, anew } => {
                if anew {
                    self.tracks.begin_anew(stream, self.clock.now());
                }
                self.write(Write::Latched {
                    stream,
                    from: from.to_string(),
                    ssrc,
                    anew,
                });
            }
        }
    }

    /// Tells whose media came, stalled or came back.
    pub(super) fn look_at_media(&mut self) {
        for (stream, participant, media) in self.tracks.look(self.clock.now()) {
            let reason = media.reason().map(MediaReason::as_str);
            span(stream).in_scope(|| info!(media = %media.word(), reason, "a stream's media"));
            self.write(Write::Media {
                stream,
                participant,
                media,
            });
        }
    }

    /// How each stream is received now.
    pub(super) fn streams_now(&self) -> Vec<StreamNow> {
        let now = Instant::now();
        let received = self.tracks.received(self.clock.at(now)).into_iter();
        received
            .map(|of| StreamNow {
                stream: of.stream,
                media: of.media.word(),
                reason: of.media.reason(),
                from: of.seen.from,
                ssrc: of.seen.ssrc,
                packets: of.packets,
                dropped: of
                    .dropped
                    .into_iter()
                    .map(|(reason, count)| (reason.to_owned(), count))
                    .collect(),
                lost: of.seen.lost,
                last_packet_at: of
                    .seen
                    .last
                    .map(|last| self.clock.to_wall(self.clock.at(last))),
            })
            .collect()
    }
}
