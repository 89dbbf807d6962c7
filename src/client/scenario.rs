//! Plays a whole scripted meeting through the public interface: users, consent, sockets, streams,
//! real RTP, the end, and what is to be had afterwards.

use super::{
    caption::{Caption, Retracted},
    meeting::{Meeting, Voice},
    rest::{Client, Recording, audio_stream},
    score::{Score, score},
    sender::{Sender, SenderConfig, Sent},
    signal::{Closed, Entry, Event, Signal},
};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// From the last stream's port to the first sample.
const LEAD: Duration = Duration::from_millis(500);
/// From the last packet to the request to end.
const TAIL: Duration = Duration::from_secs(3);

/// Told a speaker's name and the settings of its sender.
pub type Adjust = Arc<dyn Fn(&str, &mut SenderConfig) + Send + Sync>;

/// How a meeting is played.
#[derive(Clone)]
pub struct PlayOptions {
    /// One per `api` process; participants take them in turn, the observer the first.
    pub clients: Vec<Client>,
    /// Who says no to recording and transcription. Everybody else says yes.
    pub declines: Vec<String>,
    /// The meeting's settings.
    pub settings: Value,
    /// SRTP with this suite.
    pub suite: Option<String>,
    /// Changes a voice's sender: network, pauses, clock.
    pub adjust: Option<Adjust>,
    /// The sender's own address.
    pub from: IpAddr,
    /// How long mix and transcript may take after the end.
    pub ready_within: Duration,
    /// Whether the files are waited for; otherwise it is over when the last final was told.
    pub files: bool,
    /// Gets the observer's events as they come, as long as it keeps up.
    pub watch: Option<mpsc::Sender<Event>>,
    /// Gets the meeting's id once there is one.
    pub created: Option<mpsc::Sender<String>>,
    /// Ends the meeting early.
    pub stop: CancellationToken,
}

impl PlayOptions {
    /// Everybody agrees, plain RTP over loopback, default settings.
    pub fn new(client: Client) -> Self {
        Self {
            clients: vec![client],
            declines: Vec::new(),
            settings: json!({}),
            suite: None,
            adjust: None,
            from: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ready_within: Duration::from_secs(180),
            files: true,
            watch: None,
            created: None,
            stop: CancellationToken::new(),
        }
    }
}

/// One participant of a played meeting.
#[derive(Clone, Debug)]
pub struct Player {
    pub name: String,
    pub user_id: String,
    pub participant_id: String,
    pub stream_id: String,
    pub ssrc: u32,
    pub declined: bool,
    pub sent: Sent,
    /// What its socket received.
    pub events: Vec<Event>,
    pub closed: Option<Closed>,
}

/// Everything that came of it.
#[derive(Clone, Debug)]
pub struct PlayReport {
    pub meeting_id: String,
    /// When the first sample of every voice was taken.
    pub zero: Instant,
    /// The same as MeetingTime, when this machine's wall clock is Postgres's, too.
    pub zero_ms: f64,
    pub players: Vec<Player>,
    /// What the observer received.
    pub events: Vec<Event>,
    pub captions: Vec<Caption>,
    pub retracted: Vec<Retracted>,
    /// When the request to end was sent.
    pub ended: Instant,
    /// `ready`, `failed` or `off` (or `finalising`, when no files are waited for), and when the
    /// observer heard it.
    pub state: String,
    pub settled: Instant,
    pub recordings: Vec<Recording>,
    pub transcript: Value,
}

impl PlayReport {
    pub fn finals(&self) -> impl Iterator<Item = &Caption> {
        self.captions.iter().filter(|caption| caption.last)
    }

    pub fn partials(&self) -> impl Iterator<Item = &Caption> {
        self.captions.iter().filter(|caption| !caption.last)
    }

    pub fn player(&self, name: &str) -> Option<&Player> {
        self.players.iter().find(|player| player.name == name)
    }

    pub fn score(&self, meeting: &Meeting) -> Score {
        let declined: Vec<String> = self
            .players
            .iter()
            .filter(|player| player.declined)
            .map(|player| player.name.clone())
            .collect();
        score(&meeting.utterances, &declined, self.zero, &self.captions)
    }
}

