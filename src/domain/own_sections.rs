//! The media sections that the server offers to one browser: one for each (participant, source) of
//! the others. A section cannot be taken out of a session (RFC 8829 5.2.2), so one whose source is
//! gone rests, and is used again for the same source of another participant.
//!
//! [`plan`] says what to change, [`described`] writes into a description whose each section is.

use crate::{
    id::ParticipantId,
    stream::{MediaKind, MediaSource},
};
use std::collections::{BTreeMap, BTreeSet};

/// Own sections of one connection; with the client's own they are fewer than what an offer may have
/// ([`SECTIONS_MAX`](crate::negotiation::SECTIONS_MAX)).
pub const OWN_SECTIONS_MAX: usize = 48;

/// What the others can hear or see of somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shown {
    /// Sound first: where not all fits, voices do.
    pub kind: MediaKind,
    pub participant: ParticipantId,
    pub source: MediaSource,
}

/// A section, as planning needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnSection {
    pub kind: MediaKind,
    pub source: MediaSource,
    /// Whose it is; `None`: it rests.
    pub of: Option<ParticipantId>,
    /// The client refused it for good.
    pub refused: bool,
}

impl OwnSection {
    pub fn shows(&self) -> Option<Shown> {
        let participant = self.of.filter(|_| !self.refused)?;
        Some(Shown {
            kind: self.kind,
            participant,
            source: self.source,
        })
    }
}

/// A change of the sections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The section of this index rests.
    Rest(usize),
    /// The resting section of this index is used again.
    Use(usize, Shown),
    Add(Shown),
}

/// What makes of these sections those that are `wanted`. What finds no room is left out.
pub fn plan(sections: &[OwnSection], wanted: &BTreeSet<Shown>) -> Vec<Change> {
    let indexed = || sections.iter().enumerate();
    let mut changes: Vec<Change> = indexed()
        .filter(|(_, section)| {
            section
                .shows()
                .is_some_and(|shown| !wanted.contains(&shown))
        })
        .map(|(index, _)| Change::Rest(index))
        .collect();
    // What rests from this offer on is used again by a later one: a client is told first that a
    // voice has ended, and then of the next.
    let mut resting: Vec<(usize, &OwnSection)> = indexed()
        .filter(|(_, section)| section.of.is_none() && !section.refused)
        .collect();
    let mut room = OWN_SECTIONS_MAX.saturating_sub(sections.len());
    let refused: BTreeSet<Shown> = sections
        .iter()
        .filter(|section| section.refused)
        .filter_map(|section| {
            let participant = section.of?;
            Some(Shown {
                kind: section.kind,
                participant,
                source: section.source,
            })
        })
        .collect();
    for shown in wanted {
        if refused.contains(shown)
            || sections
                .iter()
                .any(|section| section.shows() == Some(*shown))
        {
            continue;
        }
        let fits = resting
            .iter()
            .position(|(_, section)| (section.kind, section.source) == (shown.kind, shown.source));
        if let Some(at) = fits {
            changes.push(Change::Use(resting.remove(at).0, *shown));
        } else if room > 0 {
            room -= 1;
            changes.push(Change::Add(*shown));
        }
    }
    changes
}

/// A description of the server, its sections named: own ones by whose they are and from where
/// (`a=msid`), those of the client in one direction only, since what others send has own sections.
/// `own`: the own sections by their `mid`; `None`: it rests.
pub fn described(
    sdp: &str,
    own: &BTreeMap<String, Option<(ParticipantId, MediaSource)>>,
) -> String {
    let mut described = String::with_capacity(sdp.len());
    let mut section: Vec<&str> = Vec::new();
    for line in sdp.split_inclusive('\n') {
        if line.starts_with("m=") {
            describe(&section, own, &mut described);
            section.clear();
        }
        section.push(line);
    }
    describe(&section, own, &mut described);
    described
}

