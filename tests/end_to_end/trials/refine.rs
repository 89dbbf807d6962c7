//! A transcript that is transcribed once more after the end.

use super::{
    room::{Guest, Room, serve, time},
    site::speech,
    support::{Scratch, eventually, postgres},
};
use chrono::TimeDelta;
use hansard::{
    command,
    domain::{
        consent::{ConsentStatus, ConsentType},
        id::ConsentId,
    },
    store::{Store, Tx, consent::ConsentDecision, new_id},
};
use hansard_client::{rest::Client, signal::Event, wer};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// On a busy machine.
const LATE: Duration = Duration::from_secs(240);

async fn segments(client: &Client, room: &Room) -> Vec<Value> {
    let transcript = client.transcript(&room.id).await.expect("is there");
    transcript["segments"].as_array().expect("a list").clone()
}

async fn refined(client: &Client, room: &Room) -> Value {
    client.transcript(&room.id).await.expect("is there")["refined"].clone()
}

fn id(segment: &Value) -> Uuid {
    let id = segment["segmentId"].as_str().expect("an id");
    id.parse().expect("an id")
}

async fn says(room: &Room, guest: &Guest, name: &str, parts: &[(usize, usize)], finals: usize) {
    let frames: Vec<_> = parts
        .iter()
        .flat_map(|(from, to)| speech(name, *from, *to))
        .collect();
    room.speak(guest, &frames).await.finished().await;
    heard(room, guest, finals).await;
}

/// Until there are so many finals of somebody.
async fn heard(room: &Room, guest: &Guest, finals: usize) {
    eventually("it is heard", LATE, async || {
        let events = room.events();
        let of = |event: &&Event| {
            event.data()["final"] == true && event.data()["participant"]["id"] == guest.id.as_str()
        };
        events.iter().filter(of).count() >= finals
    })
    .await;
}

/// Ends a meeting at a server that refines nothing; what was heard of it live.
async fn ended(client: &Client, room: &Room) -> Vec<Value> {
    client.end(&room.id).await.expect("ends");
    eventually("it is over", LATE, async || {
        refined(client, room).await == "pending"
    })
    .await;
    segments(client, room).await
}

fn words(segment: &Value) -> Vec<String> {
    wer::words(segment["text"].as_str().expect("text"))
}

/// A word may be heard better or worse than it was live.
fn assert_heard_again(before: &Value, after: &Value) {
    let errors = wer::compare(&words(before).join(" "), &words(after).join(" "));
    assert!(errors.rate() < 0.35, "{before} became {after}");
}

fn revision(segment: &Value) -> i64 {
    segment["revision"].as_i64().expect("a number")
}

/// As if every word of them had been misheard.
const MISHEAR: &str = "update transcript_segments set text = 'um', words =
         (select jsonb_agg(jsonb_set(w, '{text}', '\"um\"')) from jsonb_array_elements(words) as w)
     where id = any($1)";

async fn mishear(tx: &mut Tx, of: &[Uuid]) {
    let done = sqlx::query(MISHEAR).bind(of).execute(&mut **tx).await;
    assert_eq!(
        done.expect("it is changed").rows_affected(),
        of.len() as u64
    );
}

