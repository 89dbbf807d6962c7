//! What a running meeting's commits stores and tells.

use super::world::World;
use hansard::{
    capture::commit::{self, Commits, Holder, Write},
    command::{self, join},
    domain::{
        admission::EntryBy,
        consent::{ConsentStatus, ConsentType, Use},
        event::RecordingReport,
        gate::{Entry, Gate, Pass},
        id::{ConsentId, ParticipantId, SegmentId},
        job::JobKind,
        recording_state::RecordingState,
        settings::{ConsentPolicy, MeetingSettings},
        stream::MediaSource,
        time::{MeetingTime, Micros, Span},
    },
    speech::Translation,
    store::{capture::FinalSegment, consent, event, job, lease, new_id, transcript},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);

fn said(participant: ParticipantId, from_ms: i64, to_ms: i64, text: &str) -> FinalSegment {
    FinalSegment {
        id: SegmentId(new_id()),
        pass: Pass {
            participant,
            span: Span::new(MeetingTime::from_ms(from_ms), MeetingTime::from_ms(to_ms)),
            entry: 1,
            late: Micros(0),
        },
        media_source: MediaSource::Microphone,
        start_ms: from_ms,
        end_ms: to_ms,
        language: Some("en".into()),
        text: text.into(),
        words: json!([]),
        revision: 1,
        epoch: 1,
    }
}

/// A meeting that a worker holds, with somebody who has agreed.
struct Held {
    world: World,
    ana: ParticipantId,
    gate: Arc<Gate>,
    holder: Holder,
}

impl Held {
    async fn new() -> Self {
        let world = World::new().await;
        let ana = world.invite("Ana").await.participant;
        let owner = new_id();
        let mut tx = world.store.worker_tx().await.expect("Postgres answers");
        job::ensure(
            &mut tx,
            world.tenant,
            JobKind::Capture,
            world.meeting,
            &json!({}),
        )
        .await
        .expect("a job");
        let decision = consent::ConsentDecision {
            meeting: world.meeting,
            participant: ana,
            id: ConsentId(new_id()),
            consent_type: ConsentType::RecordingAi,
            status: ConsentStatus::Accepted,
            actor: "self".into(),
            statement: None,
            timestamp: world.clock.now(),
            once: None,
        };
        let said_yes = command::consent::record(&mut tx, &decision)
            .await
            .expect("said");
        let claimed = lease::claim(&mut tx, &["capture"], owner, &[], 1)
            .await
            .expect("claimed");
        tx.commit().await.expect("commits");

        let gate = Arc::new(Gate::new(&Use::ALL));
        let agreed = Entry {
            entry: said_yes.entry.entry,
            id: decision.id,
            participant: ana,
            uses: Use::ALL.to_vec(),
            status: ConsentStatus::Accepted,
            at: MeetingTime::ZERO,
        };
        gate.apply(&agreed, MeetingTime::ZERO);
        let holder = Holder {
            tenant: world.tenant,
            meeting: world.meeting,
            owner,
            epoch: claimed[0].epoch,
            spool: std::env::temp_dir(),
        };
        Self {
            world,
            ana,
            gate,
            holder,
        }
    }

    fn commits(&self, waiting_max: u64) -> Commits {
        let Self {
            world,
            gate,
            holder,
            ..
        } = self;
        let (store, queue) = (world.store.clone(), world.queue.clone());
        let (facts, _nobody) = tokio::sync::mpsc::channel(8);
        let lost = CancellationToken::new();
        commit::bounded(
            store,
            queue,
            gate.clone(),
            holder.clone(),
            facts,
            lost,
            waiting_max,
        )
    }
}

