//! When a running meeting reads its consent log, roster and status again, and when its gate is told
//! that withdrawals can reach it.
//!
//! The head of a meeting (its last consent entry, the version of its roster, whether it ended) is
//! polled. A head that is ahead of what was applied makes a read due. One read is under way at a
//! time; one that failed is tried again after [`READ_AGAIN`], whether or not the head changes, and
//! a head that came during a read makes the next one due.
//!
//! After an outage the gate stays closed until the missed entries are read
//! ([`LogReader::gate_input`]).

use crate::{
    id::{ParticipantId, StreamId},
    meeting::{Input, Listed},
    time::{MeetingTime, Micros},
};
use std::collections::BTreeSet;

/// From a read of the store that failed to the next.
pub const READ_AGAIN: Micros = Micros::from_ms(100);

/// The head of a meeting, as the store has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The number of the last consent entry; 0: there is none.
    pub entry: i64,
    /// The version of the roster.
    pub roster: i64,
    pub ended: bool,
}

/// What has been read, and what is to be read.
#[derive(Clone, Debug, Default)]
pub struct LogReader {
    head: Option<Head>,
    /// Since when neither Postgres nor the queue could tell of a withdrawal.
    unreachable_since: Option<MeetingTime>,
    /// The last entry applied to the gate.
    applied: i64,
    /// The roster read last; `None`: none was.
    roster: Option<i64>,
    reading: bool,
    /// Streams that were open as the read under way began.
    open: BTreeSet<StreamId>,
    /// The last offer of a peer connection that had come by then.
    offers: u64,
    /// After a read that failed, the next one is not before this.
    not_before: Option<MeetingTime>,
}

impl LogReader {
    /// The last entry of the log that the gate has applied.
    pub fn applied(&self) -> i64 {
        self.applied
    }

    /// The head was polled. `head`: `None` if it could not be read, then the one before stands.
    pub fn polled(&mut self, head: Option<Head>, unreachable_since: Option<MeetingTime>) {
        self.head = head.or(self.head);
        self.unreachable_since = unreachable_since;
    }

    /// Whether the store has something that was not read. An ended meeting is always read again:
    /// its loop ends by that.
    pub fn is_behind(&self) -> bool {
        self.head.is_some_and(|head| {
            head.entry > self.applied
                || self.roster.is_none_or(|read| head.roster > read)
                || head.ended
        })
    }

    /// When [`LogReader::begin`] would begin a read; `None`: not until something is told.
    pub fn due(&self, now: MeetingTime) -> Option<MeetingTime> {
        (self.is_behind() && !self.reading).then(|| self.not_before.map_or(now, |at| at.max(now)))
    }

    /// Begins a read if one is due: the entry after which to read.
    pub fn begin(&mut self, now: MeetingTime) -> Option<i64> {
        (self.due(now)? <= now).then(|| self.start())
    }

    /// Begins a read because somebody says that something changed; `None`: one is under way.
    pub fn begin_now(&mut self) -> Option<i64> {
        (!self.reading).then(|| self.start())
    }

    fn start(&mut self) -> i64 {
        self.reading = true;
        self.applied
    }

    /// These streams are open as a read begins, and so many offers of peer connections have come.
    pub fn begun_with(&mut self, open: impl IntoIterator<Item = StreamId>, offers: u64) {
        self.open = open.into_iter().collect();
        self.offers = offers;
    }

    /// Which of the streams that are `open` now are closed by what was read, which has these as
    /// `live`. One that was opened while the store was read may not have been there to be found.
    pub fn closed(
        &self,
        open: impl IntoIterator<Item = StreamId>,
        live: &[StreamId],
    ) -> Vec<StreamId> {
        let is_closed = |stream: &StreamId| self.open.contains(stream) && !live.contains(stream);
        open.into_iter().filter(is_closed).collect()
    }

    /// Whose peer connections end by what was read: of those who are `listed` as not present.
    /// `connections`: those that there are, each with the number of its last offer. Whoever offered
    /// while the store was read may have come too late to be found.
    pub fn absent(
        &self,
        connections: impl IntoIterator<Item = (ParticipantId, u64)>,
        listed: &[Listed],
    ) -> Vec<ParticipantId> {
        let is_absent = |participant: ParticipantId| {
            let mut rows = listed.iter();
            rows.any(|row| row.participant == participant && !row.present)
        };
        connections
            .into_iter()
            .filter(|(participant, offer)| *offer <= self.offers && is_absent(*participant))
            .map(|(participant, _)| participant)
            .collect()
    }

    /// The read that was under way failed.
    pub fn failed(&mut self, now: MeetingTime) {
        self.reading = false;
        self.not_before = Some(now + READ_AGAIN);
    }

    /// The read that was under way is applied. `last`: the last entry it brought; `roster`: the
    /// version that its roster is at least as new as.
    pub fn read(&mut self, last: Option<i64>, roster: i64) {
        self.reading = false;
        self.applied = last.unwrap_or(self.applied);
        self.roster = Some(roster);
    }

