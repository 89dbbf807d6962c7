//! The AsyncAPI 3 document of signaling, made from the types that messages are read into and
//! written from.
//!
//! It is the server's: it *receives* what clients say and *sends* what they hear. Messages are
//! called `client.TYPE` and `server.TYPE`, as some types go both ways with other data.

use super::{
    schema::{self, SCHEMAS},
    signal::{
        SUBPROTOCOL,
        message::{Answer, Candidate, ConsentData, FRAME_BYTES_MAX, JoinData, Mute, Nothing},
        server_message::{self, DrainingData, ErrorData, JoinedData},
    },
};
use crate::domain::{
    event::{
        Caption, CaptionWord, Consent, Correction, Deleted, EventKind, RecordingReport, Retraction,
        Translation,
    },
    negotiation::Offer,
    participant::Person,
    peer_message::{MediaRequest, OfferAnswered, OfferMade, PeerMessage, VideoPaused},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use utoipa::{OpenApi, ToSchema};

/// The types of all messages' data; what they consist of comes with them.
#[derive(OpenApi)]
#[openapi(components(schemas(
    Answer,
    Candidate,
    Caption,
    CaptionWord,
    Consent,
    ConsentData,
    Correction,
    Deleted,
    DrainingData,
    ErrorData,
    JoinData,
    JoinedData,
    MediaRequest,
    VideoPaused,
    Mute,
    Nothing,
    Offer,
    OfferAnswered,
    OfferMade,
    Person,
    RecordingReport,
    Retraction,
    Translation,
)))]
struct Schemas;

/// Members that are null for some and left out for others: an address is told to its sender and to
/// observers only.
const LEFT_OUT: [(&str, &[&str]); 1] = [("StreamSeen", &["address"])];

/// One message.
struct Message {
    kind: &'static str,
    says: &'static str,
    data: String,
    /// Besides `type` and `data`.
    members: &'static [Member],
    /// The types that answer it; empty: nothing does.
    answers: &'static [&'static str],
}

/// What may stand in an envelope.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Re,
    /// Always there, as is `at`.
    Seq,
    /// As is `at`, not where the same is told before it is durable.
    SeqOnceDurable,
    /// `data` may be null or left out.
    NoData,
}

fn message<D: ToSchema>(
    kind: &'static str,
    members: &'static [Member],
    says: &'static str,
) -> Message {
    Message {
        kind,
        says,
        data: D::name().into_owned(),
        members,
        answers: &[],
    }
}

impl Message {
    fn answered_by(self, answers: &'static [&'static str]) -> Self {
        Self { answers, ..self }
    }

    fn payload(&self) -> Value {
        let data = json!({"$ref": format!("{SCHEMAS}{}", self.data)});
        let name = json!({"type": ["string", "integer"], "maxLength": 128});
        let mut required = vec!["type"];
        let mut properties = Map::new();
        properties.insert("type".into(), json!({"const": self.kind}));
        if self.members.contains(&Member::NoData) {
            properties.insert("data".into(), json!({"oneOf": [{"type": "null"}, data]}));
        } else {
            properties.insert("data".into(), data);
            required.push("data");
        }
        let number = json!({
            "type": "integer", "format": "int64", "minimum": 1,
            "description": "The durable event's number in its meeting"
        });
        let time = json!({
            "type": "string", "format": "date-time",
            "description": "When the durable event was stored"
        });
        if self
            .members
            .iter()
            .any(|member| matches!(member, Seq | SeqOnceDurable))
        {
            properties.insert("at".into(), time);
        }
        for member in self.members {
            match member {
                Member::Id => properties.insert("id".into(), name.clone()),
                Member::Re => properties.insert("re".into(), name.clone()),
                Member::Seq => {
                    required.extend(["seq", "at"]);
                    properties.insert("seq".into(), number.clone())
                }
                Member::SeqOnceDurable => properties.insert("seq".into(), number.clone()),
                Member::NoData => None,
            };
        }
        json!({
            "type": "object", "properties": properties, "required": required,
            "additionalProperties": false
        })
    }

    fn document(&self) -> Value {
        let mut message = json!({
            "name": self.kind,
            "summary": self.says,
            "contentType": "application/json",
            "payload": self.payload(),
        });
        for (member, name) in [(Member::Id, "id"), (Member::Re, "re")] {
            if self.members.contains(&member) {
                message["correlationId"] = json!({"location": format!("$message.payload#/{name}")});
            }
        }
        message
    }
}

use Member::{Id, NoData, Re, Seq, SeqOnceDurable};

