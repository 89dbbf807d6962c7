//! Presence, idle streams and the end, over minutes, without any media.

use super::random::Random;
use hansard_domain::{
    id::{ParticipantId, StreamId},
    limits::{BYE_GRACE, PRESENCE_GRACE, SOCKETS_STALE, STREAM_IDLE},
    meeting::{Command, Input, Listed, Meeting},
    settings::MeetingSettings,
    stream::CloseReason,
    time::{MeetingTime, Micros},
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The truth, kept apart from the rules.
#[derive(Default)]
struct Truth {
    /// Sockets per `api`, and when it last said so.
    sockets: BTreeMap<Uuid, (i64, BTreeSet<ParticipantId>)>,
    /// Whose, and when something last came.
    streams: BTreeMap<StreamId, (ParticipantId, i64)>,
    /// Who said goodbye and sent nothing since.
    byes: BTreeMap<StreamId, i64>,
    present: BTreeSet<ParticipantId>,
    /// The last moment at which it had a socket or a stream, or came in.
    seen: BTreeMap<ParticipantId, i64>,
    empty_since: Option<i64>,
}

impl Truth {
    fn has(&self, who: ParticipantId, now: i64) -> bool {
        self.streams.values().any(|(of, _)| *of == who) || self.has_socket(who, now)
    }

    fn has_socket(&self, who: ParticipantId, now: i64) -> bool {
        self.sockets
            .values()
            .any(|(at, who_has)| now - at < SOCKETS_STALE.0 && who_has.contains(&who))
    }

    fn look(&mut self, now: i64) {
        for who in self.present.clone() {
            if self.has(who, now) {
                self.seen.insert(who, now);
            }
        }
        self.empty_since = if self.present.is_empty() {
            self.empty_since.or(Some(now))
        } else {
            None
        };
    }
}

pub fn play(seed: u64) {
    let mut random = Random::new(seed ^ 0x77);
    let seconds = random.one(&[10, 60, 300]);
    let empty = Micros::from_secs(seconds.into());
    let settings = MeetingSettings {
        end_when_empty_seconds: seconds,
        ..MeetingSettings::default()
    };
    let mut meeting = Meeting::new(settings, MeetingTime::ZERO);
    let people: Vec<ParticipantId> = (0..3)
        .map(|n| ParticipantId(Uuid::from_u128(1 + n)))
        .collect();
    let apis: Vec<Uuid> = (0..2).map(|n| Uuid::from_u128(50 + n)).collect();
    let mut truth = Truth {
        empty_since: Some(0),
        ..Truth::default()
    };
    let (mut now, mut next, mut told_leaving) = (0i64, 0u128, BTreeSet::new());
    loop {
        // Either the rules' next deadline, or something happens before it.
        let happens = now + random.one(&[500_000, 5_000_000, 40_000_000]);
        let due = meeting
            .poll_timeout()
            .map_or(i64::MAX, |due| due.0.max(now));
        now = happens.min(due);
        truth.look(now);
        let input = if due <= happens {
            Input::Tick
        } else {
            let who = random.one(&people);
            match random.within(0, 7) {
                0 | 1 => {
                    let api = random.one(&apis);
                    let participants: Vec<ParticipantId> = people
                        .iter()
                        .copied()
                        .filter(|_| random.chance(0.4))
                        .collect();
                    truth
                        .sockets
                        .insert(api, (now, participants.iter().copied().collect()));
                    Input::Sockets { api, participants }
                }
                2 => {
                    let stream = StreamId(Uuid::from_u128(1_000 + next));
                    next += 1;
                    truth.streams.insert(stream, (who, now));
                    truth.present.insert(who);
                    truth.seen.insert(who, now);
                    told_leaving.remove(&who);
                    Input::StreamOpened {
                        stream,
                        participant: who,
                    }
                }
                3 => match truth.streams.keys().next().copied() {
                    Some(stream) if random.chance(0.5) => {
                        truth.streams.remove(&stream);
                        Input::StreamClosed { stream }
                    }
                    Some(stream) if random.chance(0.2) => {
                        truth.byes.entry(stream).or_insert(now);
                        Input::StreamBye { stream }
                    }
                    Some(stream) => {
                        truth
                            .streams
                            .insert(stream, (truth.streams[&stream].0, now));
                        let media = random.chance(0.7);
                        if media {
                            truth.byes.remove(&stream);
                        }
                        Input::StreamAlive { stream, media }
                    }
                    None => Input::Tick,
                },
                4 => {
                    if truth.present.insert(who) {
                        truth.seen.insert(who, now);
                    }
                    told_leaving.remove(&who);
                    roster(&people, &truth)
                }
                _ => roster(&people, &truth),
            }
        };
        meeting.handle(input, MeetingTime(now));
        truth.look(now);
        while let Some(command) = meeting.poll_command() {
            match command {
                Command::Leave {
                    participant,
                    removed,
                } => {
                    assert!(!removed, "seed {seed}: nobody is removed under `exclude`");
                    assert!(
                        !truth.has(participant, now),
                        "seed {seed}: {participant} is there and was put out"
                    );
                    let away = now - truth.seen[&participant];
                    // An `api` that fell silent had its sockets for as long as nobody knew.
                    assert!(
                        away >= PRESENCE_GRACE.0 - SOCKETS_STALE.0,
                        "seed {seed}: {participant} was put out after {away} us"
                    );
                    assert!(
                        told_leaving.insert(participant),
                        "seed {seed}: {participant} left twice"
                    );
                    truth.present.remove(&participant);
                    truth.look(now);
                    meeting.handle(roster(&people, &truth), MeetingTime(now));
                }
                Command::CloseStream { stream, reason } => {
                    let (who, alive) = truth.streams.remove(&stream).expect("it was open");
                    if reason == CloseReason::Bye {
                        let said = truth.byes.remove(&stream).unwrap_or(now);
                        assert!(
                            now - said >= BYE_GRACE.0,
                            "seed {seed}: {stream} of {who} did not leave"
                        );
                    } else {
                        assert_eq!(reason, CloseReason::Idle, "seed {seed}");
                        assert!(
                            now - alive >= STREAM_IDLE.0,
                            "seed {seed}: {stream} of {who} was closed early"
                        );
                        assert!(
                            !truth.has_socket(who, now),
                            "seed {seed}: {who} is muted, not gone"
                        );
                    }
                    truth.seen.insert(who, now);
                }
                Command::End { stored } => {
                    assert!(!stored, "seed {seed}");
                    let since = truth
                        .empty_since
                        .unwrap_or_else(|| panic!("seed {seed}: ended with somebody in it"));
                    assert!(
                        now - since >= empty.0,
                        "seed {seed}: ended after {} us",
                        now - since
                    );
                    assert_eq!(meeting.poll_timeout(), None, "seed {seed}: over is over");
                    return;
                }
                Command::Tell(_) | Command::Recheck { .. } => {}
            }
        }
        for who in truth.present.iter().filter(|who| !truth.has(**who, now)) {
            let away = now - truth.seen[who];
            assert!(
                away <= PRESENCE_GRACE.0 + SOCKETS_STALE.0,
                "seed {seed}: {who} is still there after {away} us"
            );
        }
        assert!(
            now - truth.empty_since.unwrap_or(now) <= empty.0,
            "seed {seed}: goes on though nobody is there"
        );
        if now > 3_600_000_000 {
            return;
        }
    }
}

fn roster(people: &[ParticipantId], truth: &Truth) -> Input {
    let listed = |who: &ParticipantId| Listed {
        participant: *who,
        present: truth.present.contains(who),
    };
    Input::Roster(people.iter().map(listed).collect())
}
