//! What each durable event looks like on the wire.

use chrono::{DateTime, Utc};
use hansard_domain::{
    consent::{ConsentStatus, ConsentType, Use},
    correction::TextSource,
    event::{
        Caption, Consent, Correction, Deleted, Event, EventKind, LiveModel, Logged,
        RecordingReport, Retraction, Speaker, ToldBefore, Translation, words,
    },
    id::{ConsentId, MeetingId, ParticipantId, RecordingId, SegmentId, StreamId, UserId},
    participant::{Address, Answers, AnswersSince, Person, Removal, Role, StreamSeen},
    recording_state::{RecordingState, State, StateReason},
    stream::{MediaKind, MediaReason, MediaSource, StreamMedia, StreamState},
    time::{MeetingTime, Span},
    transcript::{RetractionReason, Word},
};
use serde_json::{Value, json};
use uuid::Uuid;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_000 + ms).expect("a time")
}

fn person() -> Person {
    Person {
        id: ParticipantId(Uuid::from_u128(1)),
        user: UserId(Uuid::from_u128(2)),
        display_name: "Ana".into(),
        role: Role::Host,
        joined_at: Some(at(0)),
        left_at: None,
        present: true,
        removed: None,
        tokens_from: Some(at(9)),
        consent: Answers {
            recording: Some(ConsentStatus::Accepted),
            transcription: None,
        },
        consent_since: AnswersSince {
            recording: Some(at(1)),
            transcription: None,
        },
        streams: vec![StreamSeen {
            stream_id: StreamId(Uuid::from_u128(3)),
            kind: MediaKind::Audio,
            source: MediaSource::Microphone,
            state: StreamState::Open,
            reason: None,
            media: Some(StreamMedia::Stalled),
            media_reason: Some(MediaReason::Silent),
            muted: true,
            address: Some(Address {
                ip: "203.0.113.5".into(),
                port: 20_000,
            }),
        }],
    }
}

fn consent(logged: Option<Logged>) -> Event {
    Event::ConsentUpdated(Consent {
        id: ConsentId(Uuid::from_u128(4)),
        meeting_id: MeetingId(Uuid::from_u128(5)),
        participant_id: ParticipantId(Uuid::from_u128(1)),
        consent_type: ConsentType::RecordingAi,
        purposes: vec![Use::Recording, Use::Transcription],
        status: ConsentStatus::Withdrawn,
        accepted: false,
        timestamp: at(1),
        logged,
    })
}

fn caption(is_final: bool) -> Caption {
    let word = Word {
        text: "so".into(),
        spaced: true,
        span: Span::new(MeetingTime::from_ms(61_230), MeetingTime::from_ms(61_390)),
        confidence: 0.9304,
    };
    Caption {
        segment_id: SegmentId(Uuid::from_u128(6)),
        revision: 3,
        is_final,
        participant: Speaker {
            id: ParticipantId(Uuid::from_u128(1)),
            display_name: Some("Ana".into()),
        },
        start_ms: 61_230,
        end_ms: 63_410,
        start_at: Some(at(61_230)),
        language: is_final.then(|| "en".into()),
        text: "so".into(),
        stable_chars: if is_final { 2 } else { 0 },
        words: words(&[word]),
    }
}

fn all() -> Vec<(&'static str, Event)> {
    let live = State {
        recording: RecordingState::Paused,
        transcribing: true,
        waiting_for: vec![ParticipantId(Uuid::from_u128(1))],
        unrecorded: Vec::new(),
    };
    let full = State {
        recording: RecordingState::Recording,
        waiting_for: Vec::new(),
        unrecorded: vec![ParticipantId(Uuid::from_u128(1))],
        ..live.clone()
    };
    let model = LiveModel {
        name: "base.en".into(),
        bundled: false,
    };
    let failed = RecordingReport::idle(RecordingState::Failed, Some(StateReason::SeeErrors), 0);
    let mut events = vec![
        ("comes", Event::ParticipantJoined(person())),
        (
            "goes",
            Event::ParticipantLeft(Person {
                left_at: Some(at(2)),
                present: false,
                removed: Some(Removal::Request),
                streams: Vec::new(),
                ..person()
            }),
        ),
        ("changes", Event::ParticipantUpdated(person())),
        ("acts", consent(None)),
        (
            "is logged",
            consent(Some(Logged {
                entry: 7,
                hash: "ab".repeat(32),
                prev_hash: "cd".repeat(32),
            })),
        ),
        (
            "waits",
            Event::RecordingState(RecordingReport::live(&live, 2, Some(model))),
        ),
        (
            "is full",
            Event::RecordingState(RecordingReport::live(&full, 2, None)),
        ),
        ("failed", Event::RecordingState(failed)),
        ("partial", Event::TranscriptUpdate(caption(false))),
        ("final", Event::TranscriptUpdate(caption(true))),
        (
            "is edited",
            Event::TranscriptCorrected(Correction {
                caption: caption(true),
                source: TextSource::Edit,
                author: Some("user:00000000-0000-0000-0000-000000000002".into()),
            }),
        ),
        (
            "is translated",
            Event::TranscriptTranslated(Translation {
                segment_id: SegmentId(Uuid::from_u128(6)),
                revision: 3,
                language: "en".into(),
                text: "so".into(),
            }),
        ),
        (
            "is refined",
            Event::TranscriptCorrected(Correction {
                caption: caption(true),
                source: TextSource::Refine,
                author: None,
            }),
        ),
    ];
    for (name, reason) in [
        ("was nothing", RetractionReason::Empty),
        ("is taken back", RetractionReason::Withdrawn),
        ("is lost", RetractionReason::Lost),
    ] {
        let segment_id = SegmentId(Uuid::from_u128(6));
        let retraction = Retraction { segment_id, reason };
        events.push((name, Event::TranscriptRetracted(retraction)));
    }
    let deleted = Deleted {
        recordings: vec![RecordingId(Uuid::from_u128(7))],
        transcript: true,
        meeting: false,
    };
    events.push(("is deleted", Event::ContentDeleted(deleted)));
    events
}