/// What clients may say.
fn heard() -> Vec<Message> {
    const CONSENT: &[&str] = &[EventKind::ConsentUpdated.as_str(), server_message::ERROR];
    let refused = |message: Message| message.answered_by(&[server_message::ERROR]);
    vec![
        message::<JoinData>("join_room", &[Id], "Joins: the first message, within 5 s")
            .answered_by(&[server_message::JOINED, server_message::ERROR]),
        message::<Offer>(
            "offer",
            &[Id],
            "Offers a peer connection, or a change of it",
        )
        .answered_by(&[PeerMessage::ANSWER, server_message::ERROR]),
        refused(message::<Answer>(
            "answer",
            &[Id],
            "Answers an offer of the server's",
        )),
        refused(message::<Candidate>(
            "ice_candidate",
            &[Id, NoData],
            "An ICE candidate; null ends them",
        )),
        message::<Mute>(
            server_message::MUTE,
            &[Id],
            "The own streams of a source are silent on purpose, or not any more",
        )
        .answered_by(&[server_message::MUTE, server_message::ERROR]),
        message::<ConsentData>("consent", &[Id], "Gives, refuses or withdraws consent")
            .answered_by(CONSENT),
        refused(message::<Nothing>(
            "leave",
            &[Id, NoData],
            "Leaves: the server closes the socket",
        )),
        message::<Nothing>("ping", &[Id, NoData], "Asks for a `pong`")
            .answered_by(&[server_message::PONG]),
    ]
}

/// What clients hear.
fn told() -> Vec<Message> {
    let answers = [
        message::<JoinedData>(
            server_message::JOINED,
            &[Re],
            "The socket has joined; the durable events after `lastSeq` follow",
        ),
        message::<OfferAnswered>(PeerMessage::ANSWER, &[Re], "Answers an offer"),
        message::<OfferMade>(
            PeerMessage::OFFER,
            &[],
            "Offers what the others send, to be answered",
        ),
        message::<Mute>(server_message::MUTE, &[Re], "Answers a `mute`"),
        message::<Nothing>(server_message::PONG, &[Re], "Answers a `ping`"),
        message::<ErrorData>(server_message::ERROR, &[Re], "A request is refused"),
        message::<MediaRequest>(
            PeerMessage::MEDIA,
            &[],
            "Something is to be done about the own media",
        ),
        message::<VideoPaused>(
            PeerMessage::VIDEO_PAUSED,
            &[],
            "Which pictures of the others are not sent now, as they do not fit; all of them each time",
        ),
        message::<DrainingData>(
            server_message::DRAINING,
            &[],
            "This process ends; the socket is closed",
        ),
    ];
    answers
        .into_iter()
        .chain(EventKind::ALL.map(event))
        .collect()
}

fn event(kind: EventKind) -> Message {
    let name = kind.as_str();
    match kind {
        EventKind::ParticipantJoined => message::<Person>(name, &[Seq], "Somebody is present"),
        EventKind::ParticipantLeft => message::<Person>(name, &[Seq], "Somebody is not any more"),
        EventKind::ParticipantUpdated => message::<Person>(
            name,
            &[Seq],
            "Somebody's consent, streams or removal changed",
        ),
        EventKind::ConsentUpdated => message::<Consent>(
            name,
            &[Re, SeqOnceDurable],
            "Somebody gave, refused or withdrew consent; without `seq` it acts and is not yet in the log",
        ),
        EventKind::RecordingState => message::<RecordingReport>(
            name,
            &[Seq],
            "What is recorded and transcribed, and what is not",
        ),
        EventKind::TranscriptUpdate => message::<Caption>(
            name,
            &[SeqOnceDurable],
            "A segment's words so far; its final has `seq`",
        ),
        EventKind::TranscriptCorrected => {
            message::<Correction>(name, &[Seq], "A final segment has a new version")
        }
        EventKind::TranscriptTranslated => message::<Translation>(
            name,
            &[Seq],
            "What a final segment says in another language",
        ),
        EventKind::TranscriptRetracted => {
            message::<Retraction>(name, &[Seq], "A segment is taken back: clients forget it")
        }
        EventKind::ContentDeleted => message::<Deleted>(name, &[Seq], "Content was deleted"),
    }
}

/// The AsyncAPI 3.0 document.
pub fn document() -> Value {
    let (heard, told) = (heard(), told());
    let mut messages = Map::new();
    for (side, all) in [("client", &heard), ("server", &told)] {
        for message in all {
            messages.insert(format!("{side}.{}", message.kind), message.document());
        }
    }
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hansard signaling",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "The WebSocket of a meeting, subprotocol `{SUBPROTOCOL}`: text frames of at most {} KiB, each one \
                 message. A server's `re` names the `id` of the request that it answers; `seq` numbers a meeting's \
                 durable events without holes.", FRAME_BYTES_MAX / 1024),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"this": {
            "host": "{host}", "protocol": "wss", "description": "Of `--public-url`",
            "variables": {"host": {"default": "localhost:8080"}},
        }},
        "channels": {"signal": {
            "address": "/v1/signal",
            "description": "Opened with an API key as bearer token it is an observer's.",
            "messages": Map::from_iter(messages.keys().map(|name| {
                (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}))
            })),
            "bindings": {"ws": {
                "method": "GET", "bindingVersion": "0.1.0",
                "headers": {
                    "type": "object",
                    "properties": {"Sec-WebSocket-Protocol": {"const": SUBPROTOCOL}},
                    "required": ["Sec-WebSocket-Protocol"],
                },
            }},
        }},
        "operations": operations(&heard, &told),
        "components": {"messages": messages, "schemas": schemas()},
    });
    finish(&mut document, &told, &heard);
    document
}

