//! Somebody at a browser, who uses the pages as people do: by what they read, click and type.

use crate::clients::here;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    sync::{Semaphore, SemaphorePermit},
};

/// A step, with a browser that starts on a busy machine.
const STEP_MAX: Duration = Duration::from_secs(120);
/// What takes its time in a meeting, on a busy machine.
pub const READY_MAX: Duration = Duration::from_secs(120);
/// Where screenshots go; without it none are made.
const SHOTS: &str = "HANSARD_SHOTS";

/// Packets that the room has sent.
pub const SENT: &str = "return element.room.stats().then((stats) => [...stats.values()]
    .filter(({ type }) => type === 'outbound-rtp').reduce((sum, { packetsSent }) => sum + packetsSent, 0))";
/// How much sound came of each of the others, by name.
const ENERGY: &str = "return (element.room.stats() ?? Promise.resolve(new Map())).then((stats) => Object.fromEntries(
    [...element.room.remotes].map(([id, { audio }]) => [
        element.room.people.get(id)?.displayName,
        [...stats.values()].find((one) => one.type === 'inbound-rtp' && one.trackIdentifier === audio?.id)?.totalAudioEnergy,
    ])))";
/// The room, for scripts.
pub const ROOM: &str = "hansard-room-view";

/// What is known of somebody's camera or screen as it comes.
pub fn inbound(name: &str, source: &str, what: &str) -> String {
    format!(
        "const {{ room }} = element;
        const [id] = [...room.people].find(([, person]) => person.displayName === {name:?}) ?? [];
        const track = room.remotes.get(id)?.{source};
        return (room.stats() ?? Promise.resolve(new Map())).then((stats) => {{
            const own = [...stats.values()]
                .find((one) => one.type === 'inbound-rtp' && one.trackIdentifier === track?.id);
            return {what};
        }})"
    )
}

/// Pictures of somebody's that were decoded.
pub fn frames(name: &str, source: &str) -> String {
    inbound(name, source, "own?.framesDecoded ?? 0")
}

/// Browsers that may run at once: more of them, and two cores no longer play sound in time.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Waits until so many browsers may start. A test asks once, for all of its own.
pub async fn places(browsers: u32) -> SemaphorePermit<'static> {
    PLACES
        .acquire_many(browsers)
        .await
        .expect("it is never closed")
}

/// What somebody sits at.
#[derive(Default)]
pub struct Desk<'a> {
    /// What the microphone hears, again and again.
    pub voice: Option<&'a Path>,
    /// The voice is heard once, from when the microphone is opened.
    pub once: bool,
    pub firefox: bool,
    /// What the browser is set to; English without it.
    pub locale: Option<&'a str>,
}

/// Somebody at a browser.
pub struct Person {
    /// Firefox does not say beforehand what it will allow, so the page waits to be told to ask.
    asks: bool,
    child: Child,
    says: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
}

impl Person {
    pub fn start(packages: &Path, voice: Option<&Path>) -> Self {
        let desk = Desk {
            voice,
            ..Desk::default()
        };
        Self::at(packages, &desk)
    }

