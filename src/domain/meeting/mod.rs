//! One running meeting: who is present, what is held, when streams and the meeting end, and what
//! the meeting is told.
//!
//! `handle(input, now)` changes the state and the [`Gate`]; [`Meeting::poll_command`] gives what
//! the shell must do, until `None`; [`Meeting::poll_timeout`] says when to call
//! `handle(Input::Tick, …)` next. Media never comes here.

use crate::{
    admission::{self, Terms},
    consent::{ConsentState, ConsentStatus, Use},
    gate::{Entry, Gate},
    id::{ConsentId, ParticipantId, StreamId},
    limits::{BYE_GRACE, PRESENCE_GRACE, SOCKETS_STALE, STREAM_IDLE, UNREACHABLE_AFTER},
    recording_state::State,
    settings::MeetingSettings,
    stream::CloseReason,
    time::MeetingTime,
    word::words,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use uuid::Uuid;

mod member;
mod presence;
mod state;
mod step;

use member::{Member, Stream};
pub use step::{Command, Input, Listed};

words! {
    /// What has become of a meeting.
    pub enum MeetingStatus("status of a meeting", schema "MeetingStatus") {
        Scheduled = "scheduled",
        Live = "live",
        Ended = "ended",
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Live,
    Over,
}

pub struct Meeting {
    settings: MeetingSettings,
    /// Those that the settings turn on.
    uses: Vec<Use>,
    gate: Arc<Gate>,
    life: Life,
    present: BTreeMap<ParticipantId, Member>,
    sockets: BTreeMap<Uuid, (MeetingTime, BTreeSet<ParticipantId>)>,
    streams: BTreeMap<StreamId, Stream>,
    consent: ConsentState,
    /// Withdrawn in memory, not yet in the log.
    pending: BTreeMap<ConsentId, (ParticipantId, Vec<Use>)>,
    /// Of these, those that had been said before, each with the entry up to which the log must be
    /// applied first.
    said_before: BTreeMap<ConsentId, i64>,
    empty_since: Option<MeetingTime>,
    unreachable_since: Option<MeetingTime>,
    /// Whose sound cannot be written.
    unkept: BTreeSet<ParticipantId>,
    held: BTreeSet<Use>,
    reported: Option<State>,
    commands: VecDeque<Command>,
}

impl Meeting {
    /// A meeting as just claimed: every timer starts anew at `now`.
    pub fn new(settings: MeetingSettings, now: MeetingTime) -> Self {
        let uses = settings.uses();
        Self {
            gate: Arc::new(Gate::new(&uses)),
            uses,
            settings,
            life: Life::Live,
            present: BTreeMap::new(),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            consent: ConsentState::default(),
            pending: BTreeMap::new(),
            said_before: BTreeMap::new(),
            empty_since: Some(now),
            unreachable_since: None,
            unkept: BTreeSet::new(),
            held: BTreeSet::new(),
            reported: None,
            commands: VecDeque::new(),
        }
    }

    /// The gate, for the threads that read it. Only this machine writes to it.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When `Input::Tick` is due.
    pub fn poll_timeout(&self) -> Option<MeetingTime> {
        if self.life == Life::Over {
            return None;
        }
        let (sockets, here) = (self.with_socket(), self.here());
        let away = self
            .present
            .iter()
            .filter(|(id, member)| !member.leaving && !here.contains(id));
        let absent = away.map(|(_, member)| member.seen + PRESENCE_GRACE);
        let mute = self
            .streams
            .values()
            .filter(|stream| !stream.peer && !sockets.contains(&stream.participant));
        let idle = mute.map(|stream| stream.alive + STREAM_IDLE);
        let bye = self
            .streams
            .values()
            .filter_map(|stream| stream.bye)
            .map(|at| at + BYE_GRACE);
        let stale = self.sockets.values().map(|(at, _)| *at + SOCKETS_STALE);
        let empty = self
            .empty_since
            .map(|at| at + self.settings.end_when_empty());
        let unreachable = self
            .unreachable_since
            .map(|at| at + UNREACHABLE_AFTER)
            .filter(|_| self.held.len() < self.uses.len());
        absent
            .chain(idle)
            .chain(bye)
            .chain(stale)
            .chain(empty)
            .chain(unreachable)
            .min()
    }

    pub fn handle(&mut self, input: Input, now: MeetingTime) {
        if self.life == Life::Over {
            return;
        }
        // From when what is refused now has to be held for everybody: the receipt, which may be a
        // while ago.
        let since = match &input {
            Input::Withdrawn { at, .. } => now.min(*at),
            Input::Consent(entries) => entries
                .iter()
                .filter(|entry| !entry.status.accepts())
                .map(|entry| entry.at)
                .fold(now, MeetingTime::min),
            _ => now,
        };
        match input {
            Input::Roster(listed) => self.roster(&listed, now),
            Input::Consent(entries) => self.consent(&entries, now),
            Input::Withdrawn {
                id,
                participant,
                uses,
                status,
                at,
            } => {
                if !self.gate.withdraw(id, participant, &uses, at.min(now)) {
                    // Late: the log has it, and whatever came after it.
                    return;
                }
                self.pending.insert(id, (participant, uses.clone()));
                self.commands.push_back(Command::Recheck {
                    participant: Some(participant),
                });
                self.enforce_required(participant, &uses, status);
            }
            Input::SaidBefore { id, head } => {
                self.said_before.insert(id, head);
                self.reopen(now);
            }
            Input::Sockets { api, participants } => {
                let participants: BTreeSet<_> = participants.into_iter().collect();
                for id in &participants {
                    self.see(*id, now);
                }
                if let Some((_, before)) = self.sockets.insert(api, (now, participants)) {
                    for id in before {
                        self.see(id, now);
                    }
                }
            }
            Input::StreamOpened {
                stream,
                participant,
            } => self.stream_opened(stream, participant, false, now),
            Input::PeerStreamOpened {
                stream,
                participant,
            } => self.stream_opened(stream, participant, true, now),
            Input::StreamAlive { stream, media } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.alive = now;
                    stream.bye = stream.bye.filter(|_| !media);
                    if stream.peer {
                        let participant = stream.participant;
                        self.see(participant, now);
                    }
                }
            }
            Input::StreamBye { stream } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.bye = stream.bye.or(Some(now));
                }
            }
            Input::StreamClosed { stream } => {
                if let Some(stream) = self.streams.remove(&stream)
                    && !stream.peer
                {
                    self.see(stream.participant, now);
                }
            }
            Input::Kept {
                participant,
                kept: true,
            } => {
                self.unkept.remove(&participant);
            }
            Input::Kept {
                participant,
                kept: false,
            } => {
                self.unkept.insert(participant);
            }
            Input::Unreachable { since } => {
                self.unreachable_since = since.map(|since| since.min(now))
            }
            Input::End => self.end(true),
            Input::Tick => self.tick(now),
        }
        if self.life == Life::Live {
            self.settle(now, since);
        }
    }

    fn consent(&mut self, entries: &[Entry], now: MeetingTime) {
        for entry in entries {
            self.gate.apply(entry, now);
            self.consent
                .apply(entry.participant, &entry.uses, entry.entry, entry.status);
            self.pending.remove(&entry.id);
            if !entry.status.accepts() {
                self.commands.push_back(Command::Recheck {
                    participant: Some(entry.participant),
                });
                self.enforce_required(entry.participant, &entry.uses, entry.status);
            }
        }
        self.reopen(now);
    }

    /// Lets go of withdrawals that had been said before, once what the log says since then is
    /// applied.
    fn reopen(&mut self, now: MeetingTime) {
        let applied = self.gate.applied();
        let due: Vec<ConsentId> = self
            .said_before
            .iter()
            .filter(|(_, head)| **head <= applied)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.said_before.remove(&id);
            if let Some((participant, uses)) = self.pending.remove(&id) {
                self.gate.said_before(id, participant, &uses, now);
            }
        }
    }

    /// Under `required`, whoever takes back one of the uses turned on is removed.
    fn enforce_required(
        &mut self,
        participant: ParticipantId,
        uses: &[Use],
        status: ConsentStatus,
    ) {
        let terms = Terms {
            ended: self.life == Life::Over,
            policy: self.settings.consent_policy,
            uses: self.uses.clone(),
        };
        if !status.accepts()
            && admission::removes(&terms, uses)
            && self.present.contains_key(&participant)
        {
            self.gone(participant);
            self.commands.push_back(Command::Leave {
                participant,
                removed: true,
            });
        }
    }

    fn tick(&mut self, now: MeetingTime) {
        self.sockets.retain(|_, (at, _)| now - *at < SOCKETS_STALE);
        let sockets = self.with_socket();
        let over = |stream: &Stream| {
            let idle = !stream.peer
                && now - stream.alive >= STREAM_IDLE
                && !sockets.contains(&stream.participant);
            let bye = stream.bye.is_some_and(|at| now - at >= BYE_GRACE);
            if bye {
                Some(CloseReason::Bye)
            } else {
                idle.then_some(CloseReason::Idle)
            }
        };
        let over: Vec<_> = self
            .streams
            .iter()
            .filter_map(|(id, stream)| Some((*id, over(stream)?)))
            .collect();
        for (stream, reason) in over {
            if let Some(Stream {
                participant,
                peer: false,
                ..
            }) = self.streams.remove(&stream)
            {
                // It was there as long as its stream counted.
                self.see(participant, now);
            }
            self.commands
                .push_back(Command::CloseStream { stream, reason });
        }
        let here = self.here();
        let absent: Vec<ParticipantId> = self
            .present
            .iter()
            .filter(|(id, member)| {
                !member.leaving && !here.contains(id) && now - member.seen >= PRESENCE_GRACE
            })
            .map(|(id, _)| *id)
            .collect();
        for participant in absent {
            if let Some(member) = self.present.get_mut(&participant) {
                member.leaving = true;
            }
            self.commands.push_back(Command::Leave {
                participant,
                removed: false,
            });
        }
        if self
            .empty_since
            .is_some_and(|at| now - at >= self.settings.end_when_empty())
        {
            self.end(false);
        }
    }

    fn end(&mut self, stored: bool) {
        self.life = Life::Over;
        self.gate.set_live(BTreeSet::new());
        self.commands.push_back(Command::End { stored });
    }

    /// Brings holds, emptiness and what is told in line with the facts.
    fn settle(&mut self, now: MeetingTime, since: MeetingTime) {
        let here = self.here();
        for (_, member) in self.present.iter_mut().filter(|(id, _)| here.contains(id)) {
            member.seen = member.seen.max(now);
        }
        let anybody = self.present.values().any(|member| !member.leaving);
        self.empty_since = if anybody {
            None
        } else {
            self.empty_since.or(Some(now))
        };
        // From the loss of the last socket on a stream's five minutes count anew.
        let sockets = self.with_socket();
        for stream in self
            .streams
            .values_mut()
            .filter(|stream| sockets.contains(&stream.participant))
        {
            stream.alive = now;
        }

        let unreachable = self
            .unreachable_since
            .is_some_and(|at| now - at >= UNREACHABLE_AFTER);
        for purpose in self.uses.clone() {
            let waits = admission::holds(
                self.settings.consent_policy,
                purpose,
                self.present.keys(),
                |id, purpose| self.accepts(**id, purpose),
            );
            if (unreachable || waits) && self.held.insert(purpose) {
                self.gate.hold(purpose, since);
                self.commands
                    .push_back(Command::Recheck { participant: None });
            } else if !unreachable && !waits && self.held.remove(&purpose) {
                self.gate.release(purpose, now);
            }
        }

        let policy = self.settings.consent_policy;
        let heard = self.present.iter().filter(|(id, member)| {
            !member.leaving
                && admission::heard(policy, &self.uses, |purpose| self.accepts(**id, purpose))
        });
        self.gate.set_live(heard.map(|(id, _)| *id).collect());

        let sending: BTreeSet<_> = self
            .streams
            .values()
            .map(|stream| stream.participant)
            .collect();
        self.unkept
            .retain(|participant| sending.contains(participant));
        let state = self.state();
        if self.reported.as_ref() != Some(&state) {
            self.reported = Some(state.clone());
            // Only what holds is told: a meeting that moves is read piece by piece.
            self.commands
                .retain(|command| !matches!(command, Command::Tell(_)));
            self.commands.push_back(Command::Tell(state));
        }
    }

    fn accepts(&self, participant: ParticipantId, purpose: Use) -> bool {
        self.consent.accepts(participant, purpose)
            && !self
                .pending
                .values()
                .any(|(who, uses)| *who == participant && uses.contains(&purpose))
    }
}

#[cfg(test)]
mod tests;
