//! Since when something is kept, and of whom not: the same for whoever came late or came again.

use super::world::{Client, World};
use hansard::domain::{
    event::{Event, RecordingReport},
    recording_state::RecordingState,
    wire_time::wire_time,
};
use serde_json::{Value, json};

fn running(transcribing: bool, epoch: i64) -> Event {
    Event::RecordingState(RecordingReport {
        transcribing,
        ..RecordingReport::idle(RecordingState::Recording, None, epoch)
    })
}

/// What an answer about one purpose is dated.
async fn answers(client: &mut Client, purpose: &str, status: &str) -> Value {
    let data = json!({"consentType": purpose, "status": status});
    client
        .send(json!({"type": "consent", "id": purpose, "data": data}))
        .await;
    loop {
        let told = client.next_of("consent_updated").await;
        // A withdrawal is told before it is written, too; the log has the time.
        if told["data"]["entry"].is_i64() {
            return told["data"]["timestamp"].clone();
        }
    }
}

#[tokio::test]
async fn whoever_comes_late_is_told_since_when() {
    let world = World::new().await;
    let api = world.api().await;
    let (mut ana, joined) = api.join(&world, world.invite("Ana").await).await;
    assert_eq!(joined["recording"]["since"], Value::Null);
    let said_nothing = json!({"recording": null, "transcription": null});
    assert_eq!(joined["participants"][0]["consentSince"], said_nothing);

    let agreed = answers(&mut ana, "recording_ai", "accepted").await;
    let withdrew = answers(&mut ana, "transcription", "withdrawn").await;
    // Said once more about both: of the one that stands, nothing changes.
    let agreed_again = answers(&mut ana, "recording_ai", "accepted").await;
    assert!(agreed.as_str() < withdrew.as_str() && withdrew.as_str() < agreed_again.as_str());

    let first = world.store_event(running(false, 1)).await;
    let second = world.store_event(running(true, 1)).await;
    // Another worker goes on with it.
    let third = world.store_event(running(true, 2)).await;
    let told = ana.up_to(third.seq).await;
    let told = told.iter().find(|told| told["seq"] == second.seq);
    let told = told.expect("it is told");
    assert_eq!(told["at"], json!(wire_time(second.at)));
    assert_eq!(told["data"]["since"], json!(wire_time(first.at)));
    assert_eq!(
        told["data"]["transcribingSince"],
        json!(wire_time(second.at))
    );

    let (bob, late) = api.join(&world, world.invite("Bob").await).await;
    let recording = &late["recording"];
    assert_eq!(recording["epoch"], 2);
    assert_eq!(recording["since"], json!(wire_time(first.at)));
    assert_eq!(recording["transcribingSince"], json!(wire_time(second.at)));
    assert_eq!(
        late["participants"][0]["consentSince"],
        json!({"recording": agreed, "transcription": agreed_again})
    );
    // What is replayed says when it was, too.
    drop(bob);
    let mut again = api.connect().await;
    let token = late["resumeToken"].clone();
    again
        .join(json!({"resumeToken": token, "lastSeq": 0}))
        .await;
    let own = again.next_of("participant_joined").await;
    let events = world.all_events().await;
    let stored = events.iter().find(|event| own["seq"] == event.seq);
    assert_eq!(own["at"], json!(wire_time(stored.expect("it is kept").at)));
    let stopped = world.store_event(running(false, 2)).await;
    let told = again.up_to(stopped.seq).await;
    let last = told.last().expect("it came");
    assert_eq!(last["data"]["transcribingSince"], Value::Null);
    assert_eq!(last["data"]["since"], json!(wire_time(first.at)));
}
