//! Translations of finals: how long they stay, and whether they can be promised.

use super::{
    app::{App, text},
    spoken::{LATER_MS, Spoken},
};
use hansard::{command::correct::Outcome, store::translation};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_translation_goes_with_its_version_and_with_a_withdrawal() {
    let spoken = Spoken::new().await;
    let app = &spoken.app;
    let segment = spoken.said(LATER_MS, "wir reden von sansibar").await;
    sqlx::query("update transcript_segments set language = 'de' where id = $1")
        .bind(segment)
        .execute(&mut app.sql().await)
        .await
        .expect("changed");
    assert_eq!(
        spoken.translate(segment, 2, "zanzibar, early").await,
        0,
        "of no version that is"
    );
    assert_eq!(spoken.translate(Uuid::now_v7(), 3, "zanzibar").await, 0);
    assert_eq!(
        spoken.translate(segment, 3, "we speak of zanzibar").await,
        1
    );
    assert_eq!(
        spoken.translate(segment, 3, "zanzibar again").await,
        0,
        "a job runs twice"
    );
    let told = spoken.told().await;
    assert_eq!(
        told[1..],
        [(
            "transcript_translated",
            json!({"segmentId": segment, "revision": 3, "language": "en", "text": "we speak of zanzibar"})
        )]
    );
    let read = app.get(&spoken.path("")).await.expect(200);
    assert_eq!(
        read["segments"][0]["translation"],
        json!({"language": "en", "text": "we speak of zanzibar"})
    );
    for (file, beside) in [
        (".txt", "Ana (en): we speak of zanzibar"),
        (".vtt", "<v Ana><lang en>we speak of zanzibar</lang></v>"),
        (".srt", "Ana: we speak of zanzibar"),
    ] {
        let shown = app.get(&spoken.path(file)).await.text;
        assert!(
            shown.contains("sansibar") && shown.contains(beside),
            "{shown}"
        );
    }
    let tables = spoken.tables_with("zanzibar").await;
    assert!(
        tables.len() == 1 && tables[0].starts_with("transcript_translations_"),
        "{tables:?}"
    );

    // It is of the sound, which a refinement only hears better.
    assert_eq!(
        spoken.refine(segment, 3, "Wir reden von Sansibar.").await,
        Outcome::Corrected(4)
    );
    let read = app.get(&spoken.path("")).await.expect(200);
    assert_eq!(
        read["segments"][0]["translation"]["text"],
        "we speak of zanzibar"
    );
    assert_eq!(
        spoken.told().await[1..2],
        [(
            "transcript_translated",
            json!({"segmentId": segment, "revision": 4, "language": "en", "text": "we speak of zanzibar"})
        )]
    );

    // Of the version that was edited away it is no translation of what is there.
    let edited = spoken
        .edit(&app.key, segment, "wir reden", 4)
        .await
        .expect(200);
    assert_eq!(edited["translation"], Value::Null);
    assert_eq!(spoken.tables_with("zanzibar").await, [""; 0]);
    let kinds: Vec<&str> = spoken.told().await.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [
            "transcript_update",
            "transcript_corrected",
            "transcript_corrected",
            "transcript_corrected"
        ],
        "a replay does not bring it back"
    );

    assert_eq!(spoken.translate(segment, 5, "we speak, zanzibar").await, 1);
    app.say(
        spoken.meeting,
        &spoken.ana.token,
        "transcription",
        "withdrawn",
    )
    .await
    .expect(201);
    assert_eq!(spoken.tables_with("zanzibar").await, [""; 0]);
    assert_eq!(spoken.tables_with("sansibar").await, [""; 0]);
    assert_eq!(spoken.translate(segment, 5, "zanzibar for good").await, 0);
    let told = spoken.told().await;
    assert!(
        told.iter().all(|(kind, _)| *kind == "transcript_retracted"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_translation_is_promised_only_where_a_model_can() {
    let app = App::start().await;
    let ana = app.user("Ana").await;
    let create = async |to: &str| {
        let body = json!({"hostId": ana, "settings": {"translateTo": to}});
        app.post("/v1/meetings", body).await
    };
    create("de").await.points_at(&["/settings/translateTo"]);
    // No worker is there to be asked.
    let made = create("en").await.expect(201);
    assert_eq!(made["settings"]["translateTo"], "en");
    let note = async |model: &str, translates| {
        let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
        let worker = Uuid::now_v7();
        translation::note_model(&mut tx, worker, model, translates)
            .await
            .expect("noted");
        tx.commit().await.expect("commits");
        worker
    };
    note("base.en", false).await;
    let refused = create("en").await.problem(422, "invalid");
    assert!(text(&refused["detail"]).contains("base.en"), "{refused}");
    let can = note("base", true).await;
    create("en").await.expect(201);
    // One that was killed and started again with another model.
    let mut tx = app.state.store.worker_tx().await.expect("Postgres answers");
    translation::forget_models(&mut tx, &[can])
        .await
        .expect("forgotten");
    tx.commit().await.expect("commits");
    create("en").await.points_at(&["/settings/translateTo"]);
    note("base", true).await;
    create("en").await.expect(201);
    // A worker that says nothing for long counts no more.
    sqlx::query("update worker_models set seen_at = seen_at - interval '1 hour' where translates")
        .execute(&mut app.sql().await)
        .await
        .expect("changed");
    create("en").await.points_at(&["/settings/translateTo"]);
}
