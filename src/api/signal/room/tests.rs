use super::{super::outbox::Out, *};
use serde_json::json;
use uuid::Uuid;

const ANA: ParticipantId = ParticipantId(Uuid::from_u128(1));

fn event(seq: i64) -> StoredEvent {
    StoredEvent {
        seq,
        kind: EventKind::ParticipantUpdated,
        at: at(seq),
        data: json!({"n": seq}),
    }
}

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + s, 0).expect("in range")
}

fn told(event: StoredEvent) -> Published {
    let StoredEvent {
        seq,
        kind,
        at,
        data,
    } = event;
    Published::Event {
        seq,
        kind,
        at,
        data,
    }
}

fn member(
    number: u64,
    participant: Option<ParticipantId>,
    socket: i64,
    sent: i64,
) -> (Member, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    (
        Member {
            number,
            participant,
            seen_as: participant,
            socket,
            outbox: outbox.clone(),
            joined: sent,
            sent,
        },
        outbox,
    )
}

/// Everything waiting, parsed, and the close.
fn drain(outbox: &Outbox) -> (Vec<Value>, Option<Close>) {
    let mut all = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        let next = outbox.next();
        let mut next = std::pin::pin!(next);
        match next.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Out::Text(text)) => {
                outbox.written(text.as_str().len());
                all.push(serde_json::from_str(text.as_str()).expect("JSON"));
            }
            std::task::Poll::Ready(Out::Close(close)) => return (all, Some(close)),
            std::task::Poll::Pending => return (all, None),
        }
    }
}

fn seqs(outbox: &Outbox) -> Vec<i64> {
    drain(outbox)
        .0
        .iter()
        .filter_map(|message| message["seq"].as_i64())
        .collect()
}

#[test]
fn early_events_wait_and_lost_ones_are_read() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, outbox) = member(1, Some(ANA), 1, 3);
    room.attach(ana, now);
    for seq in [5, 4, 4, 2, 8, 6] {
        room.published(told(event(seq)), now);
    }
    assert_eq!(seqs(&outbox), [4, 5, 6]);
    assert_eq!(room.next_read(now), None, "7 may be on its way");
    let later = now + HOLE_PATIENCE;
    assert_eq!(room.deadline(), Some(later));
    assert_eq!(room.next_read(later), Some(6));
    room.read(vec![event(7), event(8)], later);
    assert_eq!(seqs(&outbox), [7, 8]);
    assert_eq!(room.next_read(later), None);
    assert_eq!(room.deadline(), None);
}

#[test]
fn each_member_goes_on_where_it_is() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, first) = member(1, Some(ANA), 1, 0);
    room.attach(ana, now);
    (1..=400).for_each(|seq| room.published(told(event(seq)), now));
    assert_eq!(seqs(&first), (1..=400).collect::<Vec<_>>());
    let (observer, second) = member(2, None, 0, 390);
    room.attach(observer, now);
    assert_eq!(seqs(&second), (391..=400).collect::<Vec<_>>());
    // Longer ago than what is kept: from the store, page by page, until what is kept joins on.
    (401..=700).for_each(|seq| room.published(told(event(seq)), now));
    assert_eq!(seqs(&first), (401..=700).collect::<Vec<_>>());
    let (observer, third) = member(3, None, 0, 10);
    room.attach(observer, now);
    let mut later = now + HOLE_PATIENCE;
    for after in (10..445).step_by(PAGE as usize) {
        assert_eq!(room.next_read(later), Some(after));
        assert_eq!(room.next_read(later), None, "one read at a time");
        room.read((after + 1..=after + PAGE).map(event).collect(), later);
        assert_eq!(room.next_read(later), None, "no faster than it can be sent");
        later += PAGE_EVERY;
    }
    assert_eq!(seqs(&third), (11..=700).collect::<Vec<_>>());
    assert!(seqs(&first).is_empty());
}

