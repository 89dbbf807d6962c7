//! Reads the consent log, the roster and the status again when `domain/log_reader` says so, beside
//! the loop.

use super::RunningMeeting;
use crate::{
    capture::{
        fact::Fact,
        head_watch::News,
        read::{self, MeetingRead},
    },
    domain::{log_reader, meeting::Input, stream::CloseReason, time::MeetingTime},
};
use tracing::Instrument;

impl RunningMeeting {
    /// The head of the meeting was polled.
    pub(super) fn polled(&mut self, news: &News) {
        let head = news.head.as_ref().map(|head| log_reader::Head {
            entry: head.consent_entry,
            roster: head.roster,
            ended: head.ended,
        });
        let unreachable_since = news.unreachable_since.map(|at| self.clock.at(at));
        self.reader.polled(head, unreachable_since);
        self.tell_gate();
    }

    /// Tells the rules whether a withdrawal can reach this gate.
    fn tell_gate(&mut self) {
        if let Some(input) = self.reader.gate_input() {
            self.input(input);
        }
    }

    /// The last entry of the log that the gate has applied.
    pub(super) fn applied(&self) -> i64 {
        self.reader.applied()
    }

    /// Reads log, roster, streams and status again because somebody says that they changed.
    pub(super) fn look(&mut self) {
        if let Some(after) = self.reader.begin_now() {
            self.start_reading(after);
        }
    }

    /// Reads beside the loop; a [`Fact`] answers.
    pub(super) fn start_reading(&mut self, after: i64) {
        self.reader.begun_with(self.tracks.ids(), self.attempts);
        let (store, meeting, facts) = (self.deps.store.clone(), self.meeting, self.facts.clone());
        let start = self.clock.to_wall(MeetingTime::ZERO);
        tokio::spawn(
            async move {
                let read = read::read(&store, meeting, after, start).await.ok();
                let _ = facts.send(Fact::Read(read)).await;
            }
            .in_current_span(),
        );
    }

    pub(super) fn read(&mut self, read: Option<MeetingRead>) {
        let Some(read) = read else {
            let now = self.clock.now();
            return self.reader.failed(now);
        };
        self.reader
            .read(read.consent.last().map(|last| last.entry), read.roster);
        self.names.extend(
            read.people
                .iter()
                .map(|person| (person.id, person.display_name.clone())),
        );
        if !read.consent.is_empty() {
            self.input(Input::Consent(read.consent));
        }
        for gone in self.reader.absent(self.connections(), &read.listed) {
            self.forget_peer(gone);
        }
        self.input(Input::Roster(read.listed));
        for stream in self.reader.closed(self.tracks.ids(), &read.streams) {
            self.drop_track(stream, CloseReason::Request);
        }
        if read.ended {
            self.input(Input::End);
        }
        self.tell_gate();
    }
}
