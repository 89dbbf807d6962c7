//! The envelope `{"type", "id"?, "re"?, "seq"?, "at"?, "data"}`: what clients may say, and how servers say
//! it.

use super::server_message::{ERROR, ErrorData};
use crate::{
    api::{body::check_text, idempotency::IdempotencyKey},
    domain::{
        consent::{ConsentStatus, ConsentType},
        error_code::ErrorCode,
        event::data,
        id::MeetingId,
        negotiation::Offer,
        stream::MediaSource,
        wire_time::wire_time,
    },
    store::consent::STATEMENT_CHARS_MAX,
};
use axum::extract::ws::Utf8Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The longest text frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The longest `id` of a request, in characters.
const ID_CHARS_MAX: usize = 128;
/// The longest explanation in an `error`, in characters; it may quote what the client sent.
const EXPLANATION_CHARS_MAX: usize = 300;

/// A client's message with the `id` that its answer names as `re`.
#[derive(Clone, PartialEq, Debug)]
pub struct Incoming {
    pub id: Option<Value>,
    pub message: ClientMessage,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ClientMessage {
    Join(Join),
    /// An offer, answer or candidate, checked, as the worker gets it.
    Signal(Value),
    Mute(Mute),
    Consent(ConsentData),
    Leave,
    Ping,
}

impl Incoming {
    /// Candidates come in bursts and are counted apart.
    pub fn is_candidate(&self) -> bool {
        matches!(&self.message, ClientMessage::Signal(message) if message["type"] == "ice_candidate")
    }

    /// Declining and withdrawing have no limit.
    pub fn refuses_consent(&self) -> bool {
        matches!(&self.message, ClientMessage::Consent(data) if !data.status.accepts())
    }
}

/// Who wants in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    Token(String),
    Resume(String),
    /// An observer, by the API key of the upgrade.
    Observer(MeetingId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    pub who: Who,
    /// Replay the durable events after this one.
    pub last_seq: Option<i64>,
}

/// The data of `consent`: as the REST call.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SayConsent)]
pub struct ConsentData {
    pub consent_type: ConsentType,
    pub status: ConsentStatus,
    /// The words that were agreed to, kept with the entry.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    pub statement: Option<String>,
    /// As the header of the REST call: said by both ways with one key, it is said once.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255)]
    pub idempotency_key: Option<String>,
}

/// The data of `mute`: what is sent of this source is silent on purpose, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    pub source: MediaSource,
    pub muted: bool,
}

/// Why a message was not understood; told as `error {code, message}`.
#[derive(Clone, PartialEq, Debug)]
pub struct Invalid {
    pub re: Option<Value>,
    pub message: String,
}

/// Any bytes whatever to a message or a clear refusal; never panics.
pub fn parse_client_message(bytes: &[u8]) -> Result<Incoming, Invalid> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Invalid::new(None, format!("not JSON: {error}")))?;
    let Value::Object(mut envelope) = value else {
        return Err(Invalid::new(
            None,
            "the envelope is a JSON object {type, id?, data}",
        ));
    };
    let id = match envelope.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.chars().count() <= ID_CHARS_MAX => Some(Value::String(id)),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Some(Value::Number(id)),
        Some(_) => {
            return Err(Invalid::new(
                None,
                format!("id is a string of at most {ID_CHARS_MAX} characters or an integer"),
            ));
        }
    };
    match read(&mut envelope) {
        Ok(message) => Ok(Incoming { id, message }),
        Err(message) => Err(Invalid::new(id, message)),
    }
}