#[test]
fn a_thousand_events_at_once_do_not_overrun_a_socket_that_keeps_up() {
    let mut now = Instant::now();
    let mut room = Room::default();
    let (ana, outbox) = member(1, Some(ANA), 1, 0);
    room.attach(ana, now);
    // Of so many only the last is published.
    let long = |seq| StoredEvent {
        data: json!({"n": seq, "text": "x".repeat(6_000)}),
        ..event(seq)
    };
    room.published(told(long(1_000)), now);
    let mut seen = Vec::new();
    while seen.len() < 1_000 {
        now = room.deadline().expect("it goes on by itself").max(now);
        room.tick(now);
        let after = room.next_read(now).expect("it is due");
        let page = after + 1..=(after + PAGE).min(1_000);
        room.read(page.map(long).collect(), now);
        let (page, close) = drain(&outbox);
        assert_eq!(close, None);
        seen.extend(page.iter().filter_map(|event| event["seq"].as_i64()));
    }
    assert_eq!(seen, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(room.deadline(), None);
}

#[test]
fn a_head_ahead_shows_a_lost_event_and_a_failing_store_is_asked_again() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, outbox) = member(1, Some(ANA), 1, 0);
    room.attach(ana, now);
    let head = Head {
        meeting: crate::domain::id::MeetingId(Uuid::nil()),
        seq: 2,
        consent_entry: 0,
        roster: 0,
        ended: false,
        end_time: None,
    };
    room.head(&head, at(0), now);
    let later = now + HOLE_PATIENCE;
    assert_eq!(room.next_read(later), Some(0));
    room.read_failed(later);
    assert_eq!(room.next_read(later), None);
    assert_eq!(room.next_read(later + READ_AGAIN), Some(0));
    room.read(vec![event(1), event(2)], later + READ_AGAIN);
    assert_eq!(seqs(&outbox), [1, 2]);
    room.doubt();
    assert_eq!(room.next_read(later), Some(2));
}

#[test]
fn the_highest_socket_of_a_participant_stays_in_whatever_order_they_come() {
    let now = Instant::now();
    let mut room = Room::default();
    let (first, one) = member(1, Some(ANA), 1, 0);
    let (second, two) = member(2, Some(ANA), 2, 0);
    let (third, three) = member(3, Some(ANA), 3, 0);
    room.attach(second, now);
    room.attach(first, now);
    assert_eq!(one.closing(), Some(Close::Replaced));
    assert_eq!(two.closing(), None);
    room.published(
        Published::Replaced {
            participant: ANA,
            socket: 3,
        },
        now,
    );
    assert_eq!(two.closing(), Some(Close::Replaced));
    room.attach(third, now);
    assert_eq!(three.closing(), None);
}

#[test]
fn a_withdrawal_is_told_once_at_once_and_once_committed() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, asking) = member(1, Some(ANA), 1, 0);
    let (observer, other) = member(2, None, 0, 0);
    room.attach(ana, now);
    room.attach(observer, now);
    let id = ConsentId(Uuid::from_u128(7));
    asking.expect(id, json!("r"));
    let live = Published::Live {
        kind: "consent_updated".into(),
        data: json!({"id": id}),
        to: None,
    };
    room.published(live.clone(), now);
    room.published(live.clone(), now);
    let committed = StoredEvent {
        seq: 1,
        kind: EventKind::ConsentUpdated,
        at: at(0),
        data: json!({"id": id, "entry": 1}),
    };
    room.published(told(committed), now);
    room.published(live, now);
    let (got, _) = drain(&asking);
    assert_eq!(
        got,
        [
            json!({"type": "consent_updated", "re": "r", "data": {"id": id}}),
            json!({"type": "consent_updated", "seq": 1, "at": "2027-01-15T08:00:00.000Z",
                "data": {"id": id, "entry": 1}}),
        ]
    );
    assert!(
        drain(&other)
            .0
            .iter()
            .all(|message| message.get("re").is_none())
    );
}

#[test]
fn the_end_comes_after_the_last_event_and_observers_stay_for_the_outcome() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, participant) = member(1, Some(ANA), 1, 0);
    let (observer, watching) = member(2, None, 0, 0);
    room.attach(ana, now);
    room.attach(observer, now);
    let state = |seq: i64, state: &str| StoredEvent {
        seq,
        kind: EventKind::RecordingState,
        at: at(seq),
        data: json!({"state": state}),
    };
    room.published(told(state(1, "off")), now);
    let head = Head {
        meeting: crate::domain::id::MeetingId(Uuid::nil()),
        seq: 1,
        consent_entry: 0,
        roster: 0,
        ended: true,
        end_time: Some(at(2)),
    };
    room.head(&head, at(2), now);
    assert_eq!(watching.closing(), None, "that off was told before the end");
    room.published(
        Published::Close {
            close: Close::Ended,
            whom: Whom::Participants,
        },
        now,
    );
    assert_eq!(participant.closing(), None, "first what the store has");
    assert_eq!(room.next_read(now), Some(1));
    room.read(vec![event(2)], now);
    let (got, close) = drain(&participant);
    assert_eq!((got.len(), close), (2, Some(Close::Ended)));
    room.published(told(state(3, "ready")), now);
    let (got, close) = drain(&watching);
    assert_eq!((got.len(), close), (3, Some(Close::Ended)));
}