#[test]
fn each_event_as_it_is_stored_published_and_shown() {
    let shown: Vec<Value> = all()
        .into_iter()
        .map(|(name, event)| json!({"name": name, "type": event.kind(), "data": event.data()}))
        .collect();
    insta::assert_json_snapshot!(shown);
}

#[test]
fn every_kind_is_in_the_snapshot_and_reads_back() {
    for kind in EventKind::ALL {
        assert!(all().iter().any(|(_, event)| event.kind() == kind));
        assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        assert_eq!(json!(kind), json!(kind.as_str()));
    }
    assert_eq!(EventKind::parse("joined"), None);
}

#[test]
fn a_state_is_so_since_it_was_first_told() {
    use RecordingState::{Paused, Recording, Waiting};
    let mut before = None;
    for (ms, state, transcribing, since, transcribing_since) in [
        (0, Waiting, false, 0, None),
        (10, Recording, true, 10, Some(10)),
        // Something else of it changed, or another worker says it.
        (20, Recording, true, 10, Some(10)),
        (30, Recording, false, 10, None),
        (40, Paused, true, 40, Some(40)),
        (50, Recording, true, 50, Some(40)),
    ] {
        let told = RecordingReport {
            transcribing,
            ..RecordingReport::idle(state, None, ms)
        };
        let told = told.told(before.as_ref(), at(ms));
        let expected = (Some(at(since)), transcribing_since.map(at));
        assert_eq!((told.since, told.transcribing_since), expected, "{ms}");
        before = ToldBefore::read(&Event::RecordingState(told).data(), at(ms));
        assert!(before.is_some());
    }
    // As an earlier version told it.
    let earlier = json!({"state": "recording", "transcribing": true, "reason": null, "waitingFor": [],
        "unrecorded": [], "epoch": 1});
    let earlier = ToldBefore::read(&earlier, at(3));
    let told = RecordingReport {
        transcribing: true,
        ..RecordingReport::idle(Recording, None, 2)
    }
    .told(earlier.as_ref(), at(9));
    assert_eq!(
        (told.since, told.transcribing_since),
        (Some(at(3)), Some(at(3)))
    );
    assert_eq!(ToldBefore::read(&json!({"state": "dancing"}), at(3)), None);
}

#[test]
fn the_reason_of_a_state_and_what_is_kept_of_it() {
    let kept = |state, reason| RecordingReport::idle(state, reason, 1).kept_as();
    let (paused, running) = (RecordingState::Paused, RecordingState::Recording);
    assert_eq!(kept(paused, Some(StateReason::Consent)), "paused");
    assert_eq!(kept(paused, Some(StateReason::Disk)), "unwritten");
    assert_eq!(kept(running, None), "recording");
    for (reason, word) in [
        (StateReason::Consent, "consent"),
        (StateReason::Disk, "disk"),
        (StateReason::Ended, "ended"),
        (StateReason::NothingRecorded, "nothing_recorded"),
        (StateReason::Retry, "retry"),
        (StateReason::SeeErrors, "see the recordings' errors"),
    ] {
        assert_eq!(json!(reason), json!(word));
    }
    for state in [
        RecordingState::Off,
        RecordingState::Waiting,
        RecordingState::Paused,
        RecordingState::Recording,
        RecordingState::Finalising,
        RecordingState::Ready,
        RecordingState::Failed,
    ] {
        assert_eq!(json!(state), json!(state.as_str()));
    }
}
