use super::*;
use crate::{
    recording_state::RecordingState,
    settings::{ConsentPolicy, MeetingSettings},
};

mod presence;

const ANA: ParticipantId = ParticipantId(Uuid::from_u128(1));
const BOB: ParticipantId = ParticipantId(Uuid::from_u128(2));
const MIC: StreamId = StreamId(Uuid::from_u128(11));
const API: Uuid = Uuid::from_u128(21);

fn s(seconds: i64) -> MeetingTime {
    MeetingTime(seconds * 1_000_000)
}

fn meeting(policy: ConsentPolicy) -> Meeting {
    Meeting::new(
        MeetingSettings {
            consent_policy: policy,
            end_when_empty_seconds: 60,
            ..MeetingSettings::default()
        },
        s(0),
    )
}

fn here(ids: &[ParticipantId]) -> Input {
    Input::Roster(
        ids.iter()
            .map(|id| Listed {
                participant: *id,
                present: true,
            })
            .collect(),
    )
}

fn said(entry: i64, participant: ParticipantId, status: ConsentStatus) -> Input {
    Input::Consent(vec![Entry {
        entry,
        id: ConsentId(Uuid::from_u128(100 + entry as u128)),
        participant,
        uses: Use::ALL.to_vec(),
        status,
        at: MeetingTime::ZERO,
    }])
}

fn drain(meeting: &mut Meeting) -> Vec<Command> {
    std::iter::from_fn(|| meeting.poll_command()).collect()
}

fn recording(meeting: &Meeting) -> RecordingState {
    meeting.state().recording
}

/// The recording states that the meeting is told.
fn told(meeting: &mut Meeting) -> Vec<RecordingState> {
    let commands = drain(meeting).into_iter();
    commands
        .filter_map(|command| match command {
            Command::Tell(state) => Some(state.recording),
            _ => None,
        })
        .collect()
}

#[test]
fn tells_waiting_then_recording_once_each() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(1));
    assert_eq!(told(&mut meeting), [RecordingState::Waiting]);
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(2));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(3));
    assert_eq!(told(&mut meeting), [RecordingState::Recording]);
}

/// A worker that takes a meeting over reads the log and the roster one after the other.
#[test]
fn tells_nothing_that_does_not_hold() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(1));
    meeting.handle(here(&[ANA]), s(1));
    assert_eq!(told(&mut meeting), [RecordingState::Recording]);
}

#[test]
fn all_holds_from_before_a_newcomers_first_packet_until_it_agrees() {
    let mut meeting = meeting(ConsentPolicy::All);
    meeting.handle(here(&[ANA]), s(1));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(1));
    assert_eq!(recording(&meeting), RecordingState::Recording);
    meeting.handle(
        Input::StreamOpened {
            stream: MIC,
            participant: BOB,
        },
        s(5),
    );
    assert_eq!(recording(&meeting), RecordingState::Paused);
    assert_eq!(meeting.state().waiting_for, [BOB]);
    assert_eq!(
        meeting.gate().lets_in(ANA, s(6)),
        Err(crate::gate::Refusal::Held)
    );
    meeting.handle(said(2, BOB, ConsentStatus::Accepted), s(7));
    assert_eq!(recording(&meeting), RecordingState::Recording);
    assert!(meeting.gate().lets_in(ANA, s(8)).is_ok());
    assert_eq!(meeting.gate().allowed(ANA, Use::Recording).len(), 2);
}

#[test]
fn required_removes_whoever_takes_it_back() {
    let mut meeting = meeting(ConsentPolicy::Required);
    meeting.handle(here(&[ANA]), s(1));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(1));
    meeting.handle(
        Input::StreamOpened {
            stream: MIC,
            participant: ANA,
        },
        s(2),
    );
    drain(&mut meeting);
    meeting.handle(said(2, ANA, ConsentStatus::Withdrawn), s(3));
    let commands = drain(&mut meeting);
    assert!(
        commands.contains(&Command::CloseStream {
            stream: MIC,
            reason: CloseReason::Left
        }),
        "{commands:?}"
    );
    assert!(
        commands.contains(&Command::Leave {
            participant: ANA,
            removed: true
        }),
        "{commands:?}"
    );
}

#[test]
fn an_unreachable_worker_closes_the_gate_after_5_s() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(0));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(0));
    meeting.handle(Input::Unreachable { since: Some(s(9)) }, s(10));
    assert_eq!(
        meeting.poll_timeout(),
        Some(s(14)),
        "from the last that was heard, not from when that was noticed"
    );
    meeting.handle(Input::Tick, s(14));
    assert!(meeting.gate().lets_in(ANA, s(15)).is_err());
    meeting.handle(Input::Unreachable { since: None }, s(20));
    assert!(meeting.gate().lets_in(ANA, s(21)).is_ok());
}