fn read(envelope: &mut Map<String, Value>) -> Result<ClientMessage, String> {
    let kind = match envelope.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err("type is a string".into()),
        None => return Err("type is missing".into()),
    };
    let data = envelope.remove("data");
    if let Some(unknown) = envelope.keys().next() {
        return Err(format!("unknown field {unknown:?} in the envelope"));
    }
    match kind.as_str() {
        "join_room" => join(typed(data)?).map(ClientMessage::Join),
        "offer" => {
            let offer: Offer = typed(data)?;
            Ok(ClientMessage::Signal(json!({"type": kind, "data": offer})))
        }
        "answer" => {
            let answer: Answer = typed(data)?;
            Ok(ClientMessage::Signal(json!({"type": kind, "data": answer})))
        }
        "ice_candidate" => {
            let candidate: Candidate = match data {
                Some(Value::Null) => Candidate::default(),
                data => typed(data)?,
            };
            Ok(ClientMessage::Signal(
                json!({"type": kind, "data": candidate}),
            ))
        }
        "consent" => {
            let consent: ConsentData = typed(data)?;
            if let Some(statement) = &consent.statement {
                check_statement(statement)?;
            }
            if let Some(key) = &consent.idempotency_key
                && IdempotencyKey::of(key).is_none()
            {
                return Err("idempotencyKey has 1 to 255 visible ASCII characters".into());
            }
            Ok(ClientMessage::Consent(consent))
        }
        "mute" => typed(data).map(ClientMessage::Mute),
        "leave" => typed::<Nothing>(data.or(Some(json!({})))).map(|_| ClientMessage::Leave),
        "ping" => typed::<Nothing>(data.or(Some(json!({})))).map(|_| ClientMessage::Ping),
        _ => Err(format!("unknown type {kind:?}")),
    }
}

/// What a statement must not be, in words: the same as by REST.
pub fn check_statement(statement: &str) -> Result<(), String> {
    let mut errors = Vec::new();
    check_text("statement", statement, 1, STATEMENT_CHARS_MAX, &mut errors);
    match errors.first() {
        Some(error) => Err(format!("{} {}", error.pointer, error.detail)),
        None => Ok(()),
    }
}

fn typed<T: DeserializeOwned>(data: Option<Value>) -> Result<T, String> {
    serde_json::from_value(data.ok_or("data is missing")?).map_err(|error| format!("data: {error}"))
}

/// The data of messages that say all by their type.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The data of `join_room`: exactly one of `token`, `resumeToken` and `meetingId`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = JoinRoom)]
pub struct JoinData {
    /// Of the REST call that joined.
    token: Option<String>,
    /// Of the last `joined`, while the participant is present.
    resume_token: Option<String>,
    /// To observe: the API key stands on the upgrade.
    meeting_id: Option<MeetingId>,
    /// The last durable event that the client has: those after it follow `joined`.
    #[schema(minimum = 0)]
    last_seq: Option<i64>,
}

fn join(data: JoinData) -> Result<Join, String> {
    if data.last_seq.is_some_and(|seq| seq < 0) {
        return Err("data: lastSeq is not negative".into());
    }
    let who = match (data.token, data.resume_token, data.meeting_id) {
        (Some(token), None, None) => Who::Token(token),
        (None, Some(token), None) => Who::Resume(token),
        (None, None, Some(meeting)) => Who::Observer(meeting),
        _ => return Err("data: exactly one of token, resumeToken and meetingId".into()),
    };
    Ok(Join {
        who,
        last_seq: data.last_seq,
    })
}

/// The data of a client's `answer`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AnswerOffer)]
pub struct Answer {
    sdp: String,
    /// Of the offer that it answers; without one it is an answer to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// The data of `ice_candidate`; `candidate: null` ends them. The server needs none of them.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = IceCandidate)]
pub struct Candidate {
    candidate: Option<String>,
    #[serde(default)]
    sdp_mid: Option<String>,
    #[serde(default)]
    sdp_m_line_index: Option<u16>,
    #[serde(default)]
    username_fragment: Option<String>,
}

impl Invalid {
    fn new(re: Option<Value>, message: impl Into<String>) -> Self {
        Self {
            re,
            message: message.into().chars().take(EXPLANATION_CHARS_MAX).collect(),
        }
    }
}

/// What an event's envelope says once it is durable: its number, and when it was stored.
pub type Numbered = (i64, DateTime<Utc>);

/// A server's message as text, members in the envelope's order.
pub fn envelope(
    kind: &str,
    re: Option<&Value>,
    durable: Option<Numbered>,
    data: &Value,
) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Envelope<'a> {
        r#type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        re: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<String>,
        data: &'a Value,
    }
    serde_json::to_string(&Envelope {
        r#type: kind,
        re,
        seq: durable.map(|(seq, _)| seq),
        at: durable.map(|(_, at)| wire_time(at)),
        data,
    })
    .expect("JSON values always serialise")
    .into()
}

