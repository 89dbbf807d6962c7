//! The gate: the only place where captured media can become something that may be kept.
//!
//! [`Gate::admit`] is the one constructor of [`Admitted`]. It asks for the *use*, the participant,
//! the arrival time and the span of capture time, and answers with the value wrapped, or with a
//! [`Refusal`]. Every exit (seal, upload, decode, store, send) asks [`Gate::still`] again, because
//! a withdrawal cuts what is already inside by its capture time.
//!
//! Default deny: a participant that the gate has no open grant for is refused. Rules that make it
//! fail closed:
//! * a **grant** ([`Gate::apply`]) opens from the moment it is applied, which is after its commit;
//! * a **withdrawal** ([`Gate::withdraw`]) closes at once, before anything is durable, and holds
//!   until its own entry is read back from the log; a grant that the log orders *before* it can
//!   never reopen what it closed;
//! * a **hold** closes a use for everybody (policy `all`, a log that cannot be read).
//!
//! One owner writes (the meeting's loop); graph threads read. The lock is never held across
//! anything but a look-up.

use crate::{
    consent::{ConsentStatus, Use},
    id::{ConsentId, ParticipantId},
    late::late,
    time::{MeetingTime, Micros, Span},
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::collections::{BTreeMap, BTreeSet};

mod admitted;
mod live;

pub use admitted::{Admitted, Pass, Purpose, Recording, Transcription};
pub use live::Live;

/// Why something was not let in. Counted by reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Refusal {
    /// The meeting does not use media for this at all.
    Off,
    /// The participant has not agreed (yet), or no longer.
    NoConsent,
    /// Agreed, but the use is paused for everybody.
    Held,
}

impl Refusal {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoConsent => "no_consent",
            Self::Held => "held",
        }
    }
}

/// What an exit may do with something admitted earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Keep,
    /// Only what was captured before this instant may go on.
    Cut(MeetingTime),
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    from: MeetingTime,
    until: Option<MeetingTime>,
    entry: i64,
}

#[derive(Default)]
struct Grants {
    /// Spans in which the participant's consent stood, oldest first, never overlapping.
    open: Vec<Open>,
    /// The highest log entry applied, and whether it agrees.
    entry: i64,
    accepted: bool,
    /// Withdrawals received and not yet seen in the log.
    pending: Vec<ConsentId>,
    /// Refusals seen in the log: a message about one of them is late and changes nothing.
    logged: BTreeSet<ConsentId>,
}

impl Grants {
    fn close(&mut self, at: MeetingTime) {
        for span in &mut self.open {
            if span.until.is_none_or(|until| at < until) {
                span.until = Some(at.max(span.from));
            }
        }
    }
}

#[derive(Default)]
struct State {
    grants: BTreeMap<(ParticipantId, Use), Grants>,
    /// Spans in which a use was closed for everybody; an open end is a hold in force.
    holds: BTreeMap<Use, Vec<(MeetingTime, Option<MeetingTime>)>>,
    /// Whom the others hear and see.
    live: BTreeSet<ParticipantId>,
}

/// One meeting's gate: whose media may be kept for what, since when.
pub struct Gate {
    uses: Vec<Use>,
    state: RwLock<State>,
}

/// An entry as read from the ConsentLog.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub entry: i64,
    pub id: ConsentId,
    pub participant: ParticipantId,
    pub uses: Vec<Use>,
    pub status: ConsentStatus,
    /// Its time stamp on the meeting's timeline: for a withdrawal, when it was received.
    pub at: MeetingTime,
}

impl Gate {
    /// A gate for the uses that the meeting's settings turn on; nobody is granted anything yet.
    pub fn new(uses: &[Use]) -> Self {
        Self {
            uses: uses.to_vec(),
            state: RwLock::default(),
        }
    }

    /// Whether the meeting's settings turn this use on.
    pub fn uses(&self, purpose: Use) -> bool {
        self.uses.contains(&purpose)
    }

    /// Applies an entry read from the log at `now`. Entries at or below the last one applied change
    /// nothing, so a late or repeated message is harmless.
    pub fn apply(&self, entry: &Entry, now: MeetingTime) {
        let mut state = self.write();
        for &purpose in &entry.uses {
            let grants = state
                .grants
                .entry((entry.participant, purpose))
                .or_default();
            if entry.entry <= grants.entry {
                continue;
            }
            grants.entry = entry.entry;
            grants.accepted = entry.status.accepts();
            let was_pending = grants.pending.len();
            grants.pending.retain(|id| *id != entry.id);
            if !entry.status.accepts() {
                grants.logged.insert(entry.id);
                // Told before and closed at its receipt already: the log can only move the cut
                // earlier.
                grants.close(if was_pending > grants.pending.len() {
                    entry.at
                } else {
                    entry.at.min(now)
                });
            } else if grants.pending.is_empty()
                && grants.open.last().is_none_or(|open| open.until.is_some())
            {
                grants.open.push(Open {
                    from: now,
                    until: None,
                    entry: entry.entry,
                });
            }
        }
    }

