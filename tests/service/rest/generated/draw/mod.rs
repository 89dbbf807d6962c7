//! Requests drawn from the OpenAPI document: mostly right, wrong in one place or another, with
//! boundary values.

use crate::rest::app::OFFER;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

mod value;

/// What requests name: ids by what they are ids of, and cursors that lists answered.
#[derive(Default)]
pub struct Pool {
    pub ids: BTreeMap<&'static str, Vec<String>>,
    /// Those that belong to a meeting.
    pub within: BTreeMap<(String, &'static str), Vec<String>>,
    pub cursors: Vec<String>,
}

/// A request that may be sent.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

pub struct Draw<'a> {
    pub document: &'a Value,
    pub pool: &'a Pool,
    pub rng: &'a mut Rng,
    /// The meeting that this request is about, once it named one.
    pub meeting: Option<String>,
}

impl Draw<'_> {
    /// One in `n`.
    fn once_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn one<'v, T>(&mut self, of: &'v [T]) -> &'v T {
        &of[self.rng.usize(..of.len())]
    }

    pub fn request(&mut self, method: &str, path: &str, operation: &Value) -> Drawn {
        let mut address = String::new();
        for part in path.split('/').skip(1) {
            address.push('/');
            match part.strip_prefix('{').and_then(|name| name.split_once('}')) {
                Some((name, ending)) => {
                    address.push_str(&self.path_id(path, name));
                    address.push_str(ending);
                }
                None => address.push_str(part),
            }
        }
        let mut query = Vec::new();
        let mut headers = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            match parameter["in"].as_str() {
                Some("query") if self.rng.bool() => {
                    query.push(format!("{name}={}", self.query(name, parameter)))
                }
                Some("header") if name == "If-Match" => headers.extend(self.entity_tag()),
                Some("header") if self.once_in(5) => headers.push((name.to_owned(), self.header())),
                _ => {}
            }
        }
        if self.once_in(25) {
            query.push(
                self.one(&[
                    "surprise=1",
                    "limit=5&limit=6",
                    "=",
                    "&",
                    "%",
                    "%ff=%ff",
                    "a[]=1",
                ])
                .to_string(),
            );
        }
        if !query.is_empty() {
            address = format!("{address}?{}", query.join("&"));
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let texts = operation["requestBody"]["content"].as_object();
        let text = texts.and_then(|content| content.keys().find(|kind| !kind.ends_with("json")));
        let body = match text {
            Some(kind) => Some(self.description(kind, &mut headers)),
            None => schema.is_object().then(|| self.body(schema, &mut headers)),
        };
        Drawn {
            method: method.to_owned(),
            path: address,
            headers,
            body,
        }
    }

    /// The id behind a parameter of the path is one of what stands before it.
    fn path_id(&mut self, path: &str, name: &str) -> String {
        let of = match name {
            "participantId" => "participant",
            "streamId" => "stream",
            "linkId" => "link",
            "segmentId" => "segment",
            "redactionId" => "redaction",
            "sessionId" => "session",
            _ if path.starts_with("/v1/users") => "user",
            _ if path.starts_with("/v1/recordings") => "recording",
            _ => "meeting",
        };
        match self.rng.u32(..20) {
            0 => self
                .one(&[
                    "x",
                    "%00",
                    "%F0%9F%8E%89",
                    "..",
                    "-1",
                    "0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a1",
                ])
                .to_string(),
            1 => Uuid::nil().to_string(),
            2 => "f".repeat(32),
            3 => self.any_id(),
            4 => Uuid::now_v7().to_string(),
            _ => {
                let id = self.id(of);
                if of == "meeting" {
                    self.meeting = Some(id.clone());
                }
                id
            }
        }
    }

    fn id(&mut self, of: &str) -> String {
        let within = self.meeting.clone().and_then(|meeting| {
            let kind = ["participant", "stream", "link", "segment", "redaction"]
                .into_iter()
                .find(|kind| *kind == of)?;
            self.pool
                .within
                .get(&(meeting, kind))
                .filter(|ids| !ids.is_empty())
        });
        if let Some(ids) = within {
            return self.one(ids).clone();
        }
        match self.pool.ids.get(of) {
            Some(ids) if !ids.is_empty() => self.one(ids).clone(),
            _ => Uuid::now_v7().to_string(),
        }
    }

    fn any_id(&mut self) -> String {
        let kinds: Vec<&str> = self.pool.ids.keys().copied().collect();
        let kind = *self.one(&kinds);
        self.id(kind)
    }

    fn query(&mut self, name: &str, parameter: &Value) -> String {
        if name == "cursor" {
            return self.cursor();
        }
        let wild = self.once_in(6);
        let value = match self.value(name, &parameter["schema"], wild) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        encode(&value)
    }

    /// One that a list answered, or one that somebody made up.
    fn cursor(&mut self) -> String {
        if !self.pool.cursors.is_empty() && self.rng.bool() {
            return self.one(&self.pool.cursors).clone();
        }
        let id = self.any_id();
        let number = *self.one(&[
            i64::MIN,
            -8_000_000_000_000_000_000,
            -1,
            0,
            1,
            253_402_300_800_000_000,
            i64::MAX,
        ]);
        let made = match self.rng.u32(..12) {
            0 => {
                return self
                    .one(&["", "%21", "AAAA", "bnVsbA", "a.b", "=", "%00"])
                    .to_string();
            }
            1 => json!(null),
            2 => json!({"a": 1}),
            3 => json!([id, number]),
            4 => json!([number, "x"]),
            5 => json!(f64::MAX),
            6 => json!("\u{0}"),
            7 => json!([]),
            8 | 9 => json!([number, id]),
            10 => json!(number),
            _ => json!(id),
        };
        URL_SAFE_NO_PAD.encode(made.to_string())
    }

    fn header(&mut self) -> String {
        // Few, so that they are used again.
        match self.rng.u32(..10) {
            0 => String::new(),
            1 => "k".repeat(255),
            2 => "k".repeat(256),
            3 => "a b\tc".to_owned(),
            n => format!("key-{n}"),
        }
    }

    /// Of a session of WHIP, in most cases.
    fn entity_tag(&mut self) -> Option<(String, String)> {
        let is_sent = !self.once_in(10);
        let tag = *self.one(&["*", "*", "\"srvr\"", "\"srvr\"", "W/\"srvr\"", "srvr", ""]);
        is_sent.then(|| ("if-match".to_owned(), tag.to_owned()))
    }

    /// A description or a fragment of one, in most cases.
    fn description(&mut self, kind: &str, headers: &mut Vec<(String, String)>) -> Vec<u8> {
        let kind = if self.once_in(20) { "text/plain" } else { kind };
        headers.push(("content-type".to_owned(), kind.to_owned()));
        let hundred = OFFER.replace("a=mid:0", &"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(100));
        let large = "x".repeat(70_000);
        let texts: [&[u8]; 12] = [
            OFFER.as_bytes(),
            OFFER.as_bytes(),
            OFFER.as_bytes(),
            OFFER.as_bytes(),
            b"a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n",
            b"a=ice-ufrag:8hhY\r\n",
            b"a=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\n",
            b"",
            b"v=0",
            b"\xff\xfe",
            hundred.as_bytes(),
            large.as_bytes(),
        ];
        self.one(&texts).to_vec()
    }

    fn body(&mut self, schema: &Value, headers: &mut Vec<(String, String)>) -> Vec<u8> {
        let kind = if self.once_in(40) {
            "text/plain"
        } else {
            "application/json"
        };
        headers.push(("content-type".to_owned(), kind.to_owned()));
        if self.once_in(25) {
            let broken: [&[u8]; 10] = [
                b"",
                b"{",
                b"[]",
                b"null",
                b"7",
                b"\xff\xfe",
                b"{\"a\":1e999}",
                b"{\"a\":\"\\ud800\"}",
                b"{}{}",
                b"{} ",
            ];
            return self.one(&broken).to_vec();
        }
        if self.once_in(200) {
            return vec![b' '; 65_537];
        }
        // Most are wrong in at most one place: else nothing ever gets beyond the first check.
        let wild = self.once_in(3);
        self.value("", schema, wild).to_string().into_bytes()
    }
}

/// For a query.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
