//! What a WebRTC offer says (RFC 8866, RFC 8829), as far as anything is decided by it: of which
//! session it is, who may prove to be its sender, and which streams it makes.
//!
//! An offer is anybody's text of up to 64 KiB. Whoever writes the answer gets only what was read
//! here without a fault, without the candidates ([`without_candidates`]).

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

/// The same description without several encodings of one picture (simulcast, RFC 8853): whoever offers
/// them and is answered without sends one.
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
mod tests {
    use super::*;

    const FINGERPRINT: &str = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";

    fn offer(sections: &[(&str, &str, &str)]) -> String {
        let mut sdp = format!(
            "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\n"
        );
        for (kind, mid, direction) in sections {
            sdp += &format!(
                "m={kind} 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\n\
                 a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\na=mid:{mid}\r\na={direction}\r\na=end-of-candidates\r\n"
            );
        }
        sdp
    }

    fn sent(
        sections: &[(&str, &str, &str)],
        told: &[(&str, MediaSource)],
    ) -> Result<String, String> {
        let told = told
            .iter()
            .map(|(mid, source)| ((*mid).to_owned(), *source))
            .collect();
        let sent = read(&offer(sections))
            .and_then(|description| description.sent(&told))
            .map_err(|invalid| invalid.to_string())?;
        let words = sent
            .iter()
            .map(|sent| format!("{}={} {}", sent.mid, sent.kind, sent.source));
        Ok(words.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn sections_that_send_are_streams_of_the_usual_sources() {
        for (sections, told, expect) in [
            (
                &[("audio", "0", "sendrecv")][..],
                &[][..],
                "0=audio microphone",
            ),
            (
                &[
                    ("audio", "a", "sendonly"),
                    ("video", "v", "sendrecv"),
                    ("video", "s", "sendonly"),
                ],
                &[],
                "a=audio microphone, v=video camera, s=video screen",
            ),
            (
                &[
                    ("audio", "0", "recvonly"),
                    ("audio", "1", "inactive"),
                    ("audio", "2", "sendrecv"),
                ],
                &[],
                "2=audio microphone",
            ),
            (
                &[("video", "0", "sendrecv"), ("video", "1", "sendrecv")],
                &[("0", MediaSource::Screen)],
                "0=video screen, 1=video camera",
            ),
            (
                &[("video", "0", "sendrecv"), ("video", "1", "sendrecv")],
                &[("1", MediaSource::Camera)],
                "0=video screen, 1=video camera",
            ),
        ] {
            assert_eq!(
                sent(sections, told).as_deref(),
                Ok(expect),
                "{sections:?} {told:?}"
            );
        }
    }

    #[test]
    fn what_the_client_says_of_its_sections_must_fit() {
        for (sections, told, said) in [
            (
                &[("audio", "0", "sendrecv")][..],
                &[("9", MediaSource::Microphone)][..],
                "no section",
            ),
            (
                &[("audio", "0", "sendrecv")],
                &[("0", MediaSource::Camera)],
                "gives none",
            ),
            (
                &[("video", "0", "sendrecv")],
                &[("0", MediaSource::Microphone)],
                "gives none",
            ),
            (
                &[
                    ("video", "0", "sendrecv"),
                    ("video", "1", "sendrecv"),
                    ("video", "2", "sendrecv"),
                ],
                &[],
                "more than one",
            ),
        ] {
            let message = sent(sections, told).expect_err(said);
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_fault_says_what_to_mend() {
        let good = offer(&[("audio", "0", "sendrecv")]);
        assert!(read(&good).is_ok());
        let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let hundred: Vec<_> = hundred
            .iter()
            .map(|mid| ("audio", mid.as_str(), "inactive"))
            .collect();
        let other = FINGERPRINT.replace("AA", "AB");
        for (text, said) in [
            (String::new(), "v=0"),
            ("x".repeat(1_000), "v=0"),
            (good.replace("o=-", "x=-"), "o= line"),
            (
                good.replace("o=- 4611", "o=-4611")
                    .replace(" 2 IN IP4 127.0.0.1", ""),
                "o= line",
            ),
            (
                good.replace("a=fingerprint:sha-256", "a=x"),
                "sha-256 is missing",
            ),
            (good.replace("sha-256", "sha-1"), "sha-256"),
            (good.replace("AA:BB", "AA"), "32 bytes"),
            (good.replace("AA:BB", "AA:XX"), "32 bytes"),
            (
                format!("{good}a=fingerprint:sha-256 {other}\r\n"),
                "different",
            ),
            (good.replace("ice-ufrag", "x"), "ice-ufrag"),
            (good.replace("a=mid:0", "a=mid:"), "a=mid"),
            (good.replace("a=mid:0", "a=mid:0123456789abcdef0"), "a=mid"),
            (good.replace("a=mid:0", "a=mid:a-b"), "a=mid"),
            (good.replace("a=mid:0\r\n", ""), "no a=mid"),
            (good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "DTLS"),
            (
                format!("{good}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
                "data channels",
            ),
            (
                format!("{good}m=text 9 UDP/TLS/RTP/SAVPF 96\r\n"),
                "not taken",
            ),
            (format!("{good}a=ice-lite\r\n"), "ice-lite"),
            (offer(&[]), "no media section"),
            (
                offer(&[("audio", "0", "sendrecv"), ("audio", "0", "sendrecv")]),
                "two sections",
            ),
            (offer(&hundred), "at most 64"),
        ] {
            let message = read(&text).expect_err(said).to_string();
            assert!(message.contains(said), "{said}: {message}");
        }
    }

    /// As aiortc writes them.
    #[test]
    fn fingerprints_by_other_functions_are_left_out() {
        let text = offer(&[("audio", "0", "sendrecv")]);
        for other in ["sha-512", "SHA-384", "md5"] {
            let line = format!("a=fingerprint:{other} AA:BB\r\n");
            let at = text.find("a=fingerprint").expect("it has one");
            for many in [
                format!("{}{line}{}", &text[..at], &text[at..]),
                format!("{text}{line}"),
            ] {
                assert_eq!(read(&many), read(&text));
                assert_eq!(without_candidates(&many), without_candidates(&text));
            }
        }
    }

    #[test]
    fn a_refused_section_sends_nothing() {
        let refused = offer(&[("audio", "0", "sendrecv"), ("video", "1", "sendrecv")])
            .replace("m=video 9", "m=video 0");
        let sends = |sdp: &str| -> Vec<bool> {
            let read = read(sdp).expect("sound");
            read.sections.iter().map(|section| section.sends).collect()
        };
        assert_eq!(sends(&refused), [true, false]);
        let bundled = refused.replace("a=mid:1", "a=mid:1\r\na=bundle-only");
        assert_eq!(sends(&bundled), [true, true]);
    }

    #[test]
    fn another_certificate_or_session_is_another_connection() {
        let first = read(&offer(&[("audio", "0", "sendrecv")])).expect("sound");
        let more = read(&offer(&[
            ("audio", "0", "sendrecv"),
            ("video", "1", "sendrecv"),
        ]))
        .expect("sound");
        assert!(more.continues(&first));
        let text = offer(&[("audio", "0", "sendrecv")]);
        for other in [text.replace("4611", "4612"), text.replace("AA:BB", "AC:BB")] {
            assert!(!read(&other).expect("sound").continues(&first));
        }
        // An ICE restart is the same connection.
        let restarted = read(&text.replace("abcd", "efgh")).expect("sound");
        assert!(restarted.continues(&first) && restarted.ufrag != first.ufrag);
    }

    #[test]
    fn one_encoding_is_left_of_several() {
        let text = offer(&[("video", "0", "sendonly")]);
        let layered = format!(
            "{text}a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\na=rtcp-rsize\r\n"
        );
        assert_eq!(without_layers(&layered), format!("{text}a=rtcp-rsize\r\n"));
    }

    #[test]
    fn candidates_are_left_out_and_nothing_else() {
        let text = offer(&[("audio", "0", "sendrecv")]);
        let without = without_candidates(&text);
        assert_eq!(read(&without), read(&text));
        assert!(!without.contains("candidate") && without.ends_with("\r\n"));
        assert_eq!(
            text.len() - without.len(),
            "a=candidate:1 1 udp 1 192.0.2.1 4 typ host\r\na=end-of-candidates\r\n".len()
        );
    }
}