    /// A withdrawal (or refusal) received but not yet durable: closes at `at`, and keeps closed
    /// until the entry with this id was read from the log. One that was read already changes
    /// nothing (`false`): the message is late, and what the log orders behind it stands.
    pub fn withdraw(
        &self,
        id: ConsentId,
        participant: ParticipantId,
        uses: &[Use],
        at: MeetingTime,
    ) -> bool {
        let mut state = self.write();
        let mut acts = false;
        for &purpose in uses {
            let grants = state.grants.entry((participant, purpose)).or_default();
            if grants.logged.contains(&id) {
                continue;
            }
            acts = true;
            grants.close(at);
            if !grants.pending.contains(&id) {
                grants.pending.push(id);
            }
        }
        acts
    }

    /// A withdrawal turned out to have been said before, under another id, and the log up to then
    /// is applied: what it says stands. Where that is a grant, it opens again from `now`.
    pub fn said_before(
        &self,
        id: ConsentId,
        participant: ParticipantId,
        uses: &[Use],
        now: MeetingTime,
    ) {
        let mut state = self.write();
        for &purpose in uses {
            let grants = state.grants.entry((participant, purpose)).or_default();
            grants.pending.retain(|pending| *pending != id);
            grants.logged.insert(id);
            let shut = grants.open.last().is_none_or(|open| open.until.is_some());
            if grants.accepted && grants.pending.is_empty() && shut {
                grants.open.push(Open {
                    from: now,
                    until: None,
                    entry: grants.entry,
                });
            }
        }
    }