/// Between the end and the second pass, one segment becomes misheard, one was never heard, one was
/// edited, and a withdrawal of before is heard of. Another meeting names a model that nobody has.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_misheard_is_corrected_and_what_a_person_wrote_stays() {
    let data = Scratch::new();
    let database = postgres::database().await;
    let environment = [("DATABASE_URL", database.as_str())];
    let first = serve(
        data.path(),
        &[environment[0], ("HANSARD_QUEUES", "capture")],
    );
    let client = first.client();
    let room = Room::open(
        &client,
        json!({"language": "en", "refineModel": "hansard-test-en"}),
    )
    .await;
    let (david, emma, frank) = (
        room.guest_who("David", "accepted").await,
        room.guest_who("Emma", "accepted").await,
        room.guest_who("Frank", "accepted").await,
    );
    says(
        &room,
        &david,
        "David",
        &[(5_400, 9_300), (11_800, 15_300)],
        2,
    )
    .await;
    says(&room, &emma, "Emma", &[(9_200, 11_800)], 1).await;
    says(&room, &frank, "Emma", &[(9_200, 11_800)], 1).await;
    let before = ended(&client, &room).await;
    let other = Room::open(
        &client,
        json!({"language": "en", "refineModel": "nobody.has"}),
    )
    .await;
    let guest = other.guest_who("David", "accepted").await;
    says(&other, &guest, "David", &[(5_400, 9_300)], 1).await;
    let kept = ended(&client, &other).await;
    first.kill();
    let of = |guest: &Guest| {
        let mut of: Vec<&Value> = before
            .iter()
            .filter(|segment| segment["participant"]["id"] == guest.id.as_str())
            .collect();
        of.sort_by_key(|segment| segment["startMs"].as_i64());
        of
    };
    let (misheard, unheard, edited) = (of(&david)[0], of(&david)[1], of(&emma)[0]);
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    mishear(&mut tx, &[id(misheard)]).await;
    for (change, segment) in [
        ("delete from transcript_segments where id = $1", unheard),
        (
            "update transcript_segments set text = 'As Emma put it.', revision = revision + 1, source = 'edit',
                 author = 'api_key:1' where id = $1",
            edited,
        ),
    ] {
        let done = sqlx::query(change).bind(id(segment)).execute(&mut *tx).await;
        assert_eq!(done.expect("it is changed").rows_affected(), 1);
    }
    let withdrawal = ConsentDecision {
        meeting: room.id.parse().expect("an id"),
        participant: frank.id.parse().expect("an id"),
        id: ConsentId(new_id()),
        consent_type: ConsentType::Transcription,
        status: ConsentStatus::Withdrawn,
        actor: "self".into(),
        statement: None,
        timestamp: time(&of(&frank)[0]["startAt"]) - TimeDelta::milliseconds(500),
        once: None,
    };
    command::consent::record(&mut tx, &withdrawal)
        .await
        .expect("recorded");
    tx.commit().await.expect("commits");
    store.close().await;

    let second = serve(data.path(), &environment);
    let client = second.client();
    let room = room.moved(&client).await;
    eventually("it is refined", LATE, async || {
        refined(&client, &room).await == "done"
    })
    .await;
    let after = segments(&client, &room).await;
    let now = |segment: &Value| after.iter().find(|one| id(one) == id(segment));
    let corrected = now(misheard).expect("it keeps its id");
    for field in ["startMs", "endMs", "participant"] {
        assert_eq!(corrected[field], misheard[field]);
    }
    assert_eq!(
        words(corrected),
        words(misheard),
        "as it was heard at first"
    );
    assert_eq!(revision(corrected), revision(misheard) + 1);
    let confidences: Vec<f64> = corrected["words"]
        .as_array()
        .expect("its words")
        .iter()
        .map(|word| word["confidence"].as_f64().expect("a number"))
        .collect();
    assert!(
        confidences.iter().any(|sure| *sure < 1.0),
        "the decoder's, not a person's: {confidences:?}"
    );
    assert!(now(unheard).is_none(), "its id never returns");
    let speaks = |segment: &&Value| segment["participant"]["id"] == frank.id.as_str();
    assert_eq!(after.iter().filter(speaks).count(), 0, "it was withdrawn");
    let new: Vec<&Value> = after
        .iter()
        .filter(|one| before.iter().all(|earlier| id(earlier) != id(one)))
        .collect();
    let said: Vec<String> = new.iter().flat_map(|one| words(one)).collect();
    // Decoded together with what was said before it, a word may be heard better or worse.
    let errors = wer::compare(&words(unheard).join(" "), &said.join(" "));
    assert!(errors.rate() < 0.35, "{after:?}");
    assert_eq!(said.first(), words(unheard).first(), "{after:?}");
    assert_eq!(now(edited).expect("it is there")["text"], "As Emma put it.");
    // Nobody observes a meeting whose files are ready: what was told is read from its beginning.
    let room = room.moved(&client).await;
    eventually("it is told", LATE, async || {
        let events = room.events();
        events.iter().any(|event| {
            event.kind() == "transcript_corrected"
                && event.data()["segmentId"] == misheard["segmentId"]
                && event.data()["source"] == "refine"
        })
    })
    .await;

    // Its files and its live text are there all the same.
    eventually("it is given up", LATE, async || {
        refined(&client, &other).await == "failed"
    })
    .await;
    let transcript = client.transcript(&other.id).await.expect("is there");
    assert_eq!(transcript["complete"], true);
    assert_eq!(transcript["segments"], json!(kept));
    second.terminate();
}

