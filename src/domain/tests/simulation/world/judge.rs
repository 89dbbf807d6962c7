//! Holds what came out of the worker against what is true.

use super::{FRAME, Piece, Saying, Sound, World};
use crate::worker::Worker;
use hansard_domain::{
    consent::Use, id::ParticipantId, limits::UNREACHABLE_AFTER, settings::ConsentPolicy,
    time::MeetingTime,
};
use std::collections::BTreeSet;

/// What placing sound on the timeline may be off (µs), beside the path's shortest delay.
const OFF: i64 = 12_000;

impl World {
    /// When each use had to be closed for everybody, as it comes to be.
    pub(super) fn note_holds(&mut self) {
        for purpose in Use::ALL {
            let held = self.must_hold(purpose);
            let spans = self.holds.entry(purpose).or_default();
            match spans.last_mut() {
                Some((_, until @ None)) if !held => *until = Some(self.now),
                Some((_, Some(_))) | None if held => spans.push((self.now, None)),
                _ => {}
            }
        }
    }

    /// Whether the worker, by what it was told, may not capture anybody for this.
    fn must_hold(&self, purpose: Use) -> bool {
        let unreachable = self
            .unreachable_since
            .is_some_and(|since| self.now - since >= UNREACHABLE_AFTER.0);
        if self.plan.policy != ConsentPolicy::All || self.worker.is_none() {
            return unreachable;
        }
        let talking = self
            .senders
            .iter()
            .filter(|sender| sender.connected)
            .map(|sender| self.people[sender.who]);
        let here: BTreeSet<ParticipantId> = self.seen.iter().copied().chain(talking).collect();
        unreachable
            || here
                .into_iter()
                .any(|who| !self.accepts_as_told(who, purpose))
    }

    fn accepts_as_told(&self, who: ParticipantId, purpose: Use) -> bool {
        let about =
            |n: &usize| self.sayings[*n].who == who && self.sayings[*n].uses.contains(&purpose);
        let applied = &self.log[..self.applied()];
        let pending = self
            .known
            .keys()
            .filter(|n| about(n))
            .any(|n| !applied.contains(n));
        !pending
            && applied
                .iter()
                .rev()
                .find(|n| about(n))
                .is_some_and(|n| self.sayings[*n].accepts())
    }

