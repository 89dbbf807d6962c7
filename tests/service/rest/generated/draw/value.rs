//! A value of a schema, or one that is wrong in some place.

use super::Draw;
use serde_json::{Map, Value, json};
use uuid::Uuid;

impl Draw<'_> {
    fn resolve(&self, schema: &Value) -> Value {
        match schema["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
            Some(at) => self.resolve(
                self.document
                    .pointer(at)
                    .expect("references lead somewhere"),
            ),
            None => schema.clone(),
        }
    }

    /// A value of the schema; when `wild` some of it is not.
    pub(super) fn value(&mut self, name: &str, schema: &Value, wild: bool) -> Value {
        let mut schema = self.resolve(schema);
        if wild && self.once_in(8) {
            let odd = [
                json!(null),
                json!(true),
                json!(-1),
                json!("x"),
                json!([]),
                json!({}),
                json!(1e300),
                json!("\u{0}"),
            ];
            return self.one(&odd).clone();
        }
        if let Some(one_of) = schema["oneOf"].as_array() {
            let one = self.one(one_of).clone();
            schema = self.resolve(&one);
        }
        if let Some(values) = schema["enum"].as_array() {
            return self.one(values).clone();
        }
        let types: Vec<String> = match &schema["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(many) => many
                .iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        let kind = if types.is_empty() {
            "null".to_owned()
        } else {
            self.one(&types).clone()
        };
        match kind.as_str() {
            "object" => self.object(&schema, wild),
            "array" => {
                let most = schema["maxItems"].as_u64().unwrap_or(5);
                let count = match self.rng.u32(..12) {
                    0 => most,
                    1 if wild => most + 1,
                    _ => self.rng.u64(..4.min(most + 1)),
                };
                (0..count)
                    .map(|_| self.value(name, &schema["items"], wild))
                    .collect()
            }
            "integer" | "number" => self.number(name, &schema, wild),
            "boolean" => json!(self.rng.bool()),
            "string" => self.text(name, &schema, wild).into(),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, wild: bool) -> Value {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut made = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let there = if required.contains(&name.as_str()) {
                !wild || !self.once_in(12)
            } else {
                self.rng.bool()
            };
            if there {
                made.insert(name.clone(), self.value(name, property, wild));
            }
        }
        if wild && self.once_in(8) {
            made.insert("surprise".to_owned(), json!(1));
        }
        // Members that have to fit each other, and seldom do by chance.
        if made.contains_key("payloadType") && !wild {
            let (codec, rate) = *self.one(&[("opus", 48_000), ("PCMU", 8000), ("PCMA", 8000)]);
            made.extend(
                [
                    ("kind", json!("audio")),
                    ("codec", json!(codec)),
                    ("clockRate", json!(rate)),
                ]
                .map(own),
            );
            made.extend([("source", json!(null)), ("remote", json!(null))].map(own));
        }
        made.into()
    }

    fn number(&mut self, name: &str, schema: &Value, wild: bool) -> Value {
        let edge = |side: &str| schema[side].as_i64();
        let (low, high) = (
            edge("minimum").unwrap_or(0),
            edge("maximum").unwrap_or(i64::from(u32::MAX)),
        );
        if wild && self.once_in(4) {
            let odd = [
                low.saturating_sub(1),
                high.saturating_add(1),
                -1,
                i64::MIN,
                i64::MAX,
            ];
            return match self.rng.u32(..8) {
                0 => json!(1.5),
                1 => json!(u64::MAX),
                2 => json!(1e300),
                _ => json!(self.one(&odd)),
            };
        }
        match name {
            // What is right depends on the codec.
            "clockRate" => json!(self.one(&[8000, 48_000, 48_000, 90_000])),
            "payloadType" => json!(self.one(&[0, 8, 63, 64, 95, 96, 111, 127])),
            // What segments have when they are said.
            "baseRevision" => json!(self.one(&[1, 3, 3, 4])),
            _ if self.once_in(4) => json!(self.one(&[low, high])),
            _ => json!(self.rng.i64(low..=high)),
        }
    }

    fn text(&mut self, name: &str, schema: &Value, wild: bool) -> String {
        match schema["format"].as_str() {
            Some("uuid") => {
                let of = match name {
                    "hostId" | "userId" => "user",
                    "meetingId" => "meeting",
                    "participantId" => "participant",
                    _ => "",
                };
                return match self.rng.u32(..10) {
                    0 if wild => self
                        .one(&["", "x", "{0193a5c2-7d0e-7c61-9c0a-3f5b8e1d2a10}"])
                        .to_string(),
                    1 => Uuid::nil().to_string(),
                    2 => self.any_id(),
                    _ => self.id(of),
                };
            }
            Some("date-time") => {
                return self
                    .one(&[
                        "2026-11-22T16:17:01.230Z",
                        "2099-12-31T23:59:59.999999999+14:00",
                        "1970-01-01T00:00:00Z",
                        "1969-12-31T23:59:59Z",
                        "9999-12-31T23:59:59.999Z",
                        "9999-12-31T23:59:59-23:59",
                        "2016-12-31T23:59:60Z",
                        "0000-01-01T00:00:00Z",
                        "10000-01-01T00:00:00Z",
                        "2026-02-30T00:00:00Z",
                        "2026-11-22",
                        "",
                    ])
                    .to_string();
            }
            Some("email") if !wild || self.rng.bool() => {
                return format!("u{}@example.org", self.rng.u32(..400));
            }
            Some("email") => {
                let long = format!("{}@x", "a".repeat(253));
                return self
                    .one(&["@", "a@", "a@b@c", "Ä@ö", "a b@c", "\u{0}@x", long.as_str()])
                    .to_string();
            }
            // Each one costs a tenth of a second of hashing.
            Some("password") if self.rng.u32(..8) > 0 => return "open sesame".to_owned(),
            _ => {}
        }
        match name {
            "language" if !wild => return self.one(&["en", "de", "haw"]).to_string(),
            "ip" => {
                return self
                    .one(&["192.0.2.7", "::1", "0.0.0.0", "224.0.0.1", "x", "127.0.0.1"])
                    .to_string();
            }
            _ => {}
        }
        let low = schema["minLength"].as_u64().unwrap_or(0) as usize;
        let high = schema["maxLength"].as_u64().unwrap_or(40) as usize;
        if wild && self.rng.bool() {
            return match self.rng.u32(..8) {
                0 => "x".repeat(high + 1),
                1 => "x".repeat(low.saturating_sub(1)),
                2 => "a\u{0}b".to_owned(),
                3 => "a\u{202e}b".to_owned(),
                4 => "\n\r\t".to_owned(),
                5 => " ".repeat(low.max(1)),
                6 => "\u{fffd}\u{10ffff}".to_owned(),
                _ => "'; drop table users; --".to_owned(),
            };
        }
        match self.rng.u32(..10) {
            0 => "é".repeat(low.max(1)),
            1 => "🎉".repeat(high.min(2000)),
            _ => format!("text {}", self.rng.u32(..100)),
        }
    }
}

fn own((name, value): (&str, Value)) -> (String, Value) {
    (name.to_owned(), value)
}
