//! What a WebRTC offer says (RFC 8866, RFC 8829), as far as anything is decided by it: of which
//! session it is, who may prove to be its sender, and which streams it makes.
//!
//! An offer is anybody's text of up to 64 KiB. Whoever writes the answer gets only what was read
//! here without a fault, without the candidates ([`without_candidates`]).

mod repetition;

pub use repetition::{repeated_sound, with_repetition};

use crate::stream::{MediaKind, MediaSource};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Media sections of one offer: a room of dozens, each seen and heard.
pub const SECTIONS_MAX: usize = 64;
/// Streams of one offer; more is a client gone wrong.
pub const SENDING_MAX: usize = crate::limits::STREAMS_PER_PARTICIPANT;
/// What fingerprints are hashed by.
const FUNCTION: &str = "sha-256";
/// Characters of a section's `mid`: one byte of a header extension tells its length.
const MID_CHARS_MAX: usize = 16;

/// Why an offer is not taken, in words for whoever wrote the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

pub(crate) fn invalid<T>(why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(why.into()))
}

/// An offer as clients send it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    pub sdp: String,
    /// What its sections carry, where that is not what is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracks: Option<Vec<ToldTrack>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToldTrack {
    pub mid: String,
    pub source: MediaSource,
}

impl Offer {
    pub fn parse(data: &Value) -> Result<Self, Invalid> {
        Self::deserialize(data).map_err(|error| Invalid(format!("data: {error}")))
    }

    /// What is said of sections, by their `mid`; the last word counts.
    pub fn told(&self) -> BTreeMap<String, MediaSource> {
        let told = self.tracks.iter().flatten();
        told.map(|track| (track.mid.clone(), track.source))
            .collect()
    }
}

/// An offer, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Who made it, and its session: the first two words of the `o=` line.
    session: String,
    /// SHA-256 of the certificate that its sender proves itself by, in upper case.
    fingerprint: String,
    pub ufrag: String,
    pub sections: Vec<Section>,
}

/// A media section (`m=`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    pub mid: String,
    pub kind: MediaKind,
    /// Media of it comes.
    pub sends: bool,
}

/// A section that sends, and what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    pub mid: String,
    pub kind: MediaKind,
    pub source: MediaSource,
}

impl Description {
    /// Whether this is an offer of the same peer connection, to be changed by it. Another one is
    /// another connection, whose sender has other keys.
    pub fn continues(&self, before: &Self) -> bool {
        self.session == before.session && self.fingerprint == before.fingerprint
    }

    /// The streams that it makes. `told`: what the client says of its sections.
    pub fn sent(&self, told: &BTreeMap<String, MediaSource>) -> Result<Vec<Sent>, Invalid> {
        if let Some(unknown) = told
            .keys()
            .find(|mid| !self.sections.iter().any(|section| section.mid == **mid))
        {
            return invalid(format!("tracks: the offer has no section {unknown:?}"));
        }
        let mut taken = BTreeSet::new();
        let mut sent = Vec::new();
        for section in self.sections.iter().filter(|section| section.sends) {
            let (mid, kind) = (&section.mid, section.kind);
            let usual = MediaSource::usual(kind);
            let source = match told.get(mid) {
                Some(source) => *source,
                None if told.values().any(|source| *source == usual)
                    || taken.contains(&(kind, usual)) =>
                {
                    MediaSource::Screen
                }
                None => usual,
            };
            match (kind, source) {
                (MediaKind::Audio, MediaSource::Camera) => {
                    return invalid(format!(
                        "tracks: section {mid} is audio, a camera gives none"
                    ));
                }
                (MediaKind::Video, MediaSource::Microphone) => {
                    return invalid(format!(
                        "tracks: section {mid} is video, a microphone gives none"
                    ));
                }
                _ => {}
            }
            if !taken.insert((kind, source)) {
                return invalid(format!(
                    "tracks: more than one section sends {kind} of the {source}; say what each is"
                ));
            }
            sent.push(Sent {
                mid: mid.clone(),
                kind,
                source,
            });
        }
        if sent.len() > SENDING_MAX {
            return invalid(format!("at most {SENDING_MAX} sections may send"));
        }
        Ok(sent)
    }
}

/// Reads an offer.
pub fn read(sdp: &str) -> Result<Description, Invalid> {
    let mut reader = Reader::default();
    let mut lines = sdp
        .split('\n')
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.is_empty());
    if lines.next() != Some("v=0") {
        return invalid("sdp: it begins with v=0");
    }
    for line in lines {
        reader.line(line)?;
    }
    reader.done()
}