    /// Replays a log written earlier (recovery, the mix): a grant opens at its own time stamp, not
    /// at reading.
    pub fn replay<'a>(&self, log: impl IntoIterator<Item = &'a Entry>) {
        for entry in log {
            self.apply(entry, entry.at);
        }
    }

    /// Closes a use for everybody from `at`; a second hold changes nothing.
    pub fn hold(&self, purpose: Use, at: MeetingTime) {
        let mut state = self.write();
        let holds = state.holds.entry(purpose).or_default();
        if holds.last().is_none_or(|(_, until)| until.is_some()) {
            holds.push((at, None));
        }
    }

    /// Ends the hold in force at `at`.
    pub fn release(&self, purpose: Use, at: MeetingTime) {
        if let Some((from, until @ None)) =
            self.write().holds.entry(purpose).or_default().last_mut()
        {
            *until = Some(at.max(*from));
        }
    }

    /// Whether any use would let a packet of this participant in that arrived at `arrived`. Asked
    /// before the packet touches any buffer; says nothing about what may be done with it.
    pub fn lets_in(&self, participant: ParticipantId, arrived: MeetingTime) -> Result<(), Refusal> {
        let span = Span::new(arrived, arrived);
        let state = self.read();
        let mut why = Refusal::Off;
        for purpose in Use::ALL {
            match self.look(&state, purpose, participant, arrived, span) {
                Ok(_) => return Ok(()),
                Err(refusal) => why = why.max(refusal),
            }
        }
        Err(why)
    }

    /// Lets a value through for the purpose `P`, or says why not. `span` is its capture time,
    /// `arrived` when it reached us: what arrives after a withdrawal is refused whatever its
    /// capture time says.
    pub fn admit<P: Purpose, T>(
        &self,
        participant: ParticipantId,
        arrived: MeetingTime,
        span: Span,
        value: T,
    ) -> Result<Admitted<P, T>, Refusal> {
        let entry = self.look(&self.read(), P::USE, participant, arrived, span)?;
        let pass = Pass {
            participant,
            span,
            entry,
            late: late(span, arrived),
        };
        Ok(Admitted::new(value, pass))
    }

    /// Lets a packet through of which more can be had than the sound of its `span` (redundancy):
    /// all that it `holds` must have been allowed.
    pub fn admit_whole<P: Purpose, T>(
        &self,
        participant: ParticipantId,
        arrived: MeetingTime,
        holds: Span,
        span: Span,
        value: T,
    ) -> Result<Admitted<P, T>, Refusal> {
        self.look(&self.read(), P::USE, participant, arrived, holds)?;
        self.admit(participant, arrived, span, value)
    }

    /// What an exit may still do with media that was admitted earlier.
    pub fn still<P: Purpose>(&self, pass: &Pass) -> Verdict {
        let state = self.read();
        let opened = |grants: &Grants| {
            // One entry may have opened twice; a span begins in the one that admitted it.
            let mut of = grants
                .open
                .iter()
                .rev()
                .filter(|open| open.entry == pass.entry);
            of.clone()
                .find(|open| open.from <= pass.span.start)
                .or_else(|| of.next_back())
                .copied()
        };
        let Some(open) = state
            .grants
            .get(&(pass.participant, P::USE))
            .and_then(opened)
        else {
            return Verdict::Drop;
        };
        let mut cut = open
            .until
            .map_or(MeetingTime::MAX, |until| until - pass.late);
        let made = Span::new(pass.span.start, pass.span.end + pass.late);
        for (from, until) in state.holds.get(&P::USE).into_iter().flatten() {
            if made.overlaps(Span::new(*from, until.unwrap_or(MeetingTime::MAX))) {
                cut = cut.min(*from - pass.late);
            }
        }
        if pass.span.end <= cut {
            Verdict::Keep
        } else if pass.span.start < cut {
            Verdict::Cut(cut)
        } else {
            Verdict::Drop
        }
    }

    /// The highest log entry applied to anybody; the next read of the log starts above it.
    pub fn applied(&self) -> i64 {
        self.read()
            .grants
            .values()
            .map(|grants| grants.entry)
            .max()
            .unwrap_or(0)
    }

    /// Whether this participant is granted the use now (holds apart).
    pub fn is_open(&self, participant: ParticipantId, purpose: Use) -> bool {
        self.uses(purpose)
            && self
                .read()
                .grants
                .get(&(participant, purpose))
                .is_some_and(|grants| grants.open.last().is_some_and(|open| open.until.is_none()))
    }

    /// Spans in which media of this participant was allowed for the use, holds taken out, oldest
    /// first. The last may end at [`MeetingTime::MAX`]. What the mix is cut by.
    pub fn allowed(&self, participant: ParticipantId, purpose: Use) -> Vec<Span> {
        self.spans(participant, purpose, |_| true)
    }

    /// The same, of what this entry allowed, for sound that may have been made `late` after its
    /// place. What segments are cut by: what one entry admitted no later entry can allow.
    pub fn allowed_by(
        &self,
        participant: ParticipantId,
        purpose: Use,
        entry: i64,
        late: Micros,
    ) -> Vec<Span> {
        let mut spans = self.spans(participant, purpose, |open| open.entry == entry);
        for span in spans.iter_mut().filter(|span| span.end != MeetingTime::MAX) {
            span.end = span.end - late;
        }
        spans.retain(|span| !span.is_empty());
        spans
    }

    fn spans(
        &self,
        participant: ParticipantId,
        purpose: Use,
        wanted: impl Fn(&Open) -> bool,
    ) -> Vec<Span> {
        let state = self.read();
        let Some(grants) = state.grants.get(&(participant, purpose)) else {
            return Vec::new();
        };
        let open = grants.open.iter().filter(|open| wanted(open));
        let mut spans: Vec<Span> = open
            .map(|open| Span::new(open.from, open.until.unwrap_or(MeetingTime::MAX)))
            .collect();
        for (from, until) in state.holds.get(&purpose).into_iter().flatten() {
            let hold = Span::new(*from, until.unwrap_or(MeetingTime::MAX));
            spans = spans
                .into_iter()
                .flat_map(|span| {
                    if !span.overlaps(hold) {
                        return vec![span];
                    }
                    vec![
                        Span::new(span.start, hold.start),
                        Span::new(hold.end, span.end),
                    ]
                })
                .collect();
        }
        spans.retain(|span| !span.is_empty());
        spans
    }

    fn look(
        &self,
        state: &State,
        purpose: Use,
        participant: ParticipantId,
        arrived: MeetingTime,
        span: Span,
    ) -> Result<i64, Refusal> {
        if !self.uses(purpose) {
            return Err(Refusal::Off);
        }
        let grants = state
            .grants
            .get(&(participant, purpose))
            .ok_or(Refusal::NoConsent)?;
        let open = grants
            .open
            .iter()
            .rev()
            .find(|open| {
                let until = open.until.unwrap_or(MeetingTime::MAX);
                open.from <= span.start
                    && span.end <= until
                    && open.from <= arrived
                    && arrived < until
            })
            .ok_or(Refusal::NoConsent)?;
        let held = state
            .holds
            .get(&purpose)
            .into_iter()
            .flatten()
            .any(|(from, until)| {
                let hold = Span::new(*from, until.unwrap_or(MeetingTime::MAX));
                span.overlaps(hold)
                    || (hold.start <= span.start && span.start < hold.end)
                    || (hold.start <= arrived && arrived < hold.end)
            });
        if held {
            Err(Refusal::Held)
        } else {
            Ok(open.entry)
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}

#[cfg(test)]
mod tests;
