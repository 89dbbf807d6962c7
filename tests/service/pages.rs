//! The pages in a real Chromium, as people use them: by what they read, click and type. And that
//! the bundle is what its sources make.

use crate::{
    browser::{RATE, packages, wav},
    browsers::{
        meeting,
        person::{Person, READY_MAX, ROOM, SENT, places},
        session, voice,
    },
    clients::{installed, run},
    support::{Scratch, eventually, server::Server},
};
use hansard_client::{
    meeting::{Meeting, Utterance},
    rest::Client,
    wer,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Of David's voice: five sentences.
const SPOKEN_MS: i64 = 16_000;
/// Long enough for a voice to be noticed: even in a pause it sends a packet in 400 ms.
const HUSH: Duration = Duration::from_secs(3);
/// What may be under way in the browser at a click, and counted later.
const UNDER_WAY: u64 = 3;

/// The first sentences of a bundled voice, as a microphone hears them again and again.
async fn microphone_of_david(path: &Path) -> Vec<Utterance> {
    let set = Meeting::test_set("incident").expect("the set");
    let mut samples = voice::decoded("David").await;
    samples.truncate(SPOKEN_MS as usize / 1000 * RATE as usize);
    wav(path, &samples);
    set.utterances
        .into_iter()
        .filter(|utterance| utterance.speaker == "David" && utterance.end_ms <= SPOKEN_MS)
        .collect()
}

async fn guest(client: &Client, meeting: &str) -> Value {
    let people = client.participants(meeting).await.expect("people");
    assert_eq!(people.len(), 1, "{people:?}");
    people[0].clone()
}

/// Several bundled sentences later, most of their words are there.
fn words_of(utterances: &[Utterance]) -> BTreeSet<String> {
    utterances
        .iter()
        .flat_map(|utterance| wer::words(&utterance.text))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_joins_by_a_link_reads_their_own_words_and_withdraws() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let microphone = scratch.path().join("david.wav");
    let spoken = words_of(&microphone_of_david(&microphone).await);
    let server = Server::serve(data.path());
    let client = server.client();
    let (host, id, link) = meeting(&client).await;

    let mut david = Person::start(&packages, Some(&microphone));
    david.join(&link, Some("David"), "agree").await;
    david.look("join").await;
    david.click("button.primary").await;
    david.wait("#leave").await;
    // Every word that the history shows is of the one who is here, under the name that was typed.
    let heard = async |david: &mut Person| -> BTreeSet<String> {
        let lines = david.texts("[role=log] .line").await;
        let said = lines.iter().map(|line| {
            line.strip_prefix("David")
                .unwrap_or_else(|| panic!("{line:?} is of somebody else"))
        });
        said.flat_map(wer::words).collect()
    };
    let begun = Instant::now();
    loop {
        let words = heard(&mut david).await;
        if words.intersection(&spoken).count() * 10 >= spoken.len() * 8 {
            break;
        }
        assert!(begun.elapsed() < READY_MAX, "{words:?} of {spoken:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    david.look("room").await;
    let state = david.texts("#recording-state").await.concat();
    assert!(state.contains("Recorded and transcribed since"), "{state}");

    // These words are not to be relied on.
    david.wait("text=small test model").await;

    // The words that were agreed to are kept with the entry.
    let consents = client.consents(&id).await.expect("the log");
    assert_eq!(consents.len(), 1, "{consents:?}");
    let statement = consents[0]["statement"].as_str().expect("the words");
    assert!(
        statement.contains("my voice is recorded in this meeting of Ana Berg"),
        "{statement}"
    );

    // A reload is the same participant.
    let before = guest(&client, &id).await;
    let since = "return [element.room.recording.since, element.room.self.consentSince.recording]";
    let kept = david.read(ROOM, since).await;
    david.step(json!({"step": "reload"})).await;
    david.wait("#withdraw").await;
    assert_eq!(guest(&client, &id).await["id"], before["id"]);
    // And so is since when it is kept.
    assert_eq!(before["consentSince"]["recording"], kept[1]);
    assert_eq!(david.read(ROOM, since).await, kept);
    assert!(kept[0].is_string(), "{kept}");

    // One click. As long as the server cannot know of it, nothing is sent.
    david
        .until(ROOM, SENT, |sent| sent.as_u64() > Some(50))
        .await;
    let process = Pid::from_raw(server.pid() as i32).expect("it runs");
    kill_process(process, Signal::STOP).expect("it is our child");
    david.click("#withdraw").await;
    david.wait("text=you send no sound until").await;
    let sent = david.read(ROOM, SENT).await.as_u64();
    tokio::time::sleep(HUSH).await;
    let later = david.read(ROOM, SENT).await.as_u64();
    kill_process(process, Signal::CONT).expect("it is our child");
    assert!(
        later <= sent.map(|sent| sent + UNDER_WAY),
        "{later:?} packets, and {sent:?} at the click"
    );
    // Then it is withdrawn, and the voice is there again for those who listen.
    david.step(json!({"step": "gone", "at": "#withdraw"})).await;
    david.until(ROOM, SENT, |now| now.as_u64() > sent).await;
    // It acts before it is written.
    let withdrawn = json!({"recording": "withdrawn", "transcription": "withdrawn"});
    eventually("it is written", READY_MAX, async || {
        guest(&client, &id).await["consent"] == withdrawn
    })
    .await;
    david.wait("text=Nothing kept").await;
    // It is undone as easily.
    david.click("#consent").await;
    david
        .click("hansard-consent-panel button:has-text('Agree') >> nth=0")
        .await;
    david
        .wait("hansard-consent-panel button:has-text('Withdraw')")
        .await;
    let again = guest(&client, &id).await;
    assert_eq!(again["consent"]["recording"], "accepted");
    david.look("consent").await;

    client.end(&id).await.expect("ends");
    david.wait("text=The meeting has ended").await;
    david.look("ended").await;
    client
        .wait_recordings_ready(&id, Instant::now() + READY_MAX)
        .await
        .expect("ready");
    client
        .wait_transcript_complete(&id, Instant::now() + READY_MAX)
        .await
        .expect("complete");

    plays_it(&client, &mut david, &host, &id).await;
    david.leave().await;
    server.terminate();
}

/// The host opens a session's link, finds the meeting, and clicks a word.
async fn plays_it(client: &Client, ana: &mut Person, host: &str, id: &str) {
    ana.goto(&session(client, host).await).await;
    ana.look("session").await;
    ana.click("button").await;
    ana.wait("hansard-meeting-list li").await;
    ana.wait("text=David").await;
    ana.look("meetings").await;
    ana.step(json!({"step": "fill", "at": "input[type=search]", "text": "nobody"}))
        .await;
    ana.step(json!({"step": "gone", "at": "hansard-meeting-list li"}))
        .await;
    ana.step(json!({"step": "fill", "at": "input[type=search]", "text": "davi"}))
        .await;
    ana.click("hansard-meeting-list li a").await;
    let word = "[data-ms] >> nth=8";
    ana.wait(word).await;
    ana.until("video", "return element.duration > 5", |plays| {
        plays == true
    })
    .await;

    // The waveform is the server's.
    let bars = "return [element.bars.length, Math.max(...element.bars)]";
    ana.until("hansard-player-view", bars, |bars| {
        bars[0].as_u64() > Some(100) && bars[1] == 1
    })
    .await;

    // Each instant of the bars is below its own in the waveform.
    let place = "const { left, right } = element.getBoundingClientRect(); return [left, right]";
    for (width, height) in [(390, 800), (1180, 760)] {
        ana.step(json!({"step": "size", "width": width, "height": height}))
            .await;
        let wave = ana.read("canvas", place).await;
        assert_eq!(ana.read("hansard-lanes .bar", place).await, wave);
    }

    let ms = ana.read(word, "return Number(element.dataset.ms)").await;
    ana.click(word).await;
    ana.wait(".spoken").await;
    let mix = client.recordings(id).await.expect("recordings");
    let mix = mix
        .iter()
        .find(|recording| recording.kind == "mix")
        .expect("a mix");
    let from = mix.start_ms.expect("it is ready") as f64;
    let at = ana.read("video", "return element.currentTime * 1000").await;
    let (wanted, at) = (
        ms.as_f64().expect("a number") - from,
        at.as_f64().expect("a number"),
    );
    assert!((wanted - at).abs() < 50.0, "{at} ms, not {wanted} ms");
    let marked = ana
        .read(".spoken", "return Number(element.dataset.ms)")
        .await;
    assert_eq!(marked, ms);
    // It speaks on, and the mark with it.
    ana.click("#play").await;
    let marked = "return Number(element.shadowRoot.querySelector('.spoken')?.dataset.ms ?? 0)";
    ana.until("hansard-transcript-view", marked, |now| {
        now.as_f64() > ms.as_f64()
    })
    .await;
    ana.click("#play").await;
    let sought = ana.texts(word).await.concat();
    ana.step(json!({
        "step": "fill", "at": "input[type=search]", "text": sought.trim_matches(|c: char| !c.is_alphanumeric())
    }))
    .await;
    ana.wait(".hit.here").await;
    ana.look("player").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_declines_is_in_no_file() {
    let _place = places(1).await;
    let packages = packages().await;
    let (data, scratch) = (Scratch::new(), Scratch::new());
    let microphone = scratch.path().join("david.wav");
    microphone_of_david(&microphone).await;
    let server = Server::serve(data.path());
    let client = server.client();
    let (_, id, link) = meeting(&client).await;

    let mut carol = Person::start(&packages, Some(&microphone));
    carol.join(&link, Some("Carol"), "decline").await;
    carol.click("button.primary").await;
    carol.wait("text=Nothing kept").await;
    carol.wait("text=nobody has agreed yet").await;
    // Her voice is there: a whole sentence of it was sent, and dropped.
    let streams = format!("/v1/meetings/{id}/streams");
    eventually("her packets are dropped", READY_MAX, async || {
        let streams = client.list(&streams).await.expect("streams");
        streams
            .iter()
            .any(|stream| stream["dropped"]["no_consent"].as_u64() > Some(500))
    })
    .await;
    assert_eq!(carol.texts("[role=log] .line").await, Vec::<String>::new());
    carol.click("#leave").await;
    carol.wait("text=You have left the meeting").await;
    client.end(&id).await.expect("ends");
    client
        .wait_transcript_complete(&id, Instant::now() + READY_MAX)
        .await
        .expect("complete");
    let transcript = client.transcript(&id).await.expect("a transcript");
    assert_eq!(transcript["segments"], json!([]));
    assert!(client.recordings(&id).await.expect("a list").is_empty());
    carol.leave().await;
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_why_it_cannot_go_on() {
    let _place = places(1).await;
    let packages = packages().await;
    let data = Scratch::new();
    let server = Server::serve(data.path());
    let client = server.client();
    let (_, id, link) = meeting(&client).await;
    let mut somebody = Person::start(&packages, None);
    let (address, _) = link.split_once('#').expect("a fragment");
    for (url, said) in [
        (address.to_owned(), "This address is not complete"),
        (
            format!("{address}#hl_{}", "A".repeat(43)),
            "This link is not valid any more",
        ),
    ] {
        somebody.goto("about:blank").await;
        somebody.goto(&url).await;
        somebody.wait(&format!("text={said}")).await;
    }
    somebody.look("fault").await;
    // What is missing is said where it is missing.
    somebody.goto("about:blank").await;
    somebody.goto(&link).await;
    somebody.click("button.primary").await;
    somebody.wait("text=Enter a name.").await;
    somebody
        .step(json!({"step": "fill", "at": "#name", "text": "Eve"}))
        .await;
    somebody.click("button.primary").await;
    somebody.wait("text=Choose one of the two.").await;
    // At the width of a phone, in the dark.
    somebody
        .step(json!({"step": "size", "width": 390, "height": 800}))
        .await;
    somebody
        .step(json!({"step": "scheme", "scheme": "dark"}))
        .await;
    somebody.look("phone").await;
    let wide = somebody
        .read("html", "return element.scrollWidth - element.clientWidth")
        .await;
    assert_eq!(wide, 0, "nothing is to be scrolled sideways");
    client.end(&id).await.expect("ends");
    somebody.step(json!({"step": "reload"})).await;
    somebody.wait("text=This meeting is over").await;
    somebody.leave().await;
    server.terminate();
}

/// Node builds the same bytes again, and what they decide is tried.
#[test]
fn the_bundle_is_what_its_sources_make() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let files = ["../../web/package.json", "../../web/package-lock.json"];
    let packages = installed("web", &files, |folder| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(web.join(file), folder.join(file)).expect("there is room");
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund"]);
        run("npm", npm.current_dir(folder));
    });
    let scratch = Scratch::new();
    for file in [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "vite.config.ts",
        "src",
        "test",
    ] {
        let mut copy = Command::new("cp");
        run("cp", copy.arg("-r").arg(web.join(file)).arg(scratch.path()));
    }
    let mut copy = Command::new("cp");
    let packages = packages.join("node_modules");
    run("cp", copy.arg("-r").arg(packages).arg(scratch.path()));
    for script in ["build", "test"] {
        let mut npm = Command::new("npm");
        run("npm", npm.args(["run", script]).current_dir(scratch.path()));
    }
    let made = fs::read(scratch.path().join("dist/pages.js")).expect("it was built");
    let kept = fs::read(web.join("dist/pages.js")).expect("it is committed");
    assert!(made == kept, "run make web, and commit web/dist");
}
