//! Senders: how they come to be listened to, from where they send, and who sends to the wrong port.

use super::{Event, Made, Sound, World};
use hansard_domain::{
    settings::ConsentPolicy,
    source::SILENT,
    time::{MeetingTime, Micros},
    timeline::Header,
};

/// What may lie between a sender's move and its first packet from there: its path, a pause,
/// standing still.
const MOVED: Micros = Micros::from_secs(3);

impl World {
    pub(super) fn connect(&mut self, stream: usize) {
        let who = self.people[self.senders[stream].who];
        let missing = self.plan.policy == ConsentPolicy::Required
            && self.plan.uses.iter().any(|purpose| {
                self.last_said(who, *purpose)
                    .is_none_or(|said| !said.accepts())
            });
        if !self.postgres || !self.queue || self.worker.is_none() || missing {
            // The client tries again.
            self.after(300_000, Event::Connect { stream });
            return;
        }
        self.present.insert(who);
        self.senders[stream].open = true;
        self.roster += 1;
        let wait = self.upto(20_000);
        self.after(wait, Event::Opened { stream });
    }

    pub(super) fn open(&mut self, stream: usize) {
        let sender = &mut self.senders[stream];
        let who = self.people[sender.who];
        if let Some(worker) = self.worker.as_mut().filter(|_| sender.open) {
            (sender.connected, sender.since) = (true, self.now);
            worker.open(
                sender.id,
                who,
                (sender.terms.clone(), sender.latched),
                MeetingTime(self.now),
            );
        }
    }

    pub(super) fn hang(&mut self, stream: usize) {
        (self.senders[stream].open, self.senders[stream].connected) = (false, false);
        if let Some(worker) = &mut self.worker {
            worker.close(self.senders[stream].id, MeetingTime(self.now), &self.sounds);
        }
    }

    pub(super) fn packet(&mut self, stream: usize, header: Header, (made, repeats): Made) {
        let sender = &self.senders[stream];
        let who = self.people[sender.who];
        let Some(worker) = self.worker.as_mut().filter(|_| sender.connected) else {
            return;
        };
        let from = sender
            .moves
            .filter(|(at, _)| made >= *at)
            .map_or(sender.from, |(_, to)| to);
        let now = Micros(self.now);
        let taken = worker.takes(sender.id, from, now);
        let long_moved = sender
            .moves
            .is_some_and(|(at, _)| now - Micros(at.max(sender.since)) > SILENT + MOVED);
        assert!(
            taken || !sender.terms.relatch || !long_moved,
            "{from} moved long ago and is not heard"
        );
        if !taken {
            return;
        }
        self.senders[stream].latched = Some(from);
        let sender = &self.senders[stream];
        let sound = self.sounds.len();
        self.sounds.push(Sound {
            who,
            made,
            arrived: self.now,
            repeats,
        });
        worker.packet(sender.id, &header, sound, MeetingTime(self.now));
    }

    /// A neighbour's packet, with the very SSRC. Nobody could tell it from the stream's own if that
    /// sent nothing yet.
    pub(super) fn stray(&mut self, to: usize, stream: usize, header: Header) {
        let (sender, own) = (&self.senders[stream], &self.senders[to]);
        let Some(worker) = self
            .worker
            .as_mut()
            .filter(|_| own.connected && own.latched.is_some())
        else {
            return;
        };
        if worker.takes(own.id, sender.from, Micros(self.now)) {
            let sound = Sound {
                who: self.people[sender.who],
                made: self.now,
                arrived: self.now,
                repeats: None,
            };
            self.sounds.push(sound);
            worker.packet(
                own.id,
                &header,
                self.sounds.len() - 1,
                MeetingTime(self.now),
            );
        }
    }
}
