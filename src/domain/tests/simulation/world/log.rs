//! What people say about consent: on its way to the log and to the worker, late, twice, and by
//! whoever took it.

use super::{Event, REPEAT, RETRIES_UNTIL, Saying, World};
use crate::worker::Worker;
use hansard_domain::{
    consent::{ConsentStatus, Use},
    gate::{Entry, Gate},
    id::{ConsentId, ParticipantId},
    meeting::Input,
    settings::ConsentPolicy,
    time::MeetingTime,
};
use uuid::Uuid;

impl World {
    pub(super) fn say(&mut self, who: usize, uses: Vec<Use>, status: ConsentStatus) {
        let saying = self.sayings.len();
        let id = ConsentId(Uuid::from_u128(1_000 + saying as u128));
        let who = self.people[who];
        let said = Saying {
            id,
            who,
            uses,
            status,
            received: self.now,
            committed: None,
            journalled: false,
        };
        let refuses = !said.accepts();
        self.sayings.push(said);
        let mut commit = self.upto(self.plan.commit);
        let early = self.now < self.plan.length - RETRIES_UNTIL;
        if refuses && early && self.twice.chance(0.2) {
            // Behind what is said after it.
            commit += self.twice.within(500_000, 3_000_000);
        }
        self.after(commit, Event::Commit { saying });
        if refuses && early && self.twice.chance(0.3) {
            let wait = commit + self.twice.within(50_000, 3_000_000);
            self.after(wait, Event::Retry { saying });
        }
        if refuses {
            for _ in 0..1 + usize::from(self.random.chance(0.2)) {
                if !self.random.chance(self.plan.lost_messages) {
                    let wait = self.upto(self.plan.message);
                    self.after(wait, Event::Message { saying });
                }
            }
        }
    }

    /// The process that took it writes the log.
    pub(super) fn commit(&mut self, saying: usize) {
        if self.postgres {
            self.append(saying);
        } else if !self.sayings[saying].accepts() && self.queue && self.worker.is_some() {
            // Handed to the worker's journal: it acts, and is written when Postgres is back.
            self.sayings[saying].journalled = true;
            self.message(saying);
            self.after(REPEAT, Event::Repeat { saying });
        }
        // Else it got 503: a grant never happened, a refusal may have been heard of all the same.
    }

    pub(super) fn repeat(&mut self, saying: usize) {
        if self.sayings[saying].committed.is_some() {
            return;
        }
        self.message(saying);
        if self.postgres {
            self.append(saying);
        }
        self.after(REPEAT, Event::Repeat { saying });
    }

    pub(super) fn retry(&mut self, saying: usize) {
        let said = self.sayings[saying].clone();
        let (Some(worker), true) = (
            self.worker.as_mut().filter(|_| self.queue),
            said.committed.is_some(),
        ) else {
            return;
        };
        let id = ConsentId(Uuid::from_u128(1_000_000 + saying as u128));
        let (now, participant) = (MeetingTime(self.now), said.who);
        worker.input(
            Input::Withdrawn {
                id,
                participant,
                uses: said.uses,
                status: said.status,
                at: now,
            },
            now,
        );
        let wait = self.twice.within(1_000, 600_000);
        self.after(
            wait,
            Event::SaidBefore {
                id,
                life: self.life,
            },
        );
        self.judge();
    }

    pub(super) fn said_before(&mut self, id: ConsentId, life: u32) {
        if !self.postgres {
            self.after(100_000, Event::SaidBefore { id, life });
        } else if let Some(worker) = &mut self.worker {
            worker.input(
                Input::SaidBefore {
                    id,
                    head: self.log.len() as i64,
                },
                MeetingTime(self.now),
            );
            self.judge();
        }
    }

    pub(super) fn append(&mut self, saying: usize) {
        if self.sayings[saying].committed.is_none() {
            self.log.push(saying);
            self.sayings[saying].committed = Some((self.now, self.log.len() as i64));
            if self.plan.policy == ConsentPolicy::Required && !self.sayings[saying].accepts() {
                self.remove_by_policy(saying);
            }
        }
    }

    pub(super) fn remove_by_policy(&mut self, saying: usize) {
        let said = &self.sayings[saying];
        if said
            .uses
            .iter()
            .any(|purpose| self.plan.uses.contains(purpose))
        {
            self.gone(said.who);
        }
    }

    /// The store has it that somebody went, with all streams.
    pub(super) fn gone(&mut self, who: ParticipantId) {
        self.roster += i64::from(self.present.remove(&who));
        for sender in &mut self.senders {
            sender.open &= self.people[sender.who] != who;
        }
    }

    /// A withdrawal reaches the worker without the log.
    pub(super) fn message(&mut self, saying: usize) {
        let Some(worker) = self.worker.as_mut().filter(|_| self.queue) else {
            return;
        };
        let said = self.sayings[saying].clone();
        worker.input(
            Input::Withdrawn {
                id: said.id,
                participant: said.who,
                uses: said.uses.clone(),
                status: said.status,
                at: MeetingTime(said.received),
            },
            MeetingTime(self.now),
        );
        self.known.entry(saying).or_insert(self.now);
        // The worker writes its own copy.
        worker.owes.insert(saying);
        if said.committed.is_none() {
            // What a dead one left was taken up without it; files are made by the whole log.
            let gate = self.replayed();
            gate.withdraw(said.id, said.who, &said.uses, MeetingTime(said.received));
            self.left = Worker::recut(&gate, std::mem::take(&mut self.left), &self.sounds);
        }
        self.judge();
    }

    pub(super) fn entry(&self, n: usize) -> Entry {
        let said = &self.sayings[self.log[n]];
        Entry {
            entry: n as i64 + 1,
            id: said.id,
            participant: said.who,
            uses: said.uses.clone(),
            status: said.status,
            at: MeetingTime(said.received),
        }
    }

    /// By the log.
    pub(super) fn last_said(&self, who: ParticipantId, purpose: Use) -> Option<&Saying> {
        self.log
            .iter()
            .rev()
            .map(|n| &self.sayings[*n])
            .find(|said| said.who == who && said.uses.contains(&purpose))
    }

    /// As recovery and the mix do.
    pub(super) fn replayed(&self) -> Gate {
        let gate = Gate::new(&Use::ALL);
        let log: Vec<Entry> = (0..self.log.len()).map(|n| self.entry(n)).collect();
        gate.replay(&log);
        gate
    }
}
