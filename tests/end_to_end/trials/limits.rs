//! Those who mean harm, from outside: crowds that only hold connections open, and very many
//! sockets, from another address than the meeting's.

use super::support::{
    Scratch,
    crowd::{self, UpgradeLoad},
    server::{SOFT_DESCRIPTORS, Server},
};
use hansard::descriptor;
use hansard_client::{
    meeting::Meeting,
    rest::audio_stream,
    sender::{Sender, SenderConfig},
    signal::Signal,
};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SILENT: usize = 3000;
const UPGRADES_A_SECOND: u32 = 2000;
const LOAD_MAX: Duration = Duration::from_secs(12);
/// On a busy machine, in a debug build.
const SOON: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crowds_at_the_door_leave_a_meeting_unharmed() {
    assert!(
        descriptor::raise() > 2 * SILENT as u64,
        "this machine's hard limit of open files is too low for the trial"
    );
    let data = Scratch::new();
    // The server raises its own limit.
    let listen = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
    let server = Server::start("serve", data.path(), &listen, &[(SOFT_DESCRIPTORS, "1024")]);
    let client = server.client();
    let address: SocketAddr = server
        .url()
        .strip_prefix("http://")
        .expect("http")
        .parse()
        .expect("an address");

    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(crowd::connect(address).await.expect("the backlog takes it"));
    }
    let host = client
        .create_user("host@example.org", "Host")
        .await
        .expect("it answers");
    let meeting = client
        .create_meeting(&host, json!({"language": "en"}))
        .await
        .expect("it answers");
    let id = meeting["id"].as_str().expect("an id");
    let user = client
        .create_user("alice@example.org", "Alice")
        .await
        .expect("it answers");
    let joined = client.join(id, &user).await.expect("joins");
    client
        .consent(&joined.token, id, "recording_ai", "accepted")
        .await
        .expect("agrees");
    let mut signal = Signal::observe(&client, id, Some(0))
        .await
        .expect("observes");
    let sender = Sender::bind(LOOPBACK, SenderConfig::opus("alice"))
        .await
        .expect("a socket");
    let request = audio_stream(&joined.participant_id, "opus", sender.config(), None, None);
    let stream = client.create_stream(id, request).await.expect("a port");
    let set = Meeting::test_set("planning").expect("the set");
    let alice = set
        .voices
        .iter()
        .find(|voice| voice.name == "Alice")
        .expect("she speaks");
    let first = set
        .utterances
        .iter()
        .find(|utterance| utterance.speaker == "Alice")
        .expect("she speaks");
    let frames = &alice.frames[..usize::try_from(first.end_ms / 20 + 60).expect("short")];

    let load = UpgradeLoad::start(address, UPGRADES_A_SECOND, LOAD_MAX);
    sender
        .run(
            stream.address(),
            frames,
            Instant::now(),
            &CancellationToken::new(),
        )
        .await
        .expect("sends");
    let said = signal
        .wait_for(Instant::now() + SOON, |event| {
            event.kind() == "transcript_update" && event.data()["final"] == true
        })
        .await
        .expect("a final caption");
    let text = said.data()["text"].as_str().expect("text").to_lowercase();
    let word = first
        .text
        .split(' ')
        .next()
        .expect("a word")
        .trim_matches([',', '.', '?'])
        .to_lowercase();
    assert!(text.contains(&word), "{text:?} has {word:?} in it");
    let (asked, took) = load.stop().await;
    assert!(asked > 100, "enough were sent: {asked} in {took:?}");

    // Who never asked anything is let go of.
    let asked = Instant::now();
    for stream in &mut silent {
        let left = SOON.saturating_sub(asked.elapsed());
        let read = tokio::time::timeout(left, stream.read(&mut [0; 1]))
            .await
            .expect("it is closed");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    client.end(id).await.expect("ends");
    let recordings = client
        .wait_recordings_ready(id, Instant::now() + SOON)
        .await
        .expect("ready");
    let sound_ms = i64::try_from(frames.len()).expect("short") * 20;
    for recording in &recordings {
        assert!(
            recording.gaps.iter().all(|gap| gap.reason != "lost"),
            "{:?}",
            recording.gaps
        );
        let long_ms = recording.duration_ms.unwrap_or(0);
        assert!(
            recording.kind != "track" || long_ms + 1000 > sound_ms,
            "{long_ms} of {sound_ms} ms"
        );
    }
    everything_is_closed_to_others(data.path());
}

/// What a running server and its meeting left in the data folder.
fn everything_is_closed_to_others(data: &Path) {
    let mut folders = vec![data.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = std::fs::metadata(&folder)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("we may").flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.is_file() {
                let mode = metadata.permissions().mode();
                assert_eq!(mode & 0o077, 0, "{} is {mode:o}", entry.path().display());
                files += 1;
            }
        }
    }
    assert!(files > 10, "{files} files");
}
