//! The peers in a meeting of Hansard's.

use super::{
    connection::Connection,
    tally::{Kind, Tally, Track},
};
use anyhow::{Context, Result, ensure};
use hansard_client::{
    rest::Client,
    signal::{Entry, Event, Signal},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// A meeting with everybody in it.
pub struct Joined {
    pub meeting: String,
    /// By the peer's number.
    pub participants: Vec<String>,
    pub connections: Vec<Connection>,
    /// Answer the server's offers, for as long as they are kept.
    _attending: Vec<Attending>,
}

struct Attending(JoinHandle<()>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `consent`: what everybody agrees to; without it nobody has answered.
pub async fn join(
    client: &Client,
    peers: usize,
    ip: IpAddr,
    settings: Value,
    consent: Option<&str>,
    tally: &Rc<Tally>,
) -> Result<Joined> {
    let host = client.create_user("host@example.org", "Host").await?;
    let meeting = client.create_meeting(&host, settings).await?;
    let meeting = meeting["id"].as_str().context("no id")?.to_owned();
    let (mut participants, mut tokens) = (Vec::new(), Vec::new());
    for peer in 0..peers {
        let email = format!("peer-{peer}@example.org");
        let user = client.create_user(&email, &format!("Peer {peer}")).await?;
        let joined = client.join(&meeting, &user).await?;
        if let Some(consent) = consent {
            client
                .consent(&joined.token, &meeting, consent, "accepted")
                .await?;
        }
        participants.push(joined.participant_id);
        tokens.push(joined.token);
    }
    let (mut connections, mut attending) = (Vec::new(), Vec::new());
    for (peer, token) in tokens.into_iter().enumerate() {
        let mut signal = Signal::connect(&client.signal_url(), &Entry::Token(token), None).await?;
        let connection = Connection::bind(peer, ip, tally.clone())?;
        connections.push(connection.clone());
        tokio::task::spawn_local(connection.clone().run());
        let re = signal
            .say("offer", json!({"sdp": connection.offer()?}))
            .await?;
        let answer = signal
            .wait_for(Instant::now() + ANSWERED_WITHIN, |event| {
                event.value["re"] == re.as_str()
            })
            .await?;
        ensure!(answer.kind() == "answer", "no answer: {}", answer.value);
        connection.accept(answer.data()["sdp"].as_str().context("no description")?)?;
        let names = participants.clone();
        attending.push(Attending(tokio::task::spawn_local(async move {
            if let Err(error) = attend(&mut signal, &connection, &names).await {
                println!("peer {peer} is gone: {error:#}");
            }
        })));
    }
    for connection in &connections {
        connection.connected().await?;
    }
    Ok(Joined {
        meeting,
        participants,
        connections,
        _attending: attending,
    })
}

/// Answers what the server offers.
async fn attend(signal: &mut Signal, connection: &Connection, names: &[String]) -> Result<()> {
    let mut answered = BTreeSet::new();
    while let Some(event) = signal.next().await {
        ensure!(event.kind() != "error", "{}", event.value);
        let data = event.data();
        // One that was repeated is answered once.
        if event.kind() != "offer" || !answered.insert(data["id"].to_string()) {
            continue;
        }
        let sdp = data["sdp"].as_str().context("no description")?;
        let answer = connection.answer(sdp, tracks(&event, names))?;
        signal
            .say("answer", json!({"sdp": answer, "id": data["id"]}))
            .await?;
    }
    Ok(())
}

/// What the sections of an offer carry: `a=msid` names participant and source.
fn tracks(offer: &Event, names: &[String]) -> HashMap<str0m::media::Mid, Track> {
    let sdp = offer.data()["sdp"].as_str().unwrap_or_default();
    let sections = sdp.split("\nm=").skip(1);
    let named = sections.filter_map(|section| {
        let value = |name: &str| section.lines().find_map(|line| line.strip_prefix(name));
        let participant = value("a=msid:")?.split(' ').next()?;
        let sender = names.iter().position(|name| name == participant)?;
        let kind = if section.starts_with("video") {
            Kind::Picture
        } else {
            Kind::Voice
        };
        Some((value("a=mid:")?.into(), Track { sender, kind }))
    });
    named.collect()
}
