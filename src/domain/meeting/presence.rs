//! Who is there: by the roster, by sockets, by streams.

use super::{
    Command, Listed, Meeting,
    member::{Member, Stream},
};
use crate::{
    id::{ParticipantId, StreamId},
    stream::CloseReason,
    time::MeetingTime,
};
use std::collections::BTreeSet;

impl Meeting {
    pub(super) fn roster(&mut self, listed: &[Listed], now: MeetingTime) {
        for row in listed {
            if row.present {
                let member = self
                    .present
                    .entry(row.participant)
                    .or_insert_with(|| Member::new(now));
                if member.leaving {
                    // Came back before the store heard of its leaving.
                    member.seen = now;
                }
                member.leaving = false;
                member.stored = true;
            } else if self
                .present
                .get(&row.participant)
                .is_some_and(|member| member.stored || member.leaving)
            {
                self.gone(row.participant);
            }
        }
    }

    pub(super) fn stream_opened(
        &mut self,
        stream: StreamId,
        participant: ParticipantId,
        peer: bool,
        now: MeetingTime,
    ) {
        self.streams.insert(
            stream,
            Stream {
                participant,
                alive: now,
                bye: None,
                peer,
            },
        );
        // Present from the answer on; held before its first packet can come.
        self.present
            .entry(participant)
            .or_insert_with(|| Member::new(now))
            .leaving = false;
        self.see(participant, now);
    }

    /// Forgets a participant and closes its streams.
    pub(super) fn gone(&mut self, participant: ParticipantId) {
        if self.present.remove(&participant).is_none() {
            return;
        }
        let streams: Vec<StreamId> = self
            .streams
            .iter()
            .filter(|(_, s)| s.participant == participant)
            .map(|(id, _)| *id)
            .collect();
        for stream in streams {
            self.streams.remove(&stream);
            self.commands.push_back(Command::CloseStream {
                stream,
                reason: CloseReason::Left,
            });
        }
    }

    pub(super) fn see(&mut self, participant: ParticipantId, now: MeetingTime) {
        if let Some(member) = self.present.get_mut(&participant) {
            member.seen = member.seen.max(now);
        }
    }

    /// Who has a socket or a stream. A peer connection shows by its checks that somebody is there:
    /// they are seen when one comes.
    pub(super) fn here(&self) -> BTreeSet<ParticipantId> {
        let streams = self.streams.values().filter(|stream| !stream.peer);
        self.with_socket()
            .into_iter()
            .chain(streams.map(|stream| stream.participant))
            .collect()
    }

    pub(super) fn with_socket(&self) -> BTreeSet<ParticipantId> {
        self.sockets
            .values()
            .flat_map(|(_, sockets)| sockets)
            .copied()
            .collect()
    }
}
