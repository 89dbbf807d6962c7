//! Corrections of final segments: edits, replacements, earlier versions, and what beats what.

use super::{
    app::{request, text},
    spoken::{LATER_MS, Spoken},
};
use hansard::{
    command::correct::{Correction, Outcome, correct},
    domain::{
        correction::{Refusal, TextSource},
        id::SegmentId,
    },
    store::{StoreError, capture},
};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn an_edit_is_a_new_version_everywhere_and_the_earlier_ones_are_kept() {
    let spoken = Spoken::new().await;
    let (app, session) = (&spoken.app, spoken.app.session(spoken.host));
    let segment = spoken.said(61_230, "so the necks tep").await;
    let edited = spoken
        .edit(&session, segment, "  So the  next step.", 3)
        .await
        .expect(200);
    assert_eq!(
        (&edited["text"], &edited["revision"], &edited["source"]),
        (&json!("So the next step."), &json!(4), &json!("edit"))
    );
    let author = format!("user:{}", spoken.host);
    assert_eq!(edited["author"], author);
    assert_eq!(
        (&edited["startMs"], &edited["endMs"]),
        (&json!(61_230), &json!(63_230))
    );
    assert_eq!(edited["stableChars"], 17);
    let words = edited["words"].as_array().expect("a list");
    let texts: Vec<&str> = words
        .iter()
        .filter_map(|word| word["text"].as_str())
        .collect();
    assert_eq!(texts, ["So", "the", "next", "step."]);
    assert_eq!(
        (&words[0]["startMs"], &words[3]["endMs"]),
        (&json!(61_230), &json!(63_230))
    );

    let read = app.get(&spoken.path("")).await.expect(200);
    assert_eq!(read["segments"], json!([edited]));
    for file in [".vtt", ".srt", ".txt"] {
        let shown = app.get(&spoken.path(file)).await.text;
        assert!(
            shown.contains("So the next step.") && !shown.contains("necks"),
            "{shown}"
        );
    }
    let told = spoken.told().await;
    // Events of the segment itself say nothing of its translation.
    let without = |members: &[&str]| {
        let mut data = edited.clone();
        let object = data.as_object_mut().expect("an object");
        members
            .iter()
            .for_each(|member| drop(object.remove(*member)));
        data
    };
    assert_eq!(
        told,
        [
            (
                "transcript_update",
                without(&["source", "author", "translation"])
            ),
            ("transcript_corrected", without(&["translation"]))
        ],
        "a replay has the newest words only"
    );

    // The same again changes nothing; from an old revision it is refused, and says what to do.
    let again = spoken.edit(&session, segment, "So the next step.", 3).await;
    assert_eq!(again.expect(200), edited);
    let same = spoken.edit(&app.key, segment, "So the next step.", 4).await;
    assert_eq!(same.expect(200), edited);
    let stale = spoken.edit(&app.key, segment, "Something else.", 3).await;
    let stale = stale.problem(409, "stale");
    assert!(text(&stale["detail"]).contains("baseRevision 4"), "{stale}");
    assert_eq!(spoken.told().await.len(), 2);

    let emptied = spoken.edit(&app.key, segment, "", 4).await.expect(200);
    assert_eq!(
        (&emptied["text"], &emptied["words"]),
        (&json!(""), &json!([]))
    );
    for file in [".vtt", ".srt", ".txt"] {
        let shown = app.get(&spoken.path(file)).await.text;
        assert!(!shown.contains("Ana"), "{shown}");
    }
    let versions = app
        .get(&spoken.path(format!("/{segment}/revisions")))
        .await
        .expect(200);
    let of = |n: usize| {
        let version = &versions["data"][n];
        (
            version["revision"].clone(),
            version["text"].clone(),
            version["source"].clone(),
        )
    };
    assert_eq!(of(0), (json!(5), json!(""), json!("edit")));
    assert_eq!(of(1), (json!(4), json!("So the next step."), json!("edit")));
    assert_eq!(of(2), (json!(3), json!("so the necks tep"), json!("live")));
    assert_eq!(
        (
            &versions["data"][1]["author"],
            &versions["data"][2]["author"]
        ),
        (&json!(author), &Value::Null)
    );
    assert_eq!(versions["data"][1]["words"], edited["words"]);
    let first = app
        .get(&spoken.path(format!("/{segment}/revisions?limit=2")))
        .await
        .expect(200);
    let cursor = text(&first["nextCursor"]);
    let rest = spoken.path(format!("/{segment}/revisions?limit=2&cursor={cursor}"));
    let rest = app.get(&rest).await.expect(200);
    assert_eq!(
        rest,
        json!({"data": [versions["data"][2]], "nextCursor": null})
    );
}

