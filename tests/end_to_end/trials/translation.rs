//! Finals in another language, translated by a model that can; and a promise that nobody could
//! keep.

use super::{
    room::{Room, serve, time},
    site::speech,
    support::{Scratch, eventually, postgres, server::Server},
};
use chrono::TimeDelta;
use hansard::{
    command,
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::ConsentId,
    },
    store::{Store, consent::ConsentDecision, new_id},
};
use hansard_client::wer;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// A real model on a busy machine, in a debug build.
const LATE: Duration = Duration::from_secs(240);

fn event_kinds(room: &Room, kind: &str) -> Vec<Value> {
    let events = room.events();
    let of_kind = events.iter().filter(|event| event.kind() == kind);
    of_kind.map(|event| event.data().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_translation_that_the_only_model_cannot_make_is_refused() {
    let data = Scratch::new();
    let server = serve(data.path(), &[]);
    let client = server.client();
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("a user");
    let refused = client
        .create_meeting(&host, json!({"translateTo": "en"}))
        .await;
    let why = refused.expect_err("it is refused").to_string();
    assert!(
        why.contains("422") && why.contains("hansard-test-en"),
        "{why}"
    );
    server.terminate();
}

/// `hansard serve` with the multilingual model of a data folder, which stays where it is.
fn multilingual(models: &Path, data: &Path, database: &str) -> Server {
    std::os::unix::fs::symlink(models.join("models"), data.join("models")).expect("linked");
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--s3-listen",
        "127.0.0.1:0",
        "--capacity",
        "4",
    ];
    let environment = [("HANSARD_MODEL", "base-q8_0"), ("DATABASE_URL", database)];
    Server::start("serve", data, &arguments, &environment)
}

/// With real weights only: the bundled model speaks English alone. A voice that is taken for German
/// is translated into what it really says.
#[tokio::test(flavor = "multi_thread")]
async fn a_final_is_translated_and_a_withdrawal_takes_that_too() {
    let Some(models) = std::env::var_os("HANSARD_TEST_MODELS") else {
        eprintln!("HANSARD_TEST_MODELS names no data folder with a multilingual model: not run");
        return;
    };
    let data = Scratch::new();
    let database = postgres::database().await;
    let server = multilingual(Path::new(&models), data.path(), &database);
    let client = server.client();
    let room = Room::open(&client, json!({"language": "de", "translateTo": "en"})).await;
    let david = room.guest_who("David", "accepted").await;
    let voice = room.speak(&david, &speech("David", 5_400, 9_300)).await;
    voice.finished().await;
    eventually("it is translated", LATE, async || {
        !event_kinds(&room, "transcript_translated").is_empty()
    })
    .await;
    let told = event_kinds(&room, "transcript_translated").remove(0);
    let finals = event_kinds(&room, "transcript_update");
    let of = finals
        .iter()
        .find(|said| said["final"] == true && said["segmentId"] == told["segmentId"])
        .expect("its final came before");
    assert_eq!(
        (&told["revision"], &told["language"]),
        (&of["revision"], &json!("en"))
    );
    let said = wer::words(told["text"].as_str().expect("text"));
    assert!(said.iter().any(|word| word == "database"), "{told} of {of}");

    let read = client.transcript(&room.id).await.expect("is there");
    let segments = read["segments"].as_array().expect("a list");
    let segment = segments
        .iter()
        .find(|segment| segment["segmentId"] == told["segmentId"])
        .expect("it is there");
    assert_eq!(
        segment["translation"],
        json!({"language": "en", "text": told["text"]})
    );
    let vtt = async || {
        let url = format!(
            "{}/v1/meetings/{}/transcript.vtt",
            client.base_url(),
            room.id
        );
        let asked = reqwest::Client::new()
            .get(url)
            .bearer_auth(client.api_key());
        let answer = asked.send().await.expect("it answers");
        answer.text().await.expect("text")
    };
    assert!(vtt().await.contains("<lang en>"), "{}", vtt().await);

    // A withdrawal of before is heard of late.
    let withdrawal = ConsentDecision {
        meeting: room.id.parse().expect("an id"),
        participant: david.id.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Transcription,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: time(&of["startAt"]) - TimeDelta::milliseconds(500),
        once: None,
    };
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    store.close().await;
    eventually("its words are gone", LATE, async || {
        !vtt().await.contains("<v ")
    })
    .await;
    let again = room.moved(&client).await;
    eventually("it is told", LATE, async || {
        !event_kinds(&again, "transcript_retracted").is_empty()
    })
    .await;
    assert_eq!(
        event_kinds(&again, "transcript_translated"),
        [Value::Null; 0]
    );
    server.terminate();
}