    /// What the rules are told after a poll or a read. `None` while what was missed is not read: a
    /// gate that is closed stays closed until then.
    pub fn gate_input(&self) -> Option<Input> {
        let since = self.unreachable_since;
        (since.is_some() || !self.is_behind()).then_some(Input::Unreachable { since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: i64) -> MeetingTime {
        MeetingTime::from_ms(ms)
    }

    fn head(entry: i64, roster: i64) -> Option<Head> {
        Some(Head {
            entry,
            roster,
            ended: false,
        })
    }

    /// Has read two entries and the third version of the roster.
    fn up_to_date() -> LogReader {
        let mut reader = LogReader::default();
        assert_eq!(reader.begin_now(), Some(0));
        reader.read(Some(2), 3);
        reader.polled(head(2, 3), None);
        assert!(!reader.is_behind());
        assert_eq!(reader.due(ms(0)), None);
        reader
    }

    #[test]
    fn the_first_head_makes_a_read_due_also_when_nobody_came() {
        let mut reader = LogReader::default();
        assert_eq!(reader.begin(ms(0)), None);
        reader.polled(head(0, 0), None);
        assert_eq!(reader.begin(ms(0)), Some(0));
        reader.read(None, 0);
        assert_eq!(reader.begin(ms(1)), None);
    }

    #[test]
    fn an_entry_a_roster_or_the_end_makes_a_read_due() {
        for (entry, roster, ended) in [(3, 3, false), (2, 4, false), (2, 3, true)] {
            let mut reader = up_to_date();
            reader.polled(
                Some(Head {
                    entry,
                    roster,
                    ended,
                }),
                None,
            );
            assert_eq!(reader.begin(ms(5)), Some(2), "{entry} {roster} {ended}");
        }
    }

    #[test]
    fn one_read_is_under_way_at_a_time_and_what_came_meanwhile_makes_the_next_due() {
        let mut reader = up_to_date();
        reader.polled(head(3, 3), None);
        assert_eq!(reader.begin(ms(0)), Some(2));
        assert_eq!(reader.begin(ms(0)), None);
        assert_eq!(reader.begin_now(), None);
        reader.polled(head(4, 3), None);
        assert_eq!(reader.due(ms(0)), None);
        reader.read(Some(3), 3);
        assert_eq!(reader.begin(ms(1)), Some(3));
    }

    #[test]
    fn a_read_that_failed_is_tried_again_without_news_but_not_at_once() {
        let mut reader = up_to_date();
        reader.polled(head(3, 3), None);
        assert_eq!(reader.begin(ms(0)), Some(2));
        reader.failed(ms(10));
        assert_eq!(reader.begin(ms(10)), None);
        assert_eq!(reader.due(ms(20)), Some(ms(10) + READ_AGAIN));
        assert_eq!(reader.begin(ms(10) + READ_AGAIN), Some(2));
        // Who is told that something changed does not wait.
        reader.failed(ms(200));
        assert_eq!(reader.begin_now(), Some(2));
    }

    #[test]
    fn a_poll_that_failed_leaves_the_head() {
        let mut reader = up_to_date();
        reader.polled(head(3, 3), None);
        reader.polled(None, None);
        assert_eq!(reader.begin(ms(0)), Some(2));
    }

    #[test]
    fn a_stream_that_was_opened_while_the_store_was_read_is_not_closed_by_that() {
        let stream = |n| StreamId(uuid::Uuid::from_u128(n));
        let mut reader = up_to_date();
        assert_eq!(reader.closed([stream(1)], &[]), []);
        reader.polled(head(3, 3), None);
        assert_eq!(reader.begin(ms(0)), Some(2));
        reader.begun_with([1, 2, 3].map(stream), 0);
        // The third closed by itself, the fourth was opened meanwhile.
        let open = [1, 2, 4].map(stream);
        assert_eq!(reader.closed(open, &[stream(1)]), [stream(2)]);
        reader.read(Some(3), 3);
        // By the next read it is closed, when that does not have it either.
        reader.polled(head(4, 3), None);
        assert_eq!(reader.begin(ms(1)), Some(3));
        reader.begun_with([1, 4].map(stream), 0);
        assert_eq!(reader.closed([1, 4].map(stream), &[stream(1)]), [stream(4)]);
        let all = [1, 4].map(stream);
        assert_eq!(reader.closed(all, &all), []);
    }

    #[test]
    fn an_offer_that_came_while_the_store_was_read_keeps_its_connection() {
        let who = |n| ParticipantId(uuid::Uuid::from_u128(n));
        let row = |n, present| Listed {
            participant: who(n),
            present,
        };
        let mut reader = up_to_date();
        assert_eq!(reader.begin_now(), Some(2));
        reader.begun_with([], 4);
        // The first is there, the second and third have left, and the third offers again meanwhile.
        let connections = [1, 2, 3].map(who).into_iter().zip([2, 4, 5]);
        let listed = [row(1, true), row(2, false), row(3, false)];
        assert_eq!(reader.absent(connections.clone(), &listed), [who(2)]);
        // Of whom nothing is listed nothing is known.
        assert_eq!(reader.absent([(who(9), 1)], &listed), []);
        reader.read(None, 4);
        // By the next read it ends, when that does not have them either.
        assert_eq!(reader.begin_now(), Some(2));
        reader.begun_with([], 5);
        assert_eq!(reader.absent(connections, &listed), [who(2), who(3)]);
    }

    #[test]
    fn after_an_outage_the_gate_is_told_only_once_the_missed_entries_are_read() {
        let mut reader = up_to_date();
        let since = Some(ms(500));
        reader.polled(None, since);
        assert_eq!(reader.gate_input(), Some(Input::Unreachable { since }));
        reader.polled(head(3, 3), None);
        assert_eq!(reader.gate_input(), None);
        assert_eq!(reader.begin(ms(900)), Some(2));
        assert_eq!(reader.gate_input(), None);
        reader.failed(ms(910));
        assert_eq!(reader.gate_input(), None);
        assert_eq!(reader.begin(ms(1_010)), Some(2));
        reader.read(Some(3), 3);
        assert_eq!(
            reader.gate_input(),
            Some(Input::Unreachable { since: None })
        );
    }
}
