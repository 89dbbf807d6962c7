//! A worker dies, and another claims the meeting.

use super::{Event, World};
use crate::worker::Worker;
use hansard_domain::{
    consent::Use,
    limits::HEADS_POLL,
    log_reader::LogReader,
    meeting::Input,
    settings::{MeetingSettings, RecordingMode},
    time::MeetingTime,
};

impl World {
    pub(super) fn crash(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        self.left.extend(worker.on_disk());
        self.blocks += worker.stored.made;
        self.words.extend(worker.words);
        self.life += 1;
        if self.twice.chance(0.3) {
            // Its machine is gone, and the journal with it: whoever answered 202 repeats.
            self.sayings
                .iter_mut()
                .for_each(|said| said.journalled = false);
        }
    }

    /// A worker claims the meeting: the journal first, then the log, then the streams; and the dead
    /// one's spool.
    pub(super) fn restart(&mut self) {
        if self.worker.is_some() {
            return;
        }
        if !self.postgres {
            self.after(100_000, Event::Restart);
            return;
        }
        let now = MeetingTime(self.now);
        let recording = if self.plan.uses.contains(&Use::Recording) {
            RecordingMode::Audio
        } else {
            RecordingMode::Off
        };
        let settings = MeetingSettings {
            ai_enabled: self.plan.uses.contains(&Use::Transcription),
            recording,
            consent_policy: self.plan.policy,
            ..MeetingSettings::default()
        };
        let mut worker = Worker::new(settings, now);
        self.reader = LogReader::default();
        self.known.clear();
        self.seen.clear();
        self.unreachable_since = None;
        let journal: Vec<usize> = (0..self.sayings.len())
            .filter(|n| self.sayings[*n].journalled)
            .collect();
        for saying in &journal {
            let said = &self.sayings[*saying];
            let at = MeetingTime(said.received);
            let (id, participant, uses, status) =
                (said.id, said.who, said.uses.clone(), said.status);
            worker.input(
                Input::Withdrawn {
                    id,
                    participant,
                    uses,
                    status,
                    at,
                },
                now,
            );
            worker.owes.insert(*saying);
            self.known.insert(*saying, self.now);
        }
        self.worker = Some(worker);
        // The dead one's spool, by the log as it is now and the journal.
        let gate = self.replayed();
        for saying in &journal {
            let said = &self.sayings[*saying];
            gate.withdraw(said.id, said.who, &said.uses, MeetingTime(said.received));
        }
        self.left = Worker::recut(&gate, std::mem::take(&mut self.left), &self.sounds);
        self.read(Some((self.log.len(), self.listed(), self.roster)));
        for stream in 0..self.senders.len() {
            if self.senders[stream].open {
                self.open(stream);
            }
        }
        if self.life == 0 {
            self.after(HEADS_POLL.0, Event::Poll);
        }
    }
}