#[tokio::test]
async fn a_final_that_waited_is_asked_at_the_gate_again() {
    let held = Held::new().await;
    let commits = held.commits(100);
    let Held {
        world, ana, gate, ..
    } = held;

    // Whoever holds the meeting's head keeps the commits waiting, as a Postgres that does not
    // answer would.
    let mut busy = world.store.worker_tx().await.expect("Postgres answers");
    event::lock(&mut busy, world.meeting).await.expect("locked");
    let before = said(ana, 0, 2_000, "Good morning.");
    let across = said(ana, 2_000, 4_000, "And now for something else.");
    for segment in [&before, &across] {
        commits
            .write(Write::Final(segment.clone()))
            .expect("there is room");
    }
    // Only now is it heard of a withdrawal in the middle of the second.
    assert!(gate.withdraw(
        ConsentId(new_id()),
        ana,
        &Use::ALL,
        MeetingTime::from_ms(3_000)
    ));
    busy.rollback().await.expect("released");
    assert!(commits.flush(SOON).await, "committed");

    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let kept: Vec<String> = transcript::segments(&mut tx, world.meeting)
        .await
        .expect("read")
        .into_iter()
        .map(|it| it.text)
        .collect();
    assert_eq!(kept, ["Good morning."]);
    let told = world
        .all_events()
        .await
        .into_iter()
        .map(|event| (event.kind, event.data));
    let told: Vec<_> = told
        .filter(|(kind, _)| kind.as_str().starts_with("transcript"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["segmentId"]),
        ("transcript_update", &json!(before.id))
    );
    let retracted = json!({"segmentId": across.id, "reason": "withdrawn"});
    assert_eq!(
        (told[1].0.as_str(), &told[1].1),
        ("transcript_retracted", &retracted)
    );
}

#[tokio::test]
async fn a_translation_that_waited_is_asked_at_the_gate_again() {
    let held = Held::new().await;
    let commits = held.commits(100);
    let Held {
        world, ana, gate, ..
    } = held;
    let before = said(ana, 0, 2_000, "Guten Morgen.");
    let across = said(ana, 2_000, 4_000, "Und nun zu etwas anderem.");
    for segment in [&before, &across] {
        commits
            .write(Write::Final(segment.clone()))
            .expect("there is room");
    }
    assert!(commits.flush(SOON).await, "both are told");

    let mut busy = world.store.worker_tx().await.expect("Postgres answers");
    event::lock(&mut busy, world.meeting).await.expect("locked");
    for segment in [&before, &across] {
        let translation = Translation {
            segment: segment.id,
            revision: 1,
            language: "en".into(),
            text: "In English.".into(),
            pass: segment.pass,
        };
        commits
            .write(Write::Translated(translation))
            .expect("there is room");
    }
    // The withdrawal itself is not stored yet, so the final is still there.
    assert!(gate.withdraw(
        ConsentId(new_id()),
        ana,
        &Use::ALL,
        MeetingTime::from_ms(3_000)
    ));
    busy.rollback().await.expect("released");
    assert!(commits.flush(SOON).await, "committed");

    let mut tx = world
        .store
        .tenant_tx(world.tenant)
        .await
        .expect("Postgres answers");
    let translated: Vec<bool> = transcript::segments(&mut tx, world.meeting)
        .await
        .expect("read")
        .into_iter()
        .map(|it| it.translation.is_some())
        .collect();
    assert_eq!(translated, [true, false]);
    let told = world
        .all_events()
        .await
        .into_iter()
        .filter(|event| event.kind.as_str() == "transcript_translated");
    let told: Vec<_> = told.map(|event| event.data["segmentId"].clone()).collect();
    assert_eq!(told, [json!(before.id)]);
}