fn operations(heard: &[Message], told: &[Message]) -> Value {
    let channel = json!({"$ref": "#/channels/signal"});
    let named = |name: &str| json!({"$ref": format!("#/channels/signal/messages/{name}")});
    let mut operations = Map::new();
    for message in heard {
        let answers: Vec<_> = message
            .answers
            .iter()
            .map(|kind| named(&format!("server.{kind}")))
            .collect();
        operations.insert(
            format!("receive.{}", message.kind),
            json!({
                "action": "receive",
                "channel": channel,
                "summary": message.says,
                "messages": [named(&format!("client.{}", message.kind))],
                "reply": {"channel": channel, "messages": answers},
            }),
        );
    }
    let answers: BTreeSet<&str> = [
        server_message::JOINED,
        server_message::PONG,
        server_message::MUTE,
        PeerMessage::ANSWER,
    ]
    .into();
    let unasked = told
        .iter()
        .filter(|message| !answers.contains(message.kind))
        .map(|message| named(&format!("server.{}", message.kind)));
    operations.insert(
        "send".into(),
        json!({
            "action": "send",
            "channel": channel,
            "summary": "What happens in the meeting, to every socket of it",
            "messages": unasked.collect::<Vec<_>>(),
        }),
    );
    operations.into()
}

/// The schemas as the code gives them.
fn schemas() -> Value {
    let made = serde_json::to_value(Schemas::openapi()).unwrap_or_default();
    made["components"]["schemas"].clone()
}

fn finish(document: &mut Value, told: &[Message], heard: &[Message]) {
    let names: Vec<String> = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    for name in &names {
        let mut one = document["components"]["schemas"][name].take();
        merge(document, &mut one);
        document["components"]["schemas"][name] = one;
    }
    let reached = |messages: &[Message]| {
        let mut found = BTreeSet::new();
        for message in messages {
            schema::reach(document, &message.payload(), &mut found);
        }
        found
    };
    let (told, heard) = (reached(told), reached(heard));
    for name in told.difference(&heard) {
        let left_out = LEFT_OUT.iter().find(|(of, _)| of == name);
        let left_out = left_out.map_or(&[][..], |(_, members)| *members);
        schema::require_nulls(&mut document["components"]["schemas"][name], left_out);
    }
    // What was only flattened into others is none by itself.
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| told.contains(name) || heard.contains(name));
    }
    let schemas = document["components"]["schemas"].as_object_mut();
    for (_, one) in schemas.into_iter().flatten() {
        if one["type"] == "object" {
            one["additionalProperties"] = false.into();
        }
        examples(one);
    }
    schema::unwrap_lines(document);
}

/// Makes one object of what a struct and the structs that are flattened into it have. One that may
/// be missing is missing as a whole: none of its members is required.
fn merge(document: &Value, one: &mut Value) {
    let Some(parts) = one["allOf"].as_array().cloned() else {
        return;
    };
    let mut all = json!({"type": "object", "properties": {}, "required": []});
    if let Some(description) = one.get("description") {
        all["description"] = description.clone();
    }
    for part in &parts {
        let options = part["oneOf"].as_array().into_iter().flatten();
        let of = options
            .clone()
            .find(|option| option.get("$ref").is_some())
            .unwrap_or(part);
        let is_optional = options.count() > 0;
        let mut of = match of["$ref"].as_str().and_then(|to| to.strip_prefix(SCHEMAS)) {
            Some(name) => document["components"]["schemas"][name].clone(),
            None => of.clone(),
        };
        merge(document, &mut of);
        for (name, property) in of["properties"].as_object().into_iter().flatten() {
            all["properties"][name] = property.clone();
        }
        let required = of["required"].as_array().filter(|_| !is_optional);
        for name in required.into_iter().flatten() {
            if let Some(all) = all["required"].as_array_mut() {
                all.push(name.clone());
            }
        }
    }
    *one = all;
}

/// JSON Schema has a list of them.
fn examples(part: &mut Value) {
    match part {
        Value::Object(members) => {
            if let Some(example) = members.remove("example") {
                members.insert("examples".into(), json!([example]));
            }
            members.values_mut().for_each(examples);
        }
        Value::Array(items) => items.iter_mut().for_each(examples),
        _ => {}
    }
}

/// The document as a server shows it: with its own address.
pub fn document_of(signal_url: &str) -> Value {
    let mut document = document();
    let (protocol, rest) = signal_url.split_once("://").unwrap_or(("wss", signal_url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The channel's address is the end of it.
    let before = path.strip_suffix("v1/signal").unwrap_or_default();
    let before = before.trim_end_matches('/');
    let mut server = json!({"host": host, "protocol": protocol, "description": "This server"});
    if !before.is_empty() {
        server["pathname"] = format!("/{before}").into();
    }
    document["servers"] = json!({"this": server});
    document
}

/// The document as it is committed.
pub fn text() -> String {
    schema::text(&document())
}