#[test]
fn participants_are_closed_ten_seconds_after_the_end_also_with_the_store_away() {
    let now = Instant::now();
    let mut room = Room::default();
    let (ana, participant) = member(1, Some(ANA), 1, 0);
    room.attach(ana, now);
    let head = Head {
        meeting: crate::domain::id::MeetingId(Uuid::nil()),
        seq: 0,
        consent_entry: 0,
        roster: 0,
        ended: true,
        end_time: Some(at(2)),
    };
    room.head(&head, at(2), now);
    let due = now + CLOSE_AFTER_END;
    assert_eq!(room.deadline(), Some(due));
    room.tick(due);
    room.read_failed(due);
    assert_eq!(participant.closing(), None);
    room.tick(due + CLOSE_PATIENCE);
    assert_eq!(participant.closing(), Some(Close::Ended));
}

#[test]
fn where_media_is_received_is_told_to_its_sender_and_observers() {
    let now = Instant::now();
    let mut room = Room::default();
    let ben = ParticipantId(Uuid::from_u128(2));
    let members = [Some(ANA), Some(ben), None]
        .map(|participant| member(1 + room.members.len() as u64, participant, 1, 0));
    let outboxes: Vec<Arc<Outbox>> = members
        .into_iter()
        .enumerate()
        .map(|(n, (member, outbox))| {
            room.attach(
                Member {
                    number: n as u64,
                    ..member
                },
                now,
            );
            outbox
        })
        .collect();
    let stream = json!({"streamId": Uuid::nil(), "state": "open", "address": {"ip": "192.0.2.7", "port": 30_000}});
    let data = json!({"id": ANA, "streams": [stream]});
    room.published(
        told(StoredEvent {
            seq: 1,
            kind: EventKind::ParticipantUpdated,
            at: at(1),
            data,
        }),
        now,
    );
    let seen: Vec<bool> = outboxes
        .iter()
        .map(|outbox| {
            let told = drain(outbox).0.pop().expect("everybody is told");
            assert_eq!(told["data"]["streams"][0]["state"], "open");
            !told["data"]["streams"][0]["address"].is_null()
        })
        .collect();
    assert_eq!(seen, [true, false, true]);
}

fn removal(seq: i64, kind: EventKind, of: ParticipantId) -> StoredEvent {
    StoredEvent {
        seq,
        kind,
        at: at(seq),
        data: json!({"id": of, "removed": "request"}),
    }
}

#[test]
fn a_removal_closes_by_its_event_however_it_comes() {
    const BOB: ParticipantId = ParticipantId(Uuid::from_u128(2));
    for kind in [EventKind::ParticipantLeft, EventKind::ParticipantUpdated] {
        // On arrival, also when something before it is still missing.
        let now = Instant::now();
        let mut room = Room::default();
        let ((ana, out), (bob, stays)) = (member(1, Some(ANA), 1, 3), member(2, Some(BOB), 1, 3));
        room.attach(ana, now);
        room.attach(bob, now);
        room.published(told(removal(5, kind, ANA)), now);
        assert_eq!(
            (out.closing(), stays.closing()),
            (Some(Close::NotAllowed), None)
        );

        // Found in the store, because the message was lost: told, and then closed.
        let mut room = Room::default();
        let (ana, out) = member(1, Some(ANA), 1, 3);
        room.attach(ana, now);
        room.read(vec![event(4), removal(5, kind, ANA)], now);
        let (got, close) = drain(&out);
        assert_eq!((got.len(), close), (2, Some(Close::NotAllowed)));

        // Between the commit of its joining and its attaching.
        let mut room = Room::default();
        let (bob, _stays) = member(2, Some(BOB), 1, 3);
        room.attach(bob, now);
        room.published(told(event(4)), now);
        room.published(told(removal(5, kind, ANA)), now);
        let (ana, out) = member(1, Some(ANA), 1, 4);
        room.attach(ana, now);
        assert_eq!(out.closing(), Some(Close::NotAllowed));
        // Whoever came back since stays.
        let (ana, back) = member(3, Some(ANA), 2, 5);
        room.attach(ana, now);
        room.published(told(event(6)), now);
        assert_eq!((back.closing(), seqs(&back)), (None, vec![6]));
    }
}
