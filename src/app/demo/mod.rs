//! `hansard demo`: the main job, seen. On top of `serve`, plays a meeting of bundled voices as real
//! RTP, through the public interface like any client; one of them declines. Shows the captions as
//! they come, then what is left of the meeting.
//!
//! It has a data folder of its own (`hansard-demo` in the user's data home), so that it never
//! touches what `serve` keeps, and takes other ports where the default ones are taken.

mod live;
mod screen;
mod summary;

use super::{Part, Running, start, stop_signal};
use crate::config::{DemoFlags, Settings};
use anyhow::{Context, bail};
use hansard_client::{
    meeting::Meeting,
    scenario::{PlayOptions, PlayReport, perform},
};
use live::Live;
use metrics_exporter_prometheus::PrometheusHandle;
use screen::{Screen, wrap};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{BufRead, IsTerminal, stdin},
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};
use summary::Summary;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The meeting inside the program.
const BUNDLED: &str = "planning";
/// The addresses that a demo gives way from; see [`Settings`].
const DEFAULT_PORTS: [u16; 3] = [8080, 9090, 8333];
/// Events that may wait to be shown.
const SHOWN_MAX: usize = 1024;
/// How long the link's page stays open.
const SESSION_S: u64 = 8 * 3600;
/// After the end, for the mix and the tracks.
const READY_MAX: Duration = Duration::from_secs(120);

/// Where the demo logs to, since its terminal shows the play.
///
/// # Errors
/// When the data folder is not writable.
pub fn log_file(settings: &Settings) -> anyhow::Result<File> {
    let path = log_path(settings);
    fs::create_dir_all(&settings.data)
        .with_context(|| format!("{} cannot be made", settings.data.display()))?;
    // Never cut: another demo may be writing to it, and is told so only later.
    let file = File::options().create(true).append(true).open(&path);
    file.with_context(|| format!("{} is not writable", path.display()))
}

fn log_path(settings: &Settings) -> PathBuf {
    settings.data.join("demo.log")
}

/// Plays the demo to its end; with a terminal on both sides, stays up until told to stop.
///
/// # Errors
/// When anything does not come out as the demo promises: it cannot start, a call is refused, files
/// or captions are missing, or something of whoever declined was kept.
pub async fn run(mut settings: Settings, demo: DemoFlags) -> anyhow::Result<()> {
    let screen = Screen::new();
    let log = log_path(&settings);
    let meeting = scene(&demo.scene)?;
    let stays = !demo.once && screen.is_terminal() && stdin().is_terminal();
    screen.title("Hansard demo");
    screen.say(&format!(
        "data  {} (the demo's own; delete it when you like)",
        settings.data.display()
    ));
    screen.say(&format!("log   {}", log.display()));
    for line in give_way(&mut settings) {
        screen.say(&line);
    }
    let host = settings.rtp.public_ips[0];

    let work = screen.work("Starting Postgres, storage, the speech model and the server");
    let running = tokio::select! {
        started = start(settings, Part::Serve) => {
            started.with_context(|| format!("the server did not start; its log is in {}", log.display()))?
        }
        () = stop_signal()? => bail!("stopped before it had started"),
    };
    work.done(&screen);

    let outcome = show(&screen, &running, &meeting, host, stays).await;
    let work = screen.work("Stopping");
    let stopped = running.stop().await;
    work.done(&screen);
    outcome.with_context(|| {
        format!(
            "the demo did not come out as it should; its log is in {}",
            log.display()
        )
    })?;
    stopped
}

/// The play and what came of it, on a running server.
async fn show(
    screen: &Screen,
    running: &Running,
    meeting: &Meeting,
    host: IpAddr,
    stays: bool,
) -> anyhow::Result<()> {
    let (url, key) = running
        .url
        .as_deref()
        .zip(running.key.as_ref())
        .context("the server names no address or key")?;
    let client = hansard_client::rest::Client::new(url, &key.key)?;
    let declines = meeting
        .voices
        .last()
        .context("a meeting without voices")?
        .name
        .clone();
    screen.say(&format!("url   {url}"));
    screen.say(&format!("ops   {}/metrics", running.ops));
    screen.say("");
    let writes = match &running.model {
        Some(model) if !model.bundled => format!("The model {} writes them down.", model.name),
        _ => "The small bundled model writes them down: it knows some 650 words of synthetic speech and is there for \
              this and for tests. For people: hansard models fetch base.en"
            .to_owned(),
    };
    let intro = format!("Three voices come as RTP over UDP. {writes}");
    screen.say(&wrap(&intro, screen.width(), 0));
    screen.say("");

    let performance = play(
        screen,
        running.metrics.clone(),
        client.clone(),
        meeting,
        &declines,
        host,
    )
    .await?;
    let work = screen.work("Reading everything back");
    let summary = Summary::read(&client, meeting, performance, running.metrics.render()).await?;
    work.done(screen);
    summary.print(screen);
    let link = summary.link(&client, SESSION_S).await?;
    screen.heading("See and hear it");
    screen.say(&format!("  {link}"));
    summary.judge()?;
    if stays {
        stay(screen, &client, &summary).await?;
    } else {
        screen.say("  (only while the server runs: it stays up with a terminal attached and without --once)");
    }
    Ok(())
}