#[tokio::test]
async fn only_finals_are_edited_and_only_with_a_sound_body() {
    let spoken = Spoken::new().await;
    let app = &spoken.app;
    let nobody = Uuid::now_v7();
    // It may be one that is spoken just now.
    let refused = spoken.edit(&app.key, nobody, "Words.", 1).await;
    let detail = refused.problem(409, "not_final");
    assert!(text(&detail["detail"]).contains("wait for"), "{detail}");
    let versions = spoken.path(format!("/{nobody}/revisions"));
    app.get(&versions).await.problem(404, "not_found");
    let segment = spoken.said(0, "Words.").await;
    let path = spoken.path(format!("/{segment}"));
    for (body, pointers) in [
        (json!({}), &["/text"][..]),
        (json!({"text": "a"}), &["/baseRevision"]),
        (json!({"text": "a", "baseRevision": 0}), &["/baseRevision"]),
        (json!({"text": "a\nb", "baseRevision": 3}), &["/text"]),
        (
            json!({"text": "a".repeat(5_001), "baseRevision": 3}),
            &["/text"],
        ),
        (
            json!({"text": "a", "baseRevision": 3, "final": true}),
            &["/final"],
        ),
    ] {
        app.call("PATCH", &path, &app.key, Some(body))
            .await
            .points_at(pointers);
    }
    let replace = spoken.path("/replace");
    for (body, pointers) in [
        (json!({"replace": "a"}), &["/find"][..]),
        (json!({"find": " ", "replace": "a"}), &["/find"]),
        (json!({"find": "a", "replace": "b\u{202e}"}), &["/replace"]),
        (json!({"find": "a".repeat(201), "replace": "b"}), &["/find"]),
    ] {
        app.post(&replace, body).await.points_at(pointers);
    }
    // Of another meeting it is no segment of this one.
    let other = app.meeting(spoken.host).await;
    let elsewhere = format!("/v1/meetings/{other}/transcript/{segment}");
    let body = json!({"text": "a", "baseRevision": 3});
    app.call("PATCH", &elsewhere, &app.key, Some(body))
        .await
        .problem(409, "not_final");
    app.call(
        "PUT",
        &format!("/v1/meetings/{}/end", spoken.meeting),
        &app.key,
        None,
    )
    .await
    .expect(200);
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    capture::transcript(&mut tx, app.tenant, spoken.meeting, None, true)
        .await
        .expect("complete");
    tx.commit().await.expect("commits");
    spoken
        .edit(&app.key, nobody, "Words.", 1)
        .await
        .problem(404, "not_found");
    app.get(&versions).await.problem(404, "not_found");
    spoken
        .edit(&app.key, segment, "Later words.", 3)
        .await
        .expect(200);
}