/// Somebody who is ready to speak.
struct Cast {
    player: Player,
    sender: Sender,
    to: std::net::SocketAddr,
    voice: Voice,
}

/// Plays `meeting` from its first to its last packet and waits for what it leaves.
///
/// # Errors
/// Whatever the server refuses, with its answer, and anything that does not come in time.
pub async fn perform(meeting: &Meeting, staging: &PlayOptions) -> Result<PlayReport> {
    let client = staging.clients.first().context("no server to play at")?;
    let mut users = Vec::with_capacity(meeting.voices.len());
    for voice in &meeting.voices {
        let email = format!(
            "{}-{}@example.org",
            voice.name.to_lowercase(),
            uuid::Uuid::now_v7()
        );
        users.push(client.create_user(&email, &voice.name).await?);
    }
    let host = users.first().context("a meeting without voices")?;
    let created = client
        .create_meeting(host, staging.settings.clone())
        .await?;
    let meeting_id = created["id"]
        .as_str()
        .context("a meeting without an id")?
        .to_owned();

    if let Some(created) = &staging.created {
        let _ = created.try_send(meeting_id.clone());
    }

    let observer = Signal::observe(client, &meeting_id, None)
        .await
        .context("the observer")?;
    let (state, mut states) = watch::channel(None);
    let stop = CancellationToken::new();
    let _stop_on_error = stop.clone().drop_guard();
    let mut sockets = JoinSet::new();
    sockets.spawn(collect(
        None,
        observer,
        staging.watch.clone(),
        Some(state),
        stop.clone(),
    ));

    let mut casts = Vec::with_capacity(users.len());
    for (n, (voice, user_id)) in meeting.voices.iter().zip(users).enumerate() {
        let client = &staging.clients[n % staging.clients.len()];
        let (cast, signal) = enter(client, staging, &meeting_id, voice, user_id)
            .await
            .with_context(|| voice.name.clone())?;
        sockets.spawn(collect(Some(n), signal, None, None, stop.clone()));
        casts.push(cast);
    }
    let start = client.meeting(&meeting_id).await?;
    let start: DateTime<Utc> = serde_json::from_value(start["startTime"].clone())
        .context("a live meeting without startTime")?;

    let zero = Instant::now() + LEAD;
    let zero_ms = (Utc::now() + LEAD - start).num_microseconds().unwrap_or(0) as f64 / 1_000.0;
    let mut players = speak(casts, zero, &staging.stop).await?;
    tokio::select! {
        () = tokio::time::sleep(TAIL) => {}
        () = staging.stop.cancelled() => {}
    }

    let ended = Instant::now();
    client.end(&meeting_id).await?;
    let deadline = ended + staging.ready_within;
    let settled = tokio::time::timeout_at(
        deadline.into(),
        states.wait_for(|told: &Option<(Instant, String)>| {
            told.as_ref()
                .is_some_and(|(_, state)| match state.as_str() {
                    "ready" | "failed" | "off" => true,
                    "finalising" => !staging.files,
                    _ => false,
                })
        }),
    )
    .await
    // The guard must not live across an await, or nobody could spawn this.
    .map(|told| told.map(|told| told.clone()));
    let (settled, state) = match settled {
        Ok(Ok(told)) => told.context("no recording_state")?,
        Ok(Err(_)) => bail!("the observer's socket ended before the recordings were ready"),
        Err(_) => bail!("no `ready` within {:?} of the end", staging.ready_within),
    };
    let recordings = match state.as_str() {
        "ready" => client.wait_recordings_ready(&meeting_id, deadline).await?,
        _ => client.recordings(&meeting_id).await?,
    };
    let transcript = client
        .wait_transcript_complete(&meeting_id, deadline)
        .await?;

    stop.cancel();
    let mut events = Vec::new();
    while let Some(collected) = sockets.join_next().await {
        let Collected {
            whose,
            events: heard,
            closed,
        } = collected?;
        match whose {
            Some(n) => (players[n].events, players[n].closed) = (heard, closed),
            None => events = heard,
        }
    }
    let captions = events.iter().filter_map(Caption::of).collect();
    let retracted = events.iter().filter_map(Retracted::of).collect();
    Ok(PlayReport {
        meeting_id,
        zero,
        zero_ms,
        players,
        events,
        captions,
        retracted,
        ended,
        state,
        settled,
        recordings,
        transcript,
    })
}