/// A withdrawal that stands in the log and that the gate, which polls, has not heard of yet.
#[tokio::test]
async fn a_final_is_refused_by_what_the_log_says_and_the_gate_does_not_know() {
    for policy in [ConsentPolicy::Exclude, ConsentPolicy::All] {
        let world = World::with(MeetingSettings {
            consent_policy: policy,
            ..MeetingSettings::default()
        })
        .await;
        let (ana, ben) = (
            world.invite("Ana").await.participant,
            world.invite("Ben").await.participant,
        );
        let owner = new_id();
        let mut tx = world.store.worker_tx().await.expect("Postgres answers");
        let mut start = None;
        for who in [ana, ben] {
            let entered = join::enter(&mut tx, world.meeting, who, EntryBy::Stream)
                .await
                .expect("read")
                .expect("in");
            start = start.or(entered.person.joined_at);
        }
        let start = start.expect("it began");
        let decision = |participant, status, at_ms: i64| consent::ConsentDecision {
            meeting: world.meeting,
            participant,
            id: ConsentId(new_id()),
            consent_type: ConsentType::RecordingAi,
            status,
            actor: "self".into(),
            statement: None,
            timestamp: start + chrono::TimeDelta::milliseconds(at_ms),
            once: None,
        };
        let gate = Arc::new(Gate::new(&Use::ALL));
        for who in [ana, ben] {
            let said =
                command::consent::record(&mut tx, &decision(who, ConsentStatus::Accepted, 0))
                    .await
                    .expect("said");
            let (entry, id) = (said.entry.entry, said.entry.id);
            let status = ConsentStatus::Accepted;
            let agreed = Entry {
                entry,
                id,
                participant: who,
                uses: Use::ALL.to_vec(),
                status,
                at: MeetingTime::ZERO,
            };
            gate.apply(&agreed, MeetingTime::ZERO);
        }
        let claimed = lease::claim(&mut tx, &["capture"], owner, &[], 1)
            .await
            .expect("claimed");
        command::consent::record(&mut tx, &decision(ana, ConsentStatus::Withdrawn, 3_000))
            .await
            .expect("said");
        tx.commit().await.expect("commits");
        let holder = Holder {
            tenant: world.tenant,
            meeting: world.meeting,
            owner,
            epoch: claimed[0].epoch,
            spool: std::env::temp_dir(),
        };
        let (facts, _nobody) = tokio::sync::mpsc::channel(8);
        let lost = CancellationToken::new();
        let commits = commit::start(
            world.store.clone(),
            world.queue.clone(),
            gate,
            holder,
            facts,
            lost,
        );
        let second = |mut segment: FinalSegment| {
            segment.pass.entry = 2;
            segment
        };
        let late = |mut segment: FinalSegment| {
            segment.pass.late = Micros::from_ms(1_600);
            segment
        };
        for segment in [
            said(ana, 0, 2_000, "Before."),
            said(ana, 2_000, 4_000, "Across."),
            said(ana, 4_000, 5_000, "Behind."),
            second(said(ben, 4_000, 5_000, "Somebody else's.")),
            late(said(ana, 1_000, 2_500, "Said later than it seems.")),
        ] {
            commits.write(Write::Final(segment)).expect("there is room");
        }
        assert!(commits.flush(SOON).await, "committed");
        let mut tx = world
            .store
            .tenant_tx(world.tenant)
            .await
            .expect("Postgres answers");
        let kept: Vec<String> = transcript::segments(&mut tx, world.meeting)
            .await
            .expect("read")
            .into_iter()
            .map(|it| it.text)
            .collect();
        let others: &[&str] = if policy == ConsentPolicy::All {
            &[]
        } else {
            &["Somebody else's."]
        };
        assert_eq!(kept, [&["Before."], others].concat(), "{policy:?}");
    }
}

#[tokio::test]
async fn finals_that_find_no_room_are_taken_back() {
    let held = Held::new().await;
    let commits = held.commits(3);
    let Held { world, ana, .. } = &held;
    let mut busy = world.store.worker_tx().await.expect("Postgres answers");
    event::lock(&mut busy, world.meeting).await.expect("locked");
    let finals: Vec<FinalSegment> = (0..5)
        .map(|n| said(*ana, n * 1_000, n * 1_000 + 900, "Words."))
        .collect();
    let numbers: Vec<u64> = finals
        .iter()
        .map(|segment| {
            commits
                .write(Write::Final(segment.clone()))
                .expect("is kept or taken back")
        })
        .collect();
    assert!(
        commits
            .write(Write::State(RecordingReport::idle(
                RecordingState::Waiting,
                None,
                1
            )))
            .is_err(),
        "there is no room"
    );
    let begun = std::time::Instant::now();
    assert!(
        numbers
            .iter()
            .all(|number| commits.is_committed(*number).is_none())
    );
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "asking waits for nobody"
    );
    assert!(!commits.flush(Duration::from_millis(10)).await);
    busy.rollback().await.expect("released");
    assert!(commits.flush(SOON).await, "committed");
    assert!(
        numbers
            .iter()
            .all(|number| commits.is_committed(*number) == Some(true))
    );
    let told = world
        .all_events()
        .await
        .into_iter()
        .filter(|event| event.kind.as_str().starts_with("transcript"));
    let told: Vec<(String, serde_json::Value)> = told
        .map(|event| (event.kind.as_str().to_owned(), event.data))
        .collect();
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..3], ["transcript_update"; 3]);
    let lost = |segment: &FinalSegment| {
        (
            "transcript_retracted".to_owned(),
            json!({"segmentId": segment.id, "reason": "lost"}),
        )
    };
    assert_eq!(told[3..], [lost(&finals[3]), lost(&finals[4])]);
    // There is room again.
    commits
        .write(Write::Final(said(*ana, 9_000, 9_900, "More.")))
        .expect("there is room");
    assert!(commits.flush(SOON).await, "committed");
}
