//! The same peers at Debian's `janus`, in one room of its VideoRoom plugin, by its API over HTTP.

use super::{
    connection::Connection,
    tally::{Kind, Tally, Track},
};
use crate::{rig::until, support::Scratch};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    collections::HashMap,
    fs::{self, File},
    net::{IpAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

const PROGRAM: &str = "/usr/bin/janus";
const STARTS_WITHIN: Duration = Duration::from_secs(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const PLUGIN: &str = "janus.plugin.videoroom";

/// Whether it is there to be compared with.
pub fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// It ends when dropped.
pub struct Janus {
    child: Child,
    url: String,
    _configuration: Scratch,
}

impl Janus {
    /// With Debian's defaults, but nothing that is not needed here.
    pub async fn start() -> Result<Self> {
        let configuration = Scratch::new();
        // Free now; nobody else here takes ports meanwhile.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let write = |name: &str, text: String| fs::write(configuration.path().join(name), text);
        let transports = ["websockets", "pfunix", "mqtt", "nanomsg", "rabbitmq"];
        let others = [
            "audiobridge",
            "duktape",
            "echotest",
            "lua",
            "nosip",
            "recordplay",
            "sip",
            "streaming",
            "textroom",
            "videocall",
            "voicemail",
        ];
        let disable = |names: &[&str]| {
            let names = names.iter().map(|name| format!("libjanus_{name}.so"));
            names.collect::<Vec<_>>().join(",")
        };
        write(
            "janus.jcfg",
            format!(
                "general: {{ debug_level = 3; session_timeout = 0 }}\n\
                 nat: {{ ice_lite = true; ice_ignore_list = \"vmnet\" }}\n\
                 plugins: {{ disable = \"{}\" }}\n\
                 transports: {{ disable = \"{}\" }}\n",
                disable(&others),
                disable(&transports)
            ),
        )?;
        write(
            "janus.transport.http.jcfg",
            format!(
                "general: {{ json = \"compact\"; base_path = \"/janus\"; http = true; \
                 port = {port}; ip = \"127.0.0.1\"; https = false }}\n\
                 admin: {{ admin_http = false; admin_https = false }}\n"
            ),
        )?;
        write("janus.plugin.videoroom.jcfg", "general: { }\n".into())?;
        let log = File::create(configuration.path().join("log"))?;
        let child = Command::new(PROGRAM)
            .arg("-F")
            .arg(configuration.path())
            .args(["--disable-colors"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let janus = Self {
            child,
            url: format!("http://127.0.0.1:{port}/janus"),
            _configuration: configuration,
        };
        until("janus answers", STARTS_WITHIN, async || {
            let answer = reqwest::get(format!("{}/info", janus.url)).await;
            Ok(answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(()))
        })
        .await?;
        Ok(janus)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session of its API.
struct Session {
    http: reqwest::Client,
    url: String,
    requests: Cell<u32>,
}

impl Session {
    async fn begin(janus: &Janus) -> Result<Self> {
        let mut session = Self {
            http: reqwest::Client::new(),
            url: janus.url.clone(),
            requests: Cell::new(0),
        };
        let id = session.say("", json!({"janus": "create"})).await?.1["data"]["id"].clone();
        session.url = format!("{}/{}", janus.url, id.as_u64().context("no session")?);
        Ok(session)
    }

    /// The transaction and what is answered at once.
    async fn say(&self, path: &str, mut body: Value) -> Result<(String, Value)> {
        self.requests.set(self.requests.get() + 1);
        let transaction = format!("t{}", self.requests.get());
        body["transaction"] = transaction.as_str().into();
        let url = format!("{}{path}", self.url);
        let answer: Value = self.http.post(url).json(&body).send().await?.json().await?;
        ensure!(answer["janus"] != "error", "janus: {answer}");
        Ok((transaction, answer))
    }

    /// → the path of a handle.
    async fn attach(&self) -> Result<String> {
        let body = json!({"janus": "attach", "plugin": PLUGIN});
        let (_, answer) = self.say("", body).await?;
        let id = answer["data"]["id"].as_u64().context("no handle")?;
        Ok(format!("/{id}"))
    }

    /// A request of the plugin: what it answers, and the description with that.
    async fn ask(&self, handle: &str, body: Value, jsep: Option<Value>) -> Result<(Value, String)> {
        let mut message = json!({"janus": "message", "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let (transaction, mut answer) = self.say(handle, message).await?;
        let begun = Instant::now();
        while answer["transaction"] != transaction.as_str() || answer["janus"] == "ack" {
            ensure!(begun.elapsed() < ANSWERED_WITHIN, "janus does not answer");
            // Waits until there is something.
            answer = self.http.get(&self.url).send().await?.json().await?;
        }
        let data = answer["plugindata"]["data"].clone();
        if !data["error"].is_null() {
            bail!("janus: {data}");
        }
        let sdp = answer["jsep"]["sdp"].as_str().unwrap_or_default();
        Ok((data, sdp.to_owned()))
    }
}

/// Everybody sends in one connection and receives in another, as that plugin has it. → those that
/// send.
pub async fn join(
    janus: &Janus,
    peers: usize,
    ip: IpAddr,
    tally: &Rc<Tally>,
) -> Result<Vec<Connection>> {
    let session = Session::begin(janus).await?;
    let mut senders = Vec::new();
    let mut feeds = Vec::new();
    let first = session.attach().await?;
    let create = json!({
        "request": "create", "publishers": peers, "audiocodec": "opus", "videocodec": "vp8",
    });
    let (made, _) = session.ask(&first, create, None).await?;
    let room = &made["room"];
    for peer in 0..peers {
        let handle = session.attach().await?;
        let connection = Connection::bind(peer, ip, tally.clone())?;
        tokio::task::spawn_local(connection.clone().run());
        let offer = json!({"type": "offer", "sdp": connection.offer()?});
        let body = json!({
            "request": "joinandconfigure", "room": room, "ptype": "publisher",
            "display": format!("Peer {peer}"),
        });
        let (joined, answer) = session.ask(&handle, body, Some(offer)).await?;
        connection.accept(&answer)?;
        connection.connected().await?;
        feeds.push(joined["id"].as_u64().context("no feed")?);
        senders.push(connection);
    }
    for peer in 0..peers {
        let handle = session.attach().await?;
        let connection = Connection::bind(peer, ip, tally.clone())?;
        let others = feeds.iter().enumerate().filter(|(of, _)| *of != peer);
        let streams: Vec<Value> = others.map(|(_, feed)| json!({"feed": feed})).collect();
        let body =
            json!({"request": "join", "room": room, "ptype": "subscriber", "streams": streams});
        let (attached, offer) = session.ask(&handle, body, None).await?;
        let answer = connection.answer(&offer, tracks(&attached, &feeds))?;
        tokio::task::spawn_local(connection.clone().run());
        let answer = json!({"type": "answer", "sdp": answer});
        session
            .ask(&handle, json!({"request": "start"}), Some(answer))
            .await?;
        connection.connected().await?;
    }
    Ok(senders)
}

/// What the sections of an offer carry, as the plugin says beside it.
fn tracks(attached: &Value, feeds: &[u64]) -> HashMap<str0m::media::Mid, Track> {
    let streams = attached["streams"].as_array().into_iter().flatten();
    let named = streams.filter_map(|stream| {
        let feed = stream["feed_id"].as_u64()?;
        let sender = feeds.iter().position(|of| *of == feed)?;
        let kind = if stream["type"] == "video" {
            Kind::Picture
        } else {
            Kind::Voice
        };
        Some((stream["mid"].as_str()?.into(), Track { sender, kind }))
    });
    named.collect()
}