#[test]
fn a_pending_withdrawal_shows_at_once() {
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(0));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(0));
    meeting.handle(
        Input::Withdrawn {
            id: ConsentId(Uuid::from_u128(102)),
            participant: ANA,
            uses: Use::ALL.to_vec(),
            status: ConsentStatus::Withdrawn,
            at: s(3),
        },
        s(3),
    );
    assert_eq!(recording(&meeting), RecordingState::Waiting);
    assert!(meeting.gate().lets_in(ANA, s(4)).is_err());
}

#[test]
fn a_withdrawal_said_before_is_let_go_of_once_the_log_is_applied() {
    let again = ConsentId(Uuid::from_u128(500));
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA]), s(1));
    meeting.handle(said(1, ANA, ConsentStatus::Withdrawn), s(1));
    let uses = Use::ALL.to_vec();
    let status = ConsentStatus::Withdrawn;
    meeting.handle(
        Input::Withdrawn {
            id: again,
            participant: ANA,
            uses,
            status,
            at: s(4),
        },
        s(4),
    );
    // The grant behind it is known to the store only.
    meeting.handle(Input::SaidBefore { id: again, head: 2 }, s(5));
    assert_eq!(recording(&meeting), RecordingState::Waiting);
    meeting.handle(said(2, ANA, ConsentStatus::Accepted), s(6));
    assert_eq!(recording(&meeting), RecordingState::Recording);
    assert!(meeting.gate().is_open(ANA, Use::Recording));
}

#[test]
fn all_holds_from_the_receipt_of_a_withdrawal_heard_late() {
    let mut meeting = meeting(ConsentPolicy::All);
    meeting.handle(here(&[ANA, BOB]), s(1));
    meeting.handle(said(1, ANA, ConsentStatus::Accepted), s(1));
    meeting.handle(said(2, BOB, ConsentStatus::Accepted), s(1));
    let id = ConsentId(Uuid::from_u128(500));
    let (uses, status) = (Use::ALL.to_vec(), ConsentStatus::Withdrawn);
    meeting.handle(
        Input::Withdrawn {
            id,
            participant: BOB,
            uses,
            status,
            at: s(4),
        },
        s(9),
    );
    let allowed = meeting.gate().allowed(ANA, Use::Recording);
    assert_eq!(allowed, [crate::time::Span::new(s(1), s(4))]);
    assert!(drain(&mut meeting).contains(&Command::Recheck { participant: None }));
}

#[test]
fn who_cannot_be_written_is_told_and_so_is_the_end_of_it() {
    const CAM: StreamId = StreamId(Uuid::from_u128(12));
    let mut meeting = meeting(ConsentPolicy::Exclude);
    meeting.handle(here(&[ANA, BOB]), s(1));
    for (entry, who, stream) in [(1, ANA, MIC), (2, BOB, CAM)] {
        meeting.handle(said(entry, who, ConsentStatus::Accepted), s(1));
        meeting.handle(
            Input::StreamOpened {
                stream,
                participant: who,
            },
            s(1),
        );
    }
    drain(&mut meeting);
    let told = |meeting: &mut Meeting, participant, kept, at| {
        meeting.handle(Input::Kept { participant, kept }, s(at));
        let told = drain(meeting);
        let told = told.into_iter().filter_map(|c| {
            if let Command::Tell(state) = c {
                Some(state)
            } else {
                None
            }
        });
        told.map(|state| (state.recording, state.reason(), state.unrecorded))
            .collect::<Vec<_>>()
    };
    let disk = Some(crate::recording_state::StateReason::Disk);
    assert_eq!(
        told(&mut meeting, ANA, false, 2),
        [(RecordingState::Recording, disk, vec![ANA])]
    );
    assert_eq!(told(&mut meeting, ANA, false, 3), [], "once");
    assert_eq!(
        told(&mut meeting, BOB, false, 4),
        [(RecordingState::Paused, disk, vec![ANA, BOB])]
    );
    assert_eq!(
        told(&mut meeting, ANA, true, 5),
        [(RecordingState::Recording, disk, vec![BOB])]
    );
    // Whoever sends nothing any more is not lost.
    meeting.handle(Input::StreamClosed { stream: CAM }, s(6));
    assert_eq!(
        (recording(&meeting), meeting.state().reason()),
        (RecordingState::Recording, None)
    );
    meeting.handle(
        Input::StreamOpened {
            stream: CAM,
            participant: BOB,
        },
        s(7),
    );
    assert_eq!(meeting.state().unrecorded, []);
    // Who takes consent back is not recorded for that reason.
    meeting.handle(
        Input::Kept {
            participant: BOB,
            kept: false,
        },
        s(8),
    );
    meeting.handle(said(3, BOB, ConsentStatus::Withdrawn), s(9));
    assert_eq!(
        (recording(&meeting), meeting.state().reason()),
        (RecordingState::Recording, None)
    );
}