/// One section, or what stands before the first.
fn describe(
    lines: &[&str],
    own: &BTreeMap<String, Option<(ParticipantId, MediaSource)>>,
    to: &mut String,
) {
    let mid = lines
        .iter()
        .find_map(|line| line.strip_prefix("a=mid:"))
        .map(str::trim_end);
    let Some(mid) = mid else {
        return to.extend(lines.iter().copied());
    };
    let whose = own.get(mid);
    for line in lines {
        let text = line.trim_end();
        let names_stream =
            text.starts_with("a=msid:") || text.starts_with("a=ssrc:") && text.contains(" msid:");
        match (whose, text) {
            (None, "a=sendrecv") => *to += "a=recvonly\r\n",
            (None, "a=sendonly") => *to += "a=inactive\r\n",
            (None, _) if text.starts_with("a=ssrc") => {}
            _ if !names_stream => *to += line,
            (Some(Some((participant, source))), _) if text.starts_with("a=msid:") => {
                *to += &format!("a=msid:{participant} {source}\r\n");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn who(n: u128) -> ParticipantId {
        ParticipantId(Uuid::from_u128(n))
    }

    fn voice(n: u128) -> Shown {
        Shown {
            kind: MediaKind::Audio,
            participant: who(n),
            source: MediaSource::Microphone,
        }
    }

    fn camera(n: u128) -> Shown {
        Shown {
            kind: MediaKind::Video,
            participant: who(n),
            source: MediaSource::Camera,
        }
    }

    fn section(shown: Shown) -> OwnSection {
        OwnSection {
            kind: shown.kind,
            source: shown.source,
            of: Some(shown.participant),
            refused: false,
        }
    }

    #[test]
    fn each_source_of_another_has_a_section_and_one_that_ended_rests() {
        let sections = [section(voice(1)), section(camera(1))];
        let changes = plan(&sections, &[voice(1), voice(2), camera(2)].into());
        assert_eq!(
            changes,
            [
                Change::Rest(1),
                Change::Add(voice(2)),
                Change::Add(camera(2))
            ]
        );
        assert_eq!(plan(&sections, &[voice(1), camera(1)].into()), []);
    }

    #[test]
    fn a_resting_section_is_used_again_for_the_same_source_only() {
        let mut resting = section(voice(1));
        resting.of = None;
        let sections = [resting, section(voice(2))];
        let changes = plan(&sections, &[voice(2), camera(3), voice(3)].into());
        assert_eq!(changes, [Change::Use(0, voice(3)), Change::Add(camera(3))]);
    }

    #[test]
    fn what_the_client_refused_is_not_offered_again() {
        let mut refused = section(camera(1));
        refused.refused = true;
        assert_eq!(plan(&[refused], &[camera(1)].into()), []);
        assert_eq!(
            plan(&[refused], &[camera(2)].into()),
            [Change::Add(camera(2))]
        );
    }

    #[test]
    fn a_room_that_is_too_large_is_cut_and_voices_come_first() {
        let wanted: BTreeSet<Shown> = (0..40).flat_map(|n| [voice(n), camera(n)]).collect();
        let changes = plan(&[], &wanted);
        assert_eq!(changes.len(), OWN_SECTIONS_MAX);
        let voices = changes.iter().filter(
            |change| matches!(change, Change::Add(shown) if shown.kind == MediaKind::Audio),
        );
        assert_eq!(voices.count(), 40);
    }

    #[test]
    fn own_sections_are_named_and_the_clients_go_one_way() {
        let sdp = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=sendrecv\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendrecv\r\na=msid:x y\r\na=ssrc:1 cname:c\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:own\r\na=sendonly\r\na=msid:h1 h1\r\na=ssrc:2 cname:c\r\na=ssrc:2 msid:h1 h1\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:idle\r\na=inactive\r\na=msid:h2 h2\r\n";
        let own = [
            ("own".to_owned(), Some((who(7), MediaSource::Microphone))),
            ("idle".to_owned(), None),
        ]
        .into();
        let expect = format!(
            "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=sendrecv\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=recvonly\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:own\r\na=sendonly\r\na=msid:{} microphone\r\na=ssrc:2 cname:c\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:idle\r\na=inactive\r\n",
            who(7)
        );
        assert_eq!(described(sdp, &own), expect);
    }
}
