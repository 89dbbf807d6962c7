//! A whole meeting of three voices, one of whom declines: on one `serve`, and through two `api` and
//! two `worker` processes on external Postgres, RabbitMQ and S3, every participant on another `api`
//! than the one before. The same words, the same files, and nothing of whoever declined.

use crate::support::{
    Scratch, postgres,
    rabbitmq::RabbitMq,
    s3::Bucket,
    server::Server,
    signaling::{Side, undocumented},
};
use hansard_client::{
    caption::violations,
    meeting::Meeting,
    rest::Client,
    scenario::{PlayOptions, PlayReport, perform},
    score::Score,
    tone,
};
use std::collections::BTreeMap;

const RATE: u32 = 8_000;
/// 50 ms.
const LAG: usize = 400;

/// `incident`: David and Emma agree, Frank declines.
async fn incident(clients: Vec<Client>) -> (Meeting, PlayReport) {
    let meeting = Meeting::test_set("incident").expect("the set");
    let mut staging = PlayOptions::new(clients[0].clone());
    staging.clients = clients;
    staging.declines = vec!["Frank".into()];
    let performance = perform(&meeting, &staging)
        .await
        .expect("the play goes through");
    (meeting, performance)
}

fn decode(bytes: &[u8]) -> Vec<f32> {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    std::fs::write(&path, bytes).expect("writes");
    tone::decode(&path, RATE).expect("plays")
}

async fn check(client: &Client, meeting: &Meeting, performance: &PlayReport) -> Score {
    let score = performance.score(meeting);
    println!("{score}");
    assert_eq!(score.declined_words, 0, "words of who declined");
    assert_eq!(score.stray, 0, "captions of nothing");
    assert_eq!(score.unseen, 0, "utterances without a final");
    assert!(
        score.errors.rate() <= 0.05,
        "word error rate {:.3}",
        score.errors.rate()
    );
    assert_eq!(violations(&performance.events, true), Vec::<String>::new());
    for event in &performance.events {
        let wrong = undocumented(Side::Server, &event.value);
        assert!(wrong.is_empty(), "{}: {wrong:?}", event.value);
    }
    assert_eq!(performance.state, "ready");

    let names: BTreeMap<&str, &str> = performance
        .players
        .iter()
        .map(|player| (player.participant_id.as_str(), player.name.as_str()))
        .collect();
    let mut tracks: Vec<&str> = performance
        .recordings
        .iter()
        .filter_map(|recording| recording.participant_id.as_deref().map(|id| names[id]))
        .collect();
    tracks.sort_unstable();
    assert_eq!(
        tracks,
        ["David", "Emma"],
        "one track of each who agreed, none of who declined"
    );
    let mix = performance
        .recordings
        .iter()
        .find(|recording| recording.kind == "mix")
        .expect("a mix");
    let mixed = decode(&client.download(&mix.id).await.expect("downloads"));
    // Where the mix begins in what was sent, give or take the clocks: 50 ms either way are
    // searched.
    let begin = ((mix.start_ms.expect("it is ready") as f64 - performance.zero_ms) / 1e3
        * f64::from(RATE))
    .max(0.0) as usize;
    for voice in &meeting.voices {
        let path = format!(
            "{}/tests/data/speech/{}/{}.opus",
            env!("CARGO_MANIFEST_DIR"),
            meeting.name,
            voice.name
        );
        let sent = tone::decode(path.as_ref(), RATE).expect("plays");
        let heard = tone::correlation(&mixed, &sent[begin.min(sent.len())..], LAG);
        if voice.name == "Frank" {
            assert!(
                heard < 0.05,
                "Frank declined, and the mix has {heard:.3} of him"
            );
        } else {
            assert!(
                heard > 0.2,
                "{} is in the mix by {heard:.3} only",
                voice.name
            );
        }
    }
    score
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voices_on_one_server() {
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let (meeting, performance) = incident(vec![client.clone()]).await;
    check(&client, &meeting, &performance).await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_voices_through_two_apis_and_two_workers() {
    let url = postgres::database().await;
    let broker = RabbitMq::start().await;
    let bucket = Bucket::start().await;
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("AMQP_URL", &broker.url()),
        ("S3_ENDPOINT", &bucket.settings.endpoint),
        ("S3_BUCKET", &bucket.settings.bucket),
        ("S3_ACCESS_KEY_ID", &bucket.settings.access_key_id),
        ("S3_SECRET_ACCESS_KEY", &bucket.settings.secret_access_key),
        (
            "HANSARD_SECRET",
            "a secret for tests of at least thirty-two bytes",
        ),
    ];
    let folders: Vec<Scratch> = (0..4).map(|_| Scratch::new()).collect();
    let workers: Vec<Server> = folders[..2]
        .iter()
        .map(|folder| Server::start("worker", folder.path(), &[], &environment))
        .collect();
    let apis: Vec<Server> = folders[2..]
        .iter()
        .map(|folder| {
            Server::start(
                "api",
                folder.path(),
                &["--listen", "127.0.0.1:0"],
                &environment,
            )
        })
        .collect();
    let key = crate::support::key(&url).await;
    let clients: Vec<Client> = apis
        .iter()
        .map(|api| Client::new(api.url(), &key).expect("the address is well-formed"))
        .collect();
    let (meeting, performance) = incident(clients.clone()).await;
    check(&clients[1], &meeting, &performance).await;
    for server in apis.into_iter().chain(workers) {
        server.terminate();
    }
}
