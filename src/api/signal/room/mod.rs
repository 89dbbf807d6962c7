//! One meeting's sockets in this process: who gets which event, in which order. Told the time and
//! the facts; does no IO.
//!
//! Durable events reach every member in the order of `seq` without holes: each member has its own
//! `sent`, and gets only the event after it. What comes early waits in `recent`; when a hole does
//! not fill by itself, [`Room::next_read`] asks the shell to read the store. Live messages
//! (partials, offers) pass as they come.

use super::{message, outbox::Outbox};
use crate::{
    domain::{
        close_code::{Close, Whom},
        event::EventKind,
        id::{ConsentId, ParticipantId},
        participant,
        recording_state::RecordingState,
    },
    queue::message::Published,
    store::event::{Head, KEPT_AFTER_END_H, StoredEvent},
};
use axum::extract::ws::Utf8Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Events kept for members that join or catch up: some minutes of a lively meeting.
const RECENT_MAX: usize = 256;
/// Events are published by several processes and may overtake each other by this much before the
/// store is asked.
const HOLE_PATIENCE: Duration = Duration::from_millis(30);
/// Events in one read of the store, and how long after a full page the next is read: a transaction
/// may bring a thousand events at once, and a socket that keeps up is not to be overrun by them.
pub(super) const PAGE: i64 = 32;
const PAGE_EVERY: Duration = Duration::from_millis(40);
/// Until the store is asked again after it did not answer or did not know.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// The longest that the close at the end of a meeting waits for the events before it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);
/// From seeing that a meeting ended to closing its participants, when nobody says sooner.
const CLOSE_AFTER_END: Duration = Duration::from_secs(10);
/// Withdrawals told before their commit that are remembered, so that they are told once.
const PUBLISHED_MAX: usize = 1024;

/// A socket that joined.
pub struct Member {
    /// Among the sockets of this process.
    pub number: u64,
    /// `None`: an observer.
    pub participant: Option<ParticipantId>,
    /// As whom it sees what is told of streams; `None`: everything.
    pub seen_as: Option<ParticipantId>,
    /// Among the sockets of its participant, over all processes.
    pub socket: i64,
    pub outbox: Arc<Outbox>,
    /// The last durable event when it joined.
    pub joined: i64,
    /// The last durable event that it has, or gets by other means.
    pub sent: i64,
}

struct Rendered {
    text: Utf8Bytes,
    at: DateTime<Utc>,
    /// A `consent_updated`, whose text for the socket that asked differs.
    consent: Option<(ConsentId, Value)>,
    /// Whose streams it tells of, and the text for all others.
    streams: Option<(ParticipantId, Utf8Bytes)>,
}

struct Ended {
    seen: Instant,
    at: DateTime<Utc>,
}

struct Closing {
    close: Close,
    whom: Whom,
    by: Instant,
}

#[derive(Default)]
pub struct Room {
    members: HashMap<u64, Member>,
    recent: BTreeMap<i64, Rendered>,
    /// The highest `seq` that exists, as far as is known.
    known: i64,
    /// A member lacks an event since then.
    hole_since: Option<Instant>,
    /// The store is to be read though no hole is known: something may have been lost.
    doubt: bool,
    /// The shell is reading the store.
    reading: bool,
    read_not_before: Option<Instant>,
    /// The highest socket number of each participant.
    latest: HashMap<ParticipantId, i64>,
    /// The event that last removed each participant: a socket that joined before it is closed.
    out: HashMap<ParticipantId, i64>,
    published: VecDeque<ConsentId>,
    ended: Option<Ended>,
    /// The last `recording_state` that may end an observer's stay.
    outcome: Option<(i64, DateTime<Utc>)>,
    closing: Option<Closing>,
    /// The participants were closed because the meeting ended.
    dismissed: bool,
}

impl Room {
    pub fn attach(&mut self, member: Member, now: Instant) {
        if let Some(participant) = member.participant {
            let latest = self.latest.entry(participant).or_insert(member.socket);
            if member.socket < *latest {
                member.outbox.close(Close::Replaced);
                return;
            }
            self.replaced(participant, member.socket);
            if self.dismissed {
                member.outbox.close(Close::Ended);
                return;
            }
            if self.is_out(&member) {
                member.outbox.close(Close::NotAllowed);
                return;
            }
        }
        self.known = self.known.max(member.sent);
        self.members.insert(member.number, member);
        self.pump(now);
    }

    pub fn detach(&mut self, number: u64) {
        self.members.remove(&number);
    }

    /// Which participants have a socket here.
    pub fn participants(&self) -> BTreeSet<ParticipantId> {
        self.members
            .values()
            .filter_map(|member| member.participant)
            .collect()
    }

