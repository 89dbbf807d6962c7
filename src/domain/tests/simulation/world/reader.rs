//! The worker reads the log and who is there, as its `log_reader` wants.

use super::{Event, World};
use hansard_domain::{
    gate::Entry,
    limits::HEADS_POLL,
    log_reader::Head,
    meeting::{Input, Listed},
    time::MeetingTime,
};

impl World {
    pub(super) fn poll(&mut self) {
        self.after(HEADS_POLL.0, Event::Poll);
        let hears = self.postgres || self.queue;
        self.unreachable_since = if hears {
            None
        } else {
            self.unreachable_since.or(Some(self.now))
        };
        let Some(worker) = &mut self.worker else {
            return;
        };
        let head = self.postgres.then_some(Head {
            entry: self.log.len() as i64,
            roster: self.roster,
            ended: false,
        });
        self.reader
            .polled(head, self.unreachable_since.map(MeetingTime));
        if let Some(input) = self.reader.gate_input() {
            worker.input(input, MeetingTime(self.now));
        }
        if self.postgres {
            let owed: Vec<usize> = std::mem::take(&mut worker.owes).into_iter().collect();
            for saying in owed {
                self.append(saying);
            }
        }
    }

    /// Begins to read if that is due.
    pub(super) fn look(&mut self) {
        if self.worker.is_none() || self.reader.begin(MeetingTime(self.now)).is_none() {
            return;
        }
        let wait = self.upto(self.plan.read);
        let failed = self.random.chance(0.1) || !self.postgres;
        let result = (!failed).then(|| (self.log.len(), self.listed(), self.roster));
        let life = self.life;
        self.after(wait, Event::Read { result, life });
    }

    /// Entries that the worker's gate has applied.
    pub(super) fn applied(&self) -> usize {
        usize::try_from(self.reader.applied()).expect("counted here")
    }

    pub(super) fn listed(&self) -> Vec<Listed> {
        self.people
            .iter()
            .map(|id| Listed {
                participant: *id,
                present: self.present.contains(id),
            })
            .collect()
    }

    pub(super) fn read(&mut self, result: Option<(usize, Vec<Listed>, i64)>) {
        let now = MeetingTime(self.now);
        let (Some((until, listed, roster)), true) = (result, self.worker.is_some()) else {
            self.reader.failed(now);
            if let Some(due) = self.reader.due(now) {
                self.at(due.0, Event::Timer);
            }
            return;
        };
        let applied = self.applied();
        let entries: Vec<Entry> = (applied..until).map(|n| self.entry(n)).collect();
        for n in applied..until {
            self.known.entry(self.log[n]).or_insert(self.now);
        }
        let worker = self.worker.as_mut().expect("looked at above");
        self.reader
            .read(entries.last().map(|last| last.entry), roster);
        if !entries.is_empty() {
            worker.input(Input::Consent(entries.clone()), now);
        }
        self.seen = listed
            .iter()
            .filter(|row| row.present)
            .map(|row| row.participant)
            .collect();
        worker.input(Input::Roster(listed), now);
        if let Some(input) = self.reader.gate_input() {
            worker.input(input, now);
        }
        if self.twice.chance(0.5) {
            let wait = self.twice.within(0, 3_000_000);
            self.after(
                wait,
                Event::Again {
                    entries,
                    life: self.life,
                },
            );
        }
        for stream in 0..self.senders.len() {
            if self.senders[stream].connected && !self.senders[stream].open {
                self.hang(stream);
            }
        }
        self.judge();
    }

    /// What was read once comes again, perhaps behind later entries.
    pub(super) fn again(&mut self, entries: Vec<Entry>) {
        if let Some(worker) = &mut self.worker {
            worker.input(Input::Consent(entries), MeetingTime(self.now));
        }
        self.judge();
    }
}