/// `error {code, message}`.
pub fn error(re: Option<&Value>, code: ErrorCode, message: &str) -> Utf8Bytes {
    let said = ErrorData {
        code,
        message: message.to_owned(),
    };
    envelope(ERROR, re, None, &data(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<ClientMessage, String> {
        parse_client_message(text.as_bytes())
            .map(|incoming| incoming.message)
            .map_err(|invalid| invalid.message)
    }

    #[test]
    fn reads_what_the_contract_names() {
        let join = check(r#"{"type":"join_room","id":"1","data":{"token":"t","lastSeq":7}}"#)
            .expect("good");
        assert_eq!(
            join,
            ClientMessage::Join(Join {
                who: Who::Token("t".into()),
                last_seq: Some(7)
            })
        );
        assert_eq!(check(r#"{"type":"ping"}"#), Ok(ClientMessage::Ping));
        assert_eq!(
            check(r#"{"type":"leave","data":{}}"#),
            Ok(ClientMessage::Leave)
        );
        for candidate in [
            r#"{"type":"ice_candidate","data":{"candidate":null}}"#,
            r#"{"type":"ice_candidate","data":null}"#,
            r#"{"type":"ice_candidate","data":{"candidate":"c","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}"#,
        ] {
            assert!(
                parse_client_message(candidate.as_bytes())
                    .expect("good")
                    .is_candidate()
            );
        }
        assert_eq!(
            check(r#"{"type":"mute","data":{"source":"microphone","muted":true}}"#),
            Ok(ClientMessage::Mute(Mute {
                source: MediaSource::Microphone,
                muted: true
            }))
        );
        let consent = check(
            r#"{"type":"consent","data":{"consentType":"recording_ai","status":"accepted"}}"#,
        );
        assert!(matches!(consent, Ok(ClientMessage::Consent(data)) if data.status.accepts()));
    }

    #[test]
    fn says_what_is_wrong_and_whose_answer_it_is() {
        for (text, said) in [
            ("{", "not JSON"),
            ("[]", "JSON object"),
            ("{}", "type is missing"),
            (r#"{"type":7}"#, "type is a string"),
            (r#"{"type":"dance"}"#, "unknown type"),
            (r#"{"type":"ping","seq":3}"#, "unknown field"),
            (r#"{"type":"ping","data":{"a":1}}"#, "unknown field"),
            (r#"{"type":"ping","id":{}}"#, "id is"),
            (r#"{"type":"join_room"}"#, "data is missing"),
            (r#"{"type":"join_room","data":{}}"#, "exactly one"),
            (
                r#"{"type":"join_room","data":{"token":"a","resumeToken":"b"}}"#,
                "exactly one",
            ),
            (
                r#"{"type":"join_room","data":{"token":"a","lastSeq":-1}}"#,
                "lastSeq",
            ),
            (r#"{"type":"join_room","data":{"meetingId":"x"}}"#, "data:"),
            (r#"{"type":"offer","data":{"sdp":1}}"#, "data:"),
            (
                r#"{"type":"mute","data":{"source":"voice","muted":true}}"#,
                "unknown variant",
            ),
            (
                r#"{"type":"consent","data":{"consentType":"all","status":"accepted"}}"#,
                "unknown variant",
            ),
            (
                r#"{"type":"consent","data":{"consentType":"recording","status":"accepted","statement":"\u0000"}}"#,
                "control",
            ),
            (
                r#"{"type":"consent","data":{"consentType":"recording","status":"accepted","statement":"I \u202Eton od"}}"#,
                "control",
            ),
            (
                r#"{"type":"consent","data":{"consentType":"recording","status":"accepted","statement":""}}"#,
                "1 to 2000 characters",
            ),
            (
                r#"{"type":"consent","data":{"consentType":"recording","status":"withdrawn","idempotencyKey":"a\u00E4"}}"#,
                "visible ASCII",
            ),
        ] {
            let message = check(text).expect_err(text);
            assert!(message.contains(said), "{text}: {message}");
        }
        let invalid = parse_client_message(br#"{"type":"dance","id":"x7"}"#).expect_err("unknown");
        assert_eq!(invalid.re, Some(json!("x7")));
    }

    #[test]
    fn writes_the_envelope_in_order() {
        let text = envelope("pong", Some(&json!("a")), None, &json!({}));
        assert_eq!(text.as_str(), r#"{"type":"pong","re":"a","data":{}}"#);
        let durable = (4, DateTime::UNIX_EPOCH);
        let text = envelope("participant_left", None, Some(durable), &json!({"id": 1}));
        assert_eq!(
            text.as_str(),
            r#"{"type":"participant_left","seq":4,"at":"1970-01-01T00:00:00.000Z","data":{"id":1}}"#
        );
    }
}