    pub fn published(&mut self, message: Published, now: Instant) {
        match message {
            Published::Event {
                seq,
                kind,
                at,
                data,
            } => {
                self.keep(StoredEvent {
                    seq,
                    kind,
                    at,
                    data,
                });
                self.pump(now);
            }
            Published::Live { kind, data, to } => self.live(&kind, &data, to),
            Published::Close { close, whom } => self.close(close, whom, now),
            Published::Replaced {
                participant,
                socket,
            } => self.replaced(participant, socket),
        }
    }

    /// Something may have been lost.
    pub fn doubt(&mut self) {
        self.doubt = true;
    }

    /// The head as the store has it.
    pub fn head(&mut self, head: &Head, wall: DateTime<Utc>, now: Instant) {
        self.known = self.known.max(head.seq);
        if let (true, Some(at)) = (head.ended, head.end_time) {
            self.ended.get_or_insert(Ended { seen: now, at });
            if wall > at + TimeDelta::hours(KEPT_AFTER_END_H) {
                self.close_now(Close::Ended, Whom::Everybody);
            }
        }
        self.pump(now);
    }

    /// After which event the shell shall read the store now, at most [`PAGE`]; it answers with
    /// [`Room::read`] or [`Room::read_failed`].
    pub fn next_read(&mut self, now: Instant) -> Option<i64> {
        if self.reading
            || self.members.is_empty()
            || self.read_not_before.is_some_and(|at| now < at)
        {
            return None;
        }
        let hole = self
            .hole_since
            .is_some_and(|since| now >= since + HOLE_PATIENCE);
        if !self.doubt && !hole {
            return None;
        }
        self.reading = true;
        self.doubt = false;
        self.members.values().map(|member| member.sent).min()
    }

    /// What the store gave; a full page means that there may be more.
    pub fn read(&mut self, events: Vec<StoredEvent>, now: Instant) {
        self.reading = false;
        let more = events.len() as i64 >= PAGE;
        self.read_not_before = more.then(|| now + PAGE_EVERY);
        self.doubt |= more;
        let nothing = events.is_empty();
        for event in events {
            self.keep(event);
        }
        self.pump(now);
        if nothing && self.hole_since.is_some() {
            // A head that is ahead of what can be read: not at full speed.
            self.read_not_before = Some(now + READ_AGAIN);
        }
    }

    pub fn read_failed(&mut self, now: Instant) {
        self.reading = false;
        self.doubt = true;
        self.read_not_before = Some(now + READ_AGAIN);
    }

