use super::*;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));

fn draft(n: u128) -> Draft {
    Draft {
        tenant: TENANT,
        meeting: Some(MeetingId(Uuid::from_u128(n))),
        author: "api_key:1".to_owned(),
        reason: Some("\"asked\" for".to_owned()),
        asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
        act: Act::Deletion(Deletion {
            what: Deletable::Recording,
            recordings: vec![GoneRecording {
                id: RecordingId(Uuid::from_u128(n)),
                kind: RecordingKind::Track,
                participant: Some(ParticipantId(Uuid::from_u128(3))),
                source: Some("microphone".to_owned()),
                codec: Some("opus".to_owned()),
                media_type: "audio/webm".to_owned(),
                start_ms: 40,
                revision: 2,
                sha256: Some("abc".to_owned()),
            }],
            objects: vec![GoneObject {
                key: "recordings/a".to_owned(),
                recording: RecordingId(Uuid::from_u128(n)),
                kind: ObjectKind::Track,
                sha256: None,
                version: Some("v1".to_owned()),
            }],
        }),
    }
}

/// The objects of a ledger of so many entries, by their numbers.
fn chain(entries: i64) -> Vec<(i64, Vec<u8>)> {
    let mut head = Head::genesis(TENANT);
    (1..=entries)
        .map(|n| {
            let (entry, object) = draft(n as u128).behind(&head);
            assert_eq!(entry.n, n);
            head = Head::of(n, &object);
            (n, object)
        })
        .collect()
}

/// Follows all of it; answers with the last entry's number.
fn walk(chain: &[(i64, Vec<u8>)]) -> Result<i64, Broken> {
    let mut head = Head::genesis(TENANT);
    for (n, object) in chain {
        let (entry, next) = follow(&head, TENANT, *n, object)?;
        assert_eq!(entry.meeting, Some(MeetingId(Uuid::from_u128(*n as u128))));
        head = next;
    }
    Ok(head.n)
}

#[test]
fn an_entry_reads_back_as_it_was_written() {
    let (entry, object) = draft(1).behind(&Head::genesis(TENANT));
    assert_eq!(read(TENANT, 1, &object), Ok(entry.clone()));
    assert_eq!(entry.act, draft(1).act);
    let json: serde_json::Value = serde_json::from_slice(&object).expect("it is JSON");
    assert_eq!(
        (&json["act"], &json["what"], &json["askedAt"]),
        (
            &"deletion".into(),
            &"recording".into(),
            &"2026-11-22T16:17:01.230Z".into()
        )
    );
    assert_eq!(json["recordings"][0]["startMs"], 40);
}

#[test]
fn a_whole_chain_holds_and_every_change_shows() {
    let whole = chain(4);
    assert_eq!(walk(&whole), Ok(4));
    assert_eq!(walk(&[]), Ok(0));

    let mut missing = whole.clone();
    missing.remove(1);
    assert_eq!(walk(&missing), Err(Broken::Missing(2)));

    let mut edited = whole.clone();
    let text = String::from_utf8(edited[1].1.clone()).expect("text");
    edited[1].1 = text.replace("microphone", "camera").into_bytes();
    // It still reads; what comes behind it does not follow.
    assert_eq!(walk(&edited), Err(Broken::Link(3)));

    let mut swapped = whole.clone();
    swapped[2].1 = whole[1].1.clone();
    assert!(matches!(
        walk(&swapped),
        Err(Broken::Unreadable { n: 3, .. })
    ));

    let mut torn = whole.clone();
    torn[3].1.truncate(40);
    assert!(matches!(walk(&torn), Err(Broken::Unreadable { n: 4, .. })));

    let elsewhere = Head::genesis(TenantId(Uuid::from_u128(9)));
    assert_eq!(
        follow(&elsewhere, TENANT, 1, &whole[0].1),
        Err(Broken::Link(1))
    );
}

#[test]
fn what_a_later_version_wrote_is_not_guessed_at() {
    let (_, object) = draft(1).behind(&Head::genesis(TENANT));
    let later = String::from_utf8(object)
        .expect("text")
        .replace("\"version\":1", "\"version\":4");
    let refused = follow(&Head::genesis(TENANT), TENANT, 1, later.as_bytes());
    assert_eq!(refused, Err(Broken::Later { n: 1, version: 4 }));
    let unknown = br#"{"version":5}"#;
    assert_eq!(
        read(TENANT, 1, unknown),
        Err(Broken::Later { n: 1, version: 5 })
    );
}