    /// What came out since the last step: admitted by an entry of its speaker's that stood, and not
    /// while held.
    pub(super) fn judge_new(&mut self) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        let fresh = std::mem::take(&mut worker.fresh);
        for (purpose, piece) in fresh {
            self.judge_piece(purpose, &piece);
            self.judge_opening(&piece);
            let arrived = self.sounds[piece.sound].arrived;
            for (from, until) in self.holds.get(&purpose).into_iter().flatten() {
                let held = *from < arrived && until.is_none_or(|until| arrived < until);
                assert!(
                    !held,
                    "{piece:?} arrived at {arrived}, held from {from} for {purpose:?}"
                );
            }
        }
    }

    /// A grant opens when it is applied: what was made before does not come in, however late it
    /// arrives. By the timeline, which may say later than true at a stream's beginning.
    fn judge_opening(&self, piece: &Piece) {
        let applied = MeetingTime(self.known[&self.log[piece.entry as usize - 1]]);
        assert!(
            applied <= piece.kept.start,
            "{piece:?} begins before its grant was applied at {applied:?}"
        );
        let sound = self.sounds[piece.sound];
        let Some(before) = sound.repeats else { return };
        // As much later than its true time as the packet itself is placed.
        let before = before + (piece.placed.start.0 - sound.made).max(0);
        let whole = applied.0 <= before + OFF;
        assert!(
            whole,
            "{piece:?} brings back what was made at {before}, before its grant was applied at {applied:?}"
        );
    }

    /// Everything in the worker's hands and what was left before, by what the worker knows now.
    pub(super) fn judge(&self) {
        let Some(worker) = &self.worker else { return };
        for piece in worker.recorded().chain(&self.left) {
            self.judge_piece(Use::Recording, piece);
        }
        for piece in worker.open_words() {
            self.judge_piece(Use::Transcription, &piece);
        }
        for (purpose, piece) in worker.recorded().map(|p| (Use::Recording, *p)) {
            let spans = worker.gate().allowed(self.sounds[piece.sound].who, purpose);
            let inside = spans
                .iter()
                .any(|span| span.start <= piece.kept.start && piece.kept.end <= span.end);
            assert!(
                inside,
                "{piece:?} is recorded and not in what is allowed: {spans:?}"
            );
        }
    }

    fn judge_piece(&self, purpose: Use, piece: &Piece) {
        assert!(
            self.plan.uses.contains(&purpose),
            "{piece:?}: {purpose:?} is off"
        );
        let Sound {
            who, made, arrived, ..
        } = self.sounds[piece.sound];
        let grant = usize::try_from(piece.entry - 1)
            .ok()
            .and_then(|n| self.log.get(n))
            .map(|n| &self.sayings[*n]);
        let grant = grant.unwrap_or_else(|| panic!("{piece:?} names no entry"));
        let its = grant.who == who && grant.accepts() && grant.uses.contains(&purpose);
        assert!(its, "{piece:?} of {who} names {grant:?}");
        let (committed, place) = grant.committed.expect("it is in the log");
        assert!(
            committed <= arrived,
            "{piece:?} arrived at {arrived}, before its grant was committed at {committed}"
        );
        // Where the kept part ends in true time.
        let end = made + FRAME - (piece.placed.end - piece.kept.end).0;
        for (saying, told) in &self.known {
            let said = &self.sayings[*saying];
            if said.who != who || said.accepts() || !said.uses.contains(&purpose) {
                continue;
            }
            if said.committed.is_some_and(|(_, before)| before < place) {
                continue;
            }
            assert!(
                arrived <= *told,
                "{piece:?} arrived at {arrived}, refused from {told} on"
            );
            let cut = said.received + OFF;
            assert!(
                end <= cut,
                "{piece:?} was made until {end}, withdrawn at {} and told at {told}",
                said.received
            );
        }
    }

    /// Everything has arrived: the files as they are made in the end, and whether those who agree
    /// are heard.
    pub(super) fn judge_the_end(mut self) -> usize {
        let at = self.now;
        if let Some(worker) = self.worker.take() {
            assert_eq!(
                self.applied(),
                self.log.len(),
                "the worker has read the whole log"
            );
            self.judge_heard(&worker, at);
            self.left.extend(worker.on_disk());
            self.blocks += worker.stored.made;
        }
        for n in 0..self.log.len() {
            self.known.entry(self.log[n]).or_insert(i64::MAX);
        }
        let files = Worker::recut(
            &self.replayed(),
            std::mem::take(&mut self.left),
            &self.sounds,
        );
        for piece in &files {
            self.judge_piece(Use::Recording, piece);
        }
        self.blocks
    }

    fn judge_heard(&self, worker: &Worker, at: i64) {
        let from = at - 1_500_000;
        for purpose in self.plan.uses.clone() {
            // Who went before the store was seen to have it counts as there for 30 s, longer than
            // this.
            let waits = !worker.waiting_for().is_empty();
            let held = self.must_hold(purpose);
            for who in &self.people {
                let agrees = self.last_said(*who, purpose).is_some_and(Saying::accepts);
                let late = |sound: &Sound| {
                    sound.who == *who && (from..at - 500_000).contains(&sound.arrived)
                };
                let sent = self.sounds.iter().filter(|sound| late(sound)).count();
                let heard: BTreeSet<usize> = worker
                    .admitted
                    .iter()
                    .filter(|(of, sound)| *of == purpose && late(&self.sounds[*sound]))
                    .map(|(_, sound)| *sound)
                    .collect();
                if agrees && !held && !waits && sent > 20 {
                    assert!(
                        heard.len() * 10 > sent * 7,
                        "{who} agreed to {purpose:?}: {} of {sent} heard",
                        heard.len()
                    );
                }
                assert!(
                    (agrees && !held) || heard.is_empty(),
                    "{who} did not agree to {purpose:?}, or it is held"
                );
            }
        }
    }
}