/// Plays the meeting and shows it meanwhile.
async fn play(
    screen: &Screen,
    metrics: PrometheusHandle,
    client: hansard_client::rest::Client,
    meeting: &Meeting,
    declines: &str,
    host: IpAddr,
) -> anyhow::Result<PlayReport> {
    let (watch, mut events) = mpsc::channel(SHOWN_MAX);
    let (created, mut meetings) = mpsc::channel(1);
    let visited = client.clone();
    let stop = CancellationToken::new();
    let staging = PlayOptions {
        declines: vec![declines.to_owned()],
        settings: json!({"language": "en"}),
        from: host,
        ready_within: READY_MAX,
        watch: Some(watch),
        created: Some(created),
        stop: stop.clone(),
        ..PlayOptions::new(client)
    };
    let told = {
        let (stop, first) = (stop.clone(), stop_signal()?);
        tokio::spawn(async move {
            // The first ends the meeting in order, with its files; a later one is for those who
            // will not wait. Some who stop a process tell it twice at once (`timeout` does).
            first.await;
            stop.cancel();
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Ok(second) = stop_signal() {
                second.await;
                std::process::exit(130);
            }
        })
    };
    let mut live = Live::new(screen, meeting, declines, metrics);
    let performing = async {
        let performance = perform(meeting, &staging).await;
        // With the last sender the events end.
        drop(staging);
        performance
    };
    let inviting = async {
        if let Some(meeting) = meetings.recv().await {
            match invite(&visited, &meeting).await {
                Ok(link) => screen.say(&format!("Join in a browser while it lasts: {link}\n")),
                Err(error) => screen.say(&format!("There is no link to its room: {error:#}\n")),
            }
        }
    };
    let (performance, (), ()) = tokio::join!(performing, live.follow(&mut events, &stop), inviting);
    told.abort();
    let performance = performance?;
    if stop.is_cancelled() {
        bail!(
            "stopped before the meeting's end; what was said so far is kept, as meeting {}",
            performance.meeting_id
        );
    }
    Ok(performance)
}

/// A link by which a visitor takes part with a browser.
async fn invite(client: &hansard_client::rest::Client, meeting: &str) -> anyhow::Result<String> {
    let path = format!("/v1/meetings/{meeting}/links");
    let link = client.post(&path, json!({"role": "participant"})).await?;
    let url = link["url"].as_str().context("a link without a url")?;
    Ok(url.to_owned())
}

/// Waits to be told to stop; every line that is entered makes a new link.
async fn stay(
    screen: &Screen,
    client: &hansard_client::rest::Client,
    summary: &Summary,
) -> anyhow::Result<()> {
    screen.say("  It opens once; Enter makes another. Ctrl-C ends the demo.");
    let (entered, mut lines) = mpsc::channel(1);
    // Reading a terminal cannot be cancelled: the thread ends with the process.
    std::thread::spawn(move || {
        for _ in stdin().lock().lines().map_while(Result::ok) {
            if entered.blocking_send(()).is_err() {
                break;
            }
        }
    });
    let told = stop_signal()?;
    tokio::pin!(told);
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = &mut told => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            Some(()) = lines.recv() => {
                let link = summary.link(client, SESSION_S).await?;
                screen.say(&format!("  {link}"));
            }
        }
    }
}

fn scene(name: &str) -> anyhow::Result<Meeting> {
    if name == BUNDLED {
        return Meeting::bundled();
    }
    let folder = Path::new(name);
    if !folder.join("meeting.json").is_file() {
        bail!(
            "there is no meeting {name:?}: {BUNDLED} is bundled, anything else is a folder with a meeting.json"
        );
    }
    Meeting::load(folder)
}

/// Chooses free ports where a default one is taken, and says so.
fn give_way(settings: &mut Settings) -> Vec<String> {
    let mut said = Vec::new();
    for address in [
        &mut settings.listen,
        &mut settings.ops_listen,
        &mut settings.s3_listen,
    ] {
        if DEFAULT_PORTS.contains(&address.port()) && TcpListener::bind(*address).is_err() {
            said.push(format!(
                "port  {} is taken, so a free one is used instead",
                address.port()
            ));
            *address = SocketAddr::new(address.ip(), 0);
        }
    }
    said
}