/// The same description without its candidates: a server that only answers checks does not need
/// them, and there may be a thousand. And without fingerprints by other functions than the one that
/// counts.
pub fn without_candidates(sdp: &str) -> String {
    let kept = sdp.split('\n').filter(|line| {
        let other = line.strip_prefix("a=fingerprint:").is_some_and(|value| {
            let function = value.split(' ').next().unwrap_or_default();
            !function.eq_ignore_ascii_case(FUNCTION)
        });
        !other && !line.starts_with("a=candidate:") && !line.starts_with("a=end-of-candidates")
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The same description without several encodings of one picture (simulcast, RFC 8853): whoever
/// offers them and is answered without sends one.
pub fn without_layers(sdp: &str) -> String {
    let kept = sdp
        .split('\n')
        .filter(|line| !line.starts_with("a=simulcast:") && !line.starts_with("a=rid:"));
    kept.collect::<Vec<_>>().join("\n")
}

#[derive(Default)]
struct Reader {
    session: Option<String>,
    fingerprint: Option<String>,
    ufrag: Option<String>,
    /// Of the session, for sections that say nothing else.
    direction: Option<bool>,
    sections: Vec<Open>,
}

/// A section that is being read.
struct Open {
    kind: MediaKind,
    mid: Option<String>,
    sends: Option<bool>,
    /// Port 0: not wanted, unless it shares another section's.
    refused: bool,
    bundle_only: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Invalid> {
        if let Some(origin) = line.strip_prefix("o=") {
            let mut words = origin.split(' ');
            let (Some(user), Some(id)) = (words.next(), words.next()) else {
                return invalid("sdp: the o= line names a user and a session");
            };
            self.session = Some(format!("{user} {id}"));
        } else if let Some(media) = line.strip_prefix("m=") {
            self.media(media)?;
        } else if let Some(attribute) = line.strip_prefix("a=") {
            self.attribute(attribute)?;
        }
        Ok(())
    }

    fn media(&mut self, media: &str) -> Result<(), Invalid> {
        let mut words = media.split(' ');
        let kind = match words.next() {
            Some("audio") => MediaKind::Audio,
            Some("video") => MediaKind::Video,
            Some("application") => {
                return invalid("sdp: there are no data channels here (m=application)");
            }
            other => {
                return invalid(format!(
                    "sdp: m={} is not taken: audio and video are",
                    other.unwrap_or_default()
                ));
            }
        };
        if self.sections.len() == SECTIONS_MAX {
            return invalid(format!("sdp: at most {SECTIONS_MAX} media sections (m=)"));
        }
        let port = words.next();
        if !words.next().is_some_and(|proto| proto.contains("TLS/RTP/")) {
            return invalid("sdp: media goes over DTLS (UDP/TLS/RTP/SAVPF)");
        }
        self.sections.push(Open {
            kind,
            mid: None,
            sends: None,
            refused: port == Some("0"),
            bundle_only: false,
        });
        Ok(())
    }

    fn attribute(&mut self, attribute: &str) -> Result<(), Invalid> {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "fingerprint" => self.fingerprint(value)?,
            "ice-ufrag" => {
                self.ufrag.get_or_insert_with(|| value.to_owned());
            }
            "ice-lite" => {
                return invalid("sdp: a=ice-lite: one side must check, and this one does not");
            }
            "sendrecv" | "sendonly" => self.sends(true),
            "recvonly" | "inactive" => self.sends(false),
            "mid" => {
                let is_plain = (1..=MID_CHARS_MAX).contains(&value.len())
                    && value
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || c == b'_');
                if !is_plain {
                    return invalid(format!(
                        "sdp: a=mid has 1 to {MID_CHARS_MAX} letters, digits or _"
                    ));
                }
                if self
                    .sections
                    .iter()
                    .any(|open| open.mid.as_deref() == Some(value))
                {
                    return invalid(format!("sdp: two sections have a=mid:{value}"));
                }
                if let Some(open) = self.sections.last_mut() {
                    open.mid = Some(value.to_owned());
                }
            }
            "bundle-only" => {
                if let Some(open) = self.sections.last_mut() {
                    open.bundle_only = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn sends(&mut self, sends: bool) {
        match self.sections.last_mut() {
            Some(open) => open.sends = Some(sends),
            None => self.direction = Some(sends),
        }
    }

    /// All sections share one transport, so there is one.
    fn fingerprint(&mut self, value: &str) -> Result<(), Invalid> {
        let Some((function, bytes)) = value.split_once(' ') else {
            return invalid("sdp: a=fingerprint names a hash function and its value");
        };
        // The same certificate by other functions, besides (RFC 8122 5).
        if !function.eq_ignore_ascii_case(FUNCTION) {
            return Ok(());
        }
        let bytes = bytes.trim().to_ascii_uppercase();
        let is_hash = bytes.split(':').count() == 32
            && bytes
                .split(':')
                .all(|byte| byte.len() == 2 && byte.bytes().all(|c| c.is_ascii_hexdigit()));
        if !is_hash {
            return invalid("sdp: a=fingerprint has 32 bytes, written as AB:CD:…");
        }
        match &self.fingerprint {
            Some(before) if *before != bytes => {
                invalid("sdp: sections have different fingerprints; one BUNDLE group has one")
            }
            _ => {
                self.fingerprint = Some(bytes);
                Ok(())
            }
        }
    }

    fn done(self) -> Result<Description, Invalid> {
        let Some(session) = self.session else {
            return invalid("sdp: the o= line is missing");
        };
        if self.sections.is_empty() {
            return invalid("sdp: there is no media section (m=)");
        }
        let Some(fingerprint) = self.fingerprint else {
            return invalid(
                "sdp: a=fingerprint by sha-256 is missing: nobody could prove to be its sender",
            );
        };
        let Some(ufrag) = self.ufrag else {
            return invalid("sdp: a=ice-ufrag is missing");
        };
        let direction = self.direction.unwrap_or(true);
        let read = self.sections.into_iter().map(|open| {
            let Some(mid) = open.mid else {
                return invalid("sdp: a section has no a=mid");
            };
            Ok(Section {
                mid,
                kind: open.kind,
                sends: open.sends.unwrap_or(direction) && (!open.refused || open.bundle_only),
            })
        });
        Ok(Description {
            session,
            fingerprint,
            ufrag,
            sections: read.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests;