    /// When [`Room::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        if self.members.is_empty() {
            return None;
        }
        let hole = match (self.hole_since, self.doubt) {
            _ if self.reading => None,
            (_, true) => self.read_not_before,
            (Some(since), false) => {
                Some((since + HOLE_PATIENCE).max(self.read_not_before.unwrap_or(since)))
            }
            (None, false) => None,
        };
        let closing = self.closing.as_ref().map(|closing| closing.by);
        [hole, closing, self.dismissal()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When participants are closed though nobody said so.
    fn dismissal(&self) -> Option<Instant> {
        let due = self
            .ended
            .as_ref()
            .map(|ended| ended.seen + CLOSE_AFTER_END);
        due.filter(|_| !self.dismissed && self.closing.is_none())
    }

    pub fn tick(&mut self, now: Instant) {
        if self.dismissal().is_some_and(|due| now >= due) {
            self.close(Close::Ended, Whom::Participants, now);
        }
        self.settle(now);
    }

    fn keep(&mut self, event: StoredEvent) {
        self.known = self.known.max(event.seq);
        if self.recent.contains_key(&event.seq) {
            return;
        }
        if event
            .recording_state()
            .is_some_and(RecordingState::is_outcome)
            && self.outcome.is_none_or(|(seq, _)| seq < event.seq)
        {
            self.outcome = Some((event.seq, event.at));
        }
        if let Some(participant) = removed(&event) {
            let out = self.out.entry(participant).or_insert(event.seq);
            *out = event.seq.max(*out);
        }
        let (kind, durable) = (event.kind.as_str(), Some((event.seq, event.at)));
        let text = message::envelope(kind, None, durable, &event.data);
        let consent = (event.kind == EventKind::ConsentUpdated)
            .then(|| consent_id(&event.data))
            .flatten();
        if let Some(id) = consent {
            // It is never told as undurable after this.
            self.remember(id);
        }
        let streams = streams_of(&event.data).map(|owner| {
            let data = participant::seen_by(Some(ParticipantId(Uuid::nil())), event.data.clone());
            (owner, message::envelope(kind, None, durable, &data))
        });
        self.recent.insert(
            event.seq,
            Rendered {
                text,
                at: event.at,
                consent: consent.map(|id| (id, event.data)),
                streams,
            },
        );
    }

    /// Gives every member what comes next for it.
    fn pump(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            while let Some(event) = self.recent.get(&(member.sent + 1)) {
                member.sent += 1;
                let asked = event
                    .consent
                    .as_ref()
                    .and_then(|(id, data)| Some((member.outbox.expected(*id)?, data)));
                let others = event
                    .streams
                    .as_ref()
                    .filter(|(owner, _)| member.seen_as.is_some_and(|p| p != *owner));
                member.outbox.push(match (asked, others) {
                    (Some((re, data)), _) => {
                        let kind = EventKind::ConsentUpdated.as_str();
                        message::envelope(kind, Some(&re), Some((member.sent, event.at)), data)
                    }
                    (None, Some((_, text))) => text.clone(),
                    (None, None) => event.text.clone(),
                });
            }
        }
        while self.recent.len() > RECENT_MAX {
            self.recent.pop_first();
        }
        // Also those who lack something before it: they hear nothing more.
        for member in self.members.values().filter(|member| self.is_out(member)) {
            member.outbox.close(Close::NotAllowed);
        }
        self.settle(now);
    }

    /// Whether its participant was removed after it joined.
    fn is_out(&self, member: &Member) -> bool {
        let out = member
            .participant
            .and_then(|participant| self.out.get(&participant));
        out.is_some_and(|seq| *seq > member.joined)
    }

    fn settle(&mut self, now: Instant) {
        let behind = self.members.values().any(|member| member.sent < self.known);
        self.hole_since = if behind {
            self.hole_since.or(Some(now))
        } else {
            None
        };
        let complete = !behind && !self.doubt && !self.reading;
        if let Some(closing) = self
            .closing
            .take_if(|closing| complete || now >= closing.by)
        {
            self.close_now(closing.close, closing.whom);
            self.dismissed |= matches!(closing.whom, Whom::Participants | Whom::Everybody);
        }
        // Observers stay until they know how the meeting came out.
        if let (Some(ended), Some((seq, at))) = (&self.ended, self.outcome)
            && at >= ended.at
        {
            for member in self
                .members
                .values()
                .filter(|member| member.participant.is_none() && member.sent >= seq)
            {
                member.outbox.close(Close::Ended);
            }
        }
    }

    fn live(&mut self, kind: &str, data: &Value, to: Option<ParticipantId>) {
        let consent = (kind == EventKind::ConsentUpdated.as_str())
            .then(|| consent_id(data))
            .flatten();
        if let Some(id) = consent {
            if self.published.contains(&id) {
                return;
            }
            self.remember(id);
        }
        let text = message::envelope(kind, None, None, data);
        for member in self.members.values() {
            if to.is_some() && member.participant != to {
                continue;
            }
            if let Some(re) = consent.and_then(|id| member.outbox.expected(id)) {
                member
                    .outbox
                    .push(message::envelope(kind, Some(&re), None, data));
            } else if kind == EventKind::TranscriptUpdate.as_str() {
                member.outbox.push_skippable(text.clone());
            } else {
                member.outbox.push(text.clone());
            }
        }
    }

    fn remember(&mut self, id: ConsentId) {
        if self.published.contains(&id) {
            return;
        }
        if self.published.len() >= PUBLISHED_MAX {
            self.published.pop_front();
        }
        self.published.push_back(id);
    }

    fn close(&mut self, close: Close, whom: Whom, now: Instant) {
        if close == Close::Ended {
            // The end comes after everything that happened before it.
            self.doubt = true;
            self.closing.get_or_insert(Closing {
                close,
                whom,
                by: now + CLOSE_PATIENCE,
            });
        } else {
            self.close_now(close, whom);
        }
    }

    fn close_now(&self, close: Close, whom: Whom) {
        for member in self.members.values() {
            let meant = match whom {
                Whom::Everybody => true,
                Whom::Participants => member.participant.is_some(),
            };
            if meant {
                member.outbox.close(close);
            }
        }
    }

    fn replaced(&mut self, participant: ParticipantId, socket: i64) {
        let latest = self.latest.entry(participant).or_insert(socket);
        *latest = socket.max(*latest);
        for member in self.members.values() {
            if member.participant == Some(participant) && member.socket < socket {
                member.outbox.close(Close::Replaced);
            }
        }
    }
}

/// Whose streams an event tells of, if any.
fn streams_of(data: &Value) -> Option<ParticipantId> {
    data["streams"]
        .as_array()
        .filter(|streams| !streams.is_empty())?;
    data["id"].as_str()?.parse().ok()
}

/// Whom the event removes.
fn removed(event: &StoredEvent) -> Option<ParticipantId> {
    if !matches!(
        event.kind,
        EventKind::ParticipantLeft | EventKind::ParticipantUpdated
    ) || event.data["removed"].is_null()
    {
        return None;
    }
    event.data["id"].as_str()?.parse().ok()
}

fn consent_id(data: &Value) -> Option<ConsentId> {
    data["id"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