#[tokio::test]
async fn one_of_two_edits_at_once_wins_and_a_person_beats_a_job() {
    let spoken = Spoken::new().await;
    let app = &spoken.app;
    let segment = spoken.said(0, "one").await;
    let (a, b) = tokio::join!(
        spoken.edit(&app.key, segment, "two", 3),
        spoken.edit(&app.key, segment, "three", 3)
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(
        spoken.refine(segment, 4, "four").await,
        Outcome::Refused(Refusal::Edited { current: 4 })
    );

    let segment = spoken.said(3_000, "one").await;
    assert_eq!(
        spoken.refine(segment, 2, "two").await,
        Outcome::Refused(Refusal::Stale { current: 3 })
    );
    assert_eq!(
        spoken.refine(segment, 3, "two").await,
        Outcome::Corrected(4)
    );
    assert_eq!(
        spoken.refine(segment, 3, "two").await,
        Outcome::Unchanged(4),
        "a job runs twice"
    );
    assert_eq!(spoken.refine(segment, 4, "").await, Outcome::Unchanged(4));
    assert_eq!(
        spoken.refine(Uuid::now_v7(), 1, "two").await,
        Outcome::Missing
    );
    let told = spoken.told().await;
    let (kind, refined) = told.last().expect("told");
    assert_eq!(
        (
            *kind,
            &refined["source"],
            &refined["author"],
            &refined["text"]
        ),
        (
            "transcript_corrected",
            &json!("refine"),
            &Value::Null,
            &json!("two")
        )
    );
    // From the live text; by now it is refined.
    spoken
        .edit(&app.key, segment, "three", 3)
        .await
        .problem(409, "stale");
    spoken.edit(&app.key, segment, "three", 4).await.expect(200);
}

#[tokio::test]
async fn a_text_is_replaced_in_all_finals_or_in_none() {
    let spoken = Spoken::new().await;
    let app = &spoken.app;
    let first = spoken.said(0, "Hand sard and hand sards, hand sard.").await;
    let other = spoken.said(3_000, "Nothing of it.").await;
    let second = spoken.said(6_000, "This is hand sard").await;
    let path = spoken.path("/replace");
    let bearer = format!("Bearer {}", app.key);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "once"),
    ];
    let body = json!({"find": "hand sard", "replace": "Hansard", "wholeWord": true});
    let send = async || {
        app.send(request("POST", &path, &headers, Some(body.clone())))
            .await
    };
    let done = send().await.expect(200);
    assert_eq!(
        done,
        json!({"replaced": 3, "segments": [
            {"segmentId": first, "revision": 4}, {"segmentId": second, "revision": 4}
        ]})
    );
    let replayed = send().await;
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    assert_eq!(replayed.expect(200), done);
    let read = app.get(&spoken.path("")).await.expect(200);
    let texts: Vec<(&Value, &Value)> = read["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|segment| (&segment["text"], &segment["revision"]))
        .collect();
    assert_eq!(
        texts,
        [
            (&json!("Hansard and hand sards, Hansard."), &json!(4)),
            (&json!("Nothing of it."), &json!(3)),
            (&json!("This is Hansard"), &json!(4)),
        ]
    );
    let nothing = app.post(
        &path,
        json!({"find": "HANSARD", "replace": "x", "matchCase": true}),
    );
    assert_eq!(
        nothing.await.expect(200),
        json!({"replaced": 0, "segments": []})
    );
    assert_eq!(
        app.get(&spoken.path(format!("/{other}/revisions")))
            .await
            .expect(200)["data"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    sqlx::query(
        "insert into transcript_segments (meeting_id, id, tenant_id, participant_id, start_ms, end_ms, text, words,
                                          revision, epoch, consent_entry)
         select $1, gen_random_uuid(), $2, $3, 10000 + n, 10001 + n, 'the many', '[]', 1, 1, 1
         from generate_series(1, 1001) as n",
    )
    .bind(spoken.meeting.0)
    .bind(app.tenant.0)
    .bind(spoken.ana.participant.0)
    .execute(&mut app.sql().await)
    .await
    .expect("inserted");
    let events = spoken.events().await.len();
    let many = json!({"find": "many", "replace": "few"});
    app.post(&path, many.clone()).await.points_at(&["/find"]);
    assert_eq!(spoken.events().await.len(), events, "nothing is changed");
    sqlx::query("delete from transcript_segments where meeting_id = $1 and start_ms = 11001")
        .bind(spoken.meeting.0)
        .execute(&mut app.sql().await)
        .await
        .expect("deleted");
    let done = app.post(&path, many).await.expect(200);
    assert_eq!(done["replaced"], 1_000);
    let told = spoken.events().await;
    assert_eq!(told.len(), events + 1_000);
    let seqs: Vec<i64> = told.iter().map(|event| event.seq).collect();
    assert_eq!(
        seqs,
        (1..=told.len() as i64).collect::<Vec<_>>(),
        "without holes"
    );
}

#[tokio::test]
async fn a_withdrawal_erases_every_version() {
    let spoken = Spoken::new().await;
    let app = &spoken.app;
    // Before the start, so that it ended before the withdrawal, however fast this test is.
    let kept = spoken.said(-5_000, "This stays.").await;
    let gone = spoken.said(LATER_MS, "zanzibar one").await;
    spoken
        .edit(&app.key, gone, "zanzibar two", 3)
        .await
        .expect(200);
    let keyed = [
        ("authorization", format!("Bearer {}", app.key)),
        ("idempotency-key", "k".to_owned()),
    ];
    let keyed: Vec<(&str, &str)> = keyed
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = json!({"find": "two", "replace": "zanzibar three"});
    app.send(request(
        "POST",
        &spoken.path("/replace"),
        &keyed,
        Some(body),
    ))
    .await
    .expect(200);
    let before = spoken.tables_with("zanzibar").await;
    let parts: std::collections::BTreeSet<&str> = before
        .iter()
        .map(|table| table.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_'))
        .collect();
    assert_eq!(
        parts.into_iter().collect::<Vec<_>>(),
        ["transcript_revisions", "transcript_segments"],
        "the search finds what there is, and nowhere else"
    );
    // It is edited and withdrawn at once: whichever comes first, nothing is left.
    let (edited, withdrawn) = tokio::join!(
        spoken.edit(&app.key, gone, "zanzibar four", 5),
        app.say(
            spoken.meeting,
            &spoken.ana.token,
            "transcription",
            "withdrawn"
        )
    );
    withdrawn.expect(201);
    assert!([200, 409].contains(&edited.status), "{}", edited.text);
    assert_eq!(spoken.tables_with("zanzibar").await, [""; 0]);
    spoken
        .edit(&app.key, gone, "zanzibar five", 6)
        .await
        .problem(409, "not_final");
    assert_eq!(
        spoken.refine(gone, 6, "zanzibar six").await,
        Outcome::Missing
    );
    assert_eq!(spoken.tables_with("zanzibar").await, [""; 0]);
    let told = spoken.told().await;
    assert!(told.len() >= 5, "{told:?}");
    assert_eq!(
        (told[0].0, &told[0].1["segmentId"]),
        ("transcript_update", &json!(kept))
    );
    for (kind, data) in &told[1..] {
        assert_eq!(*kind, "transcript_retracted");
        assert_eq!(data, &json!({"segmentId": gone, "reason": "withdrawn"}));
    }
    app.get(&spoken.path(format!("/{gone}/revisions")))
        .await
        .problem(404, "not_found");
    spoken
        .edit(&app.key, kept, "This stays, edited.", 3)
        .await
        .expect(200);
}

#[tokio::test]
async fn versions_are_bounded() {
    let spoken = Spoken::new().await;
    let segment = spoken.said(0, "0").await;
    let mut tx = spoken
        .app
        .state
        .store
        .worker_tx()
        .await
        .expect("Postgres answers");
    for n in 0.. {
        let asked = Correction {
            segment: SegmentId(segment),
            base: 3 + n,
            text: format!("{}", n + 1),
            words: None,
            language: None,
        };
        match correct(
            &mut tx,
            spoken.meeting,
            TextSource::Edit,
            Some("test"),
            vec![asked],
        )
        .await
        {
            Ok((outcomes, _)) => assert_eq!(outcomes, [Outcome::Corrected(4 + n)]),
            Err(StoreError::TooMany(_)) => {
                assert_eq!(n, 99);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    tx.commit().await.expect("commits");
    let body = spoken
        .edit(&spoken.app.key, segment, "One more.", 102)
        .await;
    body.problem(429, "too_many");
}