/// As version 1 wrote it.
#[test]
fn an_entry_of_before_is_read_and_would_be_written_the_same() {
    let object = br#"{"version":1,"tenant":"00000000-0000-0000-0000-000000000001","n":1,"prev":"0f","meeting":"00000000-0000-0000-0000-000000000007","author":"api_key:1","reason":null,"askedAt":"2026-11-22T16:17:01.230Z","act":"deletion","what":"transcript","recordings":[],"objects":[]}"#;
    let entry = read(TENANT, 1, object).expect("it is read");
    assert_eq!(entry.meeting, Some(MeetingId(Uuid::from_u128(7))));
    let Act::Deletion(gone) = &entry.act else {
        panic!("a deletion: {entry:?}");
    };
    assert_eq!(gone.what, Deletable::Transcript);
    assert_eq!(serde_json::to_vec(&entry).expect("it is JSON"), object);
}

fn acts() -> Vec<Act> {
    let id = Uuid::from_u128(5);
    let Act::Deletion(Deletion {
        recordings,
        objects,
        ..
    }) = draft(1).act
    else {
        panic!("a deletion");
    };
    let file = |recording| MadeFile {
        recording,
        key: "recordings/b".to_owned(),
        version: None,
        size_bytes: 7_000_000_000,
        duration_ms: 60_000,
        gaps: serde_json::json!([{"startMs": 1, "endMs": 2, "reason": "redacted"}]),
        made_of: vec!["abc".to_owned()],
        gain_db: Some(-1.25),
    };
    vec![
        Act::Redaction(Redaction {
            id,
            participant: ParticipantId(Uuid::from_u128(3)),
            purposes: Use::ALL.to_vec(),
            from_ms: Some(1_000),
            to_ms: None,
            decided_by: Some("user:1".to_owned()),
            erasure: None,
        }),
        Act::Redacted(Redacted {
            id,
            files: recordings.iter().cloned().map(file).collect(),
            objects: objects.clone(),
        }),
        Act::Replaced(Replaced {
            files: recordings.into_iter().map(file).collect(),
            objects,
        }),
        Act::Hold(Hold { id }),
        Act::Lift(Hold { id }),
        Act::Erasure(Erasure {
            id,
            user: UserId(Uuid::from_u128(4)),
        }),
    ]
}

#[test]
fn a_file_stands_in_for_those_before_it() {
    let Some(Act::Redacted(Redacted { files, .. })) = acts().into_iter().nth(1) else {
        panic!("files");
    };
    let other = |revision| Known::Other { revision };
    assert_eq!(files[0].recording.revision, 2);
    for (known, stands) in [
        (Known::Nothing, true),
        (other(1), true),
        (other(2), true),
        (other(3), false),
        (Known::This, false),
        (Known::Deleted, false),
    ] {
        assert_eq!(files[0].stands_in_for(known), stands, "{known:?}");
    }
}

#[test]
fn every_act_reads_back_and_is_refused_by_versions_that_do_not_know_it() {
    for act in acts() {
        let mut draft = Draft {
            act: act.clone(),
            ..draft(1)
        };
        if !act.is_of_meeting() {
            draft.meeting = None;
        }
        let (entry, object) = draft.clone().behind(&Head::genesis(TENANT));
        let version = if matches!(act, Act::Replaced(_)) {
            3
        } else {
            2
        };
        assert_eq!(entry.version, version);
        assert_eq!(read(TENANT, 1, &object), Ok(entry));
        // About a meeting that it does not name, or a user and a meeting.
        draft.meeting = match draft.meeting {
            Some(_) => None,
            None => Some(MeetingId(Uuid::from_u128(1))),
        };
        let (_, object) = draft.behind(&Head::genesis(TENANT));
        assert!(matches!(
            read(TENANT, 1, &object),
            Err(Broken::Unreadable { n: 1, .. })
        ));
    }
    let names: Vec<String> = acts()
        .iter()
        .map(|act| {
            let json = serde_json::to_value(act).expect("it is JSON");
            json["act"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "redaction",
            "redacted",
            "replaced",
            "hold",
            "lift",
            "erasure"
        ]
    );
}