    pub fn at(packages: &Path, desk: &Desk) -> Self {
        let Desk {
            voice,
            once,
            firefox,
            locale,
        } = desk;
        let desk = json!({"voice": voice, "once": once, "firefox": firefox, "locale": locale});
        let mut child = tokio::process::Command::new("node")
            .arg(here("browser/drive.mjs"))
            .arg(desk.to_string())
            .current_dir(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let says = child.stdin.take().expect("it is piped");
        let hears = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self {
            asks: *firefox,
            child,
            says,
            hears,
        }
    }

    /// Does one step; panics with what the page shows where it cannot.
    pub async fn step(&mut self, step: Value) -> Value {
        let line = format!("{step}\n");
        self.says.write_all(line.as_bytes()).await.expect("it runs");
        let answer = tokio::time::timeout(STEP_MAX, self.hears.next_line())
            .await
            .unwrap_or_else(|_| panic!("{step}: no answer"))
            .expect("it is text")
            .unwrap_or_else(|| panic!("{step}: the browser is gone"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{step}: {answer:#}");
        answer["ok"].clone()
    }

    pub async fn goto(&mut self, url: &str) {
        self.step(json!({"step": "goto", "url": url})).await;
    }

    pub async fn click(&mut self, at: &str) {
        self.step(json!({"step": "click", "at": at})).await;
    }

    pub async fn wait(&mut self, at: &str) {
        self.step(json!({"step": "wait", "at": at})).await;
    }

    pub async fn gone(&mut self, at: &str) {
        self.step(json!({"step": "gone", "at": at})).await;
    }

    pub async fn fill(&mut self, at: &str, text: &str) {
        self.step(json!({"step": "fill", "at": at, "text": text}))
            .await;
    }

    pub async fn check(&mut self, at: &str) {
        self.wait(at).await;
        self.step(json!({"step": "check", "at": at})).await;
    }

    /// Chooses of a list.
    pub async fn choose(&mut self, at: &str, value: &str) {
        self.step(json!({"step": "choose", "at": at, "value": value}))
            .await;
    }

    pub async fn texts(&mut self, at: &str) -> Vec<String> {
        let texts = self.step(json!({"step": "texts", "at": at})).await;
        serde_json::from_value(texts).expect("texts")
    }

    pub async fn read(&mut self, at: &str, script: &str) -> Value {
        self.step(json!({"step": "read", "at": at, "script": script}))
            .await
    }

    pub async fn until(&mut self, at: &str, script: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let value = self.read(at, script).await;
            if wanted(&value) {
                return;
            }
            assert!(begun.elapsed() < READY_MAX, "{script} is {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What axe finds serious on the page as it is; and a picture of it, where that is asked for.
    pub async fn look(&mut self, name: &str) {
        let found = self.step(json!({"step": "axe"})).await;
        assert_eq!(found, json!([]), "{name}");
        let faults = self.step(json!({"step": "faults"})).await;
        assert_eq!(faults, json!([]), "{name}");
        if let Some(folder) = std::env::var_os(SHOTS) {
            let path = PathBuf::from(folder).join(format!("{name}.png"));
            self.step(json!({"step": "shot", "path": path, "whole": true}))
                .await;
        }
    }

    /// Through the door: a name, a microphone, and one answer to everything.
    pub async fn join(&mut self, url: &str, name: Option<&str>, answer: &str) {
        self.goto(url).await;
        if let Some(name) = name {
            self.fill("#name", name).await;
        }
        // The browser was told to allow it, so nobody has to be asked.
        self.wait("hansard-microphone-choice .meter").await;
        let choices = format!("input[value={answer}]");
        self.check(&choices).await;
    }

    /// The same without a microphone yet, and into the room. With headphones: a voice that others
    /// talk over is not to be made quieter.
    pub async fn join_listening(&mut self, url: &str, name: &str, answer: &str) {
        if self.asks {
            self.goto(url).await;
            self.fill("#name", name).await;
            self.check(&format!("input[value={answer}]")).await;
        } else {
            self.join(url, Some(name), answer).await;
            self.choose("#device", "").await;
        }
        self.check("#original").await;
        self.click("button.primary").await;
        self.wait("#leave").await;
    }

    /// Waits until each of these was heard from now on.
    pub async fn hears(&mut self, names: &[&str]) {
        let begun = Instant::now();
        let mut silent = names.to_vec();
        let mut before = self.read(ROOM, ENERGY).await;
        while !silent.is_empty() {
            let now = self.read(ROOM, ENERGY).await;
            // A new connection counts from nothing.
            silent.retain(|name| {
                let energy = |of: &Value| of[name].as_f64().unwrap_or_default();
                energy(&now) < energy(&before) + 0.001
            });
            before = now;
            let waited = begun.elapsed();
            assert!(waited < READY_MAX, "{silent:?} are not heard: {before}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A click on a word of the player jumps there, and it plays on.
    pub async fn plays(&mut self) {
        let player = "hansard-player-view";
        let inside = |what: &str| format!("{player} {what}");
        let video = inside("video");
        self.until(&video, "return element.duration > 5", |is| *is == true)
            .await;
        // Files may be another server's, which has to let the page read them, too.
        self.until(player, "return element.bars.length", |bars| {
            bars.as_u64() > Some(0)
        })
        .await;
        let word = inside("[data-ms] >> nth=8");
        let marked = "return Number(element.dataset.ms)";
        let ms = self.read(&word, marked).await;
        self.click(&word).await;
        self.wait(&inside(".spoken")).await;
        assert_eq!(self.read(&inside(".spoken"), marked).await, ms);
        let now = "return element.currentTime";
        let from = self.read(&video, now).await.as_f64();
        assert!(from > Some(0.0), "{from:?}");
        self.click(&inside("#play")).await;
        self.until(&video, now, |now| {
            now.as_f64() > from.map(|from| from + 1.0)
        })
        .await;
    }

    pub async fn leave(mut self) {
        // The end of its input ends it.
        drop(self.says);
        let _ = tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await;
    }
}