/// Somebody who shares the sound of a screen while speaking has two tracks at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_tracks_of_one_person_is_refined_with_its_own_words() {
    let data = Scratch::new();
    let database = postgres::database().await;
    let environment = [("DATABASE_URL", database.as_str())];
    let first = serve(
        data.path(),
        &[environment[0], ("HANSARD_QUEUES", "capture")],
    );
    let client = first.client();
    let settings = json!({"language": "en", "refineModel": "hansard-test-en"});
    let room = Room::open(&client, settings).await;
    let david = room.guest_who("David", "accepted").await;
    let (microphone, screen) = (
        room.line(&david).await,
        room.line_of(&david, "screen").await,
    );
    let begins = Instant::now() + Duration::from_millis(200);
    let voices = [
        microphone.speak(&speech("David", 5_400, 9_300), begins),
        screen.speak(&speech("Emma", 9_200, 11_800), begins),
    ];
    for voice in voices {
        voice.finished().await;
    }
    heard(&room, &david, 2).await;
    let before = ended(&client, &room).await;
    first.kill();
    let [one, other] = &before[..] else {
        panic!("two are heard: {before:?}")
    };
    let time = |segment: &Value, at: &str| segment[at].as_i64().expect("a time");
    assert!(
        time(one, "endMs") > time(other, "startMs"),
        "at the same time: {before:?}"
    );
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    mishear(&mut tx, &[id(one), id(other)]).await;
    tx.commit().await.expect("commits");
    store.close().await;

    let second = serve(data.path(), &environment);
    let client = second.client();
    eventually("it is refined", LATE, async || {
        refined(&client, &room).await == "done"
    })
    .await;
    let after = segments(&client, &room).await;
    assert_eq!(after.len(), before.len(), "{after:?}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(id(after), id(before));
        assert_heard_again(before, after);
        assert_eq!(revision(after), revision(before) + 1);
    }
    second.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refinement_that_is_cut_off_goes_on_where_it_was() {
    let data = Scratch::new();
    let database = postgres::database().await;
    let environment = [("DATABASE_URL", database.as_str())];
    let first = serve(
        data.path(),
        &[environment[0], ("HANSARD_QUEUES", "capture")],
    );
    let client = first.client();
    let settings = json!({"language": "en", "refineModel": "hansard-test-en"});
    let room = Room::open(&client, settings).await;
    let (david, david_too) = (
        room.guest_who("David", "accepted").await,
        room.guest_who("David", "accepted").await,
    );
    let parts = [(5_400, 9_300), (11_800, 15_300)].repeat(3);
    tokio::join!(
        says(&room, &david, "David", &parts, parts.len()),
        says(&room, &david_too, "David", &parts, parts.len())
    );
    let before = ended(&client, &room).await;
    first.kill();
    let store = Store::open(&database, 1).expect("a URL");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    let all: Vec<Uuid> = before.iter().map(id).collect();
    mishear(&mut tx, &all).await;
    tx.commit().await.expect("commits");

    let second = serve(data.path(), &environment);
    let corrected = async || -> Vec<Uuid> {
        let mut tx = store.worker_tx().await.expect("Postgres answers");
        sqlx::query_scalar("select id from transcript_segments where source = 'refine'")
            .fetch_all(&mut *tx)
            .await
            .expect("read")
    };
    let asked = Instant::now();
    while corrected().await.is_empty() {
        assert!(asked.elapsed() < LATE, "nothing is refined");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    second.kill();
    let done = corrected().await;
    assert!(done.len() < all.len(), "it was cut off: {done:?}");
    // What was through is not looked at again.
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    mishear(&mut tx, &done).await;
    tx.commit().await.expect("commits");
    let progress = async || -> Option<f32> {
        let mut tx = store.worker_tx().await.expect("Postgres answers");
        sqlx::query_scalar("select progress from jobs where kind = 'transcript'")
            .fetch_one(&mut *tx)
            .await
            .expect("read")
    };
    let so_far = Cell::new(progress().await.expect("something is done"));
    assert!(0.0 < so_far.get() && so_far.get() < 1.0, "{so_far:?}");

    let third = serve(data.path(), &environment);
    let client = third.client();
    eventually("it is refined", LATE, async || {
        let now = progress().await.expect("it was known");
        let before = so_far.replace(now);
        assert!(now >= before, "back from {before} to {now}");
        refined(&client, &room).await == "done"
    })
    .await;
    store.close().await;
    let after = segments(&client, &room).await;
    assert_eq!(after.len(), before.len(), "{after:?}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(id(after), id(before));
        assert_eq!(revision(after), revision(before) + 1, "once");
        if done.contains(&id(after)) {
            assert_eq!(words(after), ["um"]);
        } else {
            assert_heard_again(before, after);
        }
    }
    third.terminate();
}