/// Joins, answers for itself whether it may be recorded, opens its socket and asks for a stream.
async fn enter(
    client: &Client,
    staging: &PlayOptions,
    meeting_id: &str,
    voice: &Voice,
    user_id: String,
) -> Result<(Cast, Signal)> {
    let declined = staging.declines.contains(&voice.name);
    let joined = client.join(meeting_id, &user_id).await?;
    let status = if declined { "declined" } else { "accepted" };
    client
        .consent(&joined.consent_token, meeting_id, "recording_ai", status)
        .await?;
    // With several servers each participant stays at its own; a public address would spread them
    // otherwise.
    let url = if staging.clients.len() > 1 {
        client.signal_url()
    } else {
        joined.signal_url.clone()
    };
    let signal = Signal::connect(&url, &Entry::Token(joined.token.clone()), None).await?;

    let mut config = SenderConfig::opus(format!("{user_id}@play"));
    if let Some(adjust) = &staging.adjust {
        adjust(&voice.name, &mut config);
    }
    let mut sender = Sender::bind(staging.from, config).await?;
    let remote = sender.local()?;
    let request = audio_stream(
        &joined.participant_id,
        "opus",
        sender.config(),
        Some(remote),
        staging.suite.as_deref(),
    );
    let stream = client.create_stream(meeting_id, request).await?;
    sender.set_srtp(stream.srtp_key());
    let player = Player {
        name: voice.name.clone(),
        user_id,
        participant_id: joined.participant_id,
        stream_id: stream.stream_id.clone(),
        ssrc: sender.config().ssrc,
        declined,
        sent: Sent::default(),
        events: Vec::new(),
        closed: None,
    };
    Ok((
        Cast {
            player,
            sender,
            to: stream.address(),
            voice: voice.clone(),
        },
        signal,
    ))
}

/// All voices at once, with one time zero.
async fn speak(casts: Vec<Cast>, zero: Instant, stop: &CancellationToken) -> Result<Vec<Player>> {
    let mut sending = JoinSet::new();
    for (
        n,
        Cast {
            mut player,
            sender,
            to,
            voice,
        },
    ) in casts.into_iter().enumerate()
    {
        let stop = stop.clone();
        sending.spawn(async move {
            player.sent = sender.run(to, &voice.frames, zero, &stop).await?;
            anyhow::Ok((n, player))
        });
    }
    let mut players = Vec::with_capacity(sending.len());
    while let Some(sent) = sending.join_next().await {
        players.push(sent??);
    }
    players.sort_by_key(|(n, _)| *n);
    Ok(players.into_iter().map(|(_, player)| player).collect())
}

struct Collected {
    /// Index of the player; `None` is the observer.
    whose: Option<usize>,
    events: Vec<Event>,
    closed: Option<Closed>,
}

/// Takes everything that comes to a socket, to its end or until told to stop.
async fn collect(
    whose: Option<usize>,
    mut signal: Signal,
    watch: Option<mpsc::Sender<Event>>,
    state: Option<watch::Sender<Option<(Instant, String)>>>,
    stop: CancellationToken,
) -> Collected {
    let mut events = Vec::new();
    loop {
        let event = tokio::select! {
            event = signal.next() => event,
            () = stop.cancelled() => None,
        };
        let Some(event) = event else { break };
        if let Some(state) = &state
            && event.kind() == "recording_state"
            && let Some(told) = event.data()["state"].as_str()
        {
            let _ = state.send(Some((event.received, told.into())));
        }
        if let Some(watch) = &watch {
            // Whoever watches too slowly misses some.
            let _ = watch.try_send(event.clone());
        }
        events.push(event);
    }
    Collected {
        whose,
        events,
        closed: signal.close().await,
    }
}
