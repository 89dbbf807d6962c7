//! Captions as a client sees them, and what the contract says of their order.

use super::signal::Event;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

/// One `transcript_update`.
#[derive(Clone, Debug)]
pub struct Caption {
    pub received: Instant,
    pub participant_id: String,
    /// As the server names the speaker.
    pub speaker: String,
    pub segment_id: String,
    pub revision: i64,
    /// The last of its segment; otherwise a partial.
    pub last: bool,
    /// MeetingTime.
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    /// How many UTF-16 units of a partial's text will stay.
    pub stable_chars: usize,
    pub words: Vec<Word>,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    pub text: String,
    /// MeetingTime.
    pub start_ms: i64,
    pub end_ms: i64,
    #[serde(default)]
    pub confidence: Option<f64>,
}

/// One `transcript_retracted`.
#[derive(Clone, PartialEq, Debug)]
pub struct Retracted {
    pub received: Instant,
    pub segment_id: String,
    /// `empty`, `withdrawn` or `lost`.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    segment_id: String,
    revision: i64,
    r#final: bool,
    participant: Participant,
    start_ms: i64,
    end_ms: i64,
    text: String,
    #[serde(default)]
    stable_chars: Option<usize>,
    #[serde(default)]
    words: Option<Vec<Word>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Participant {
    id: String,
    display_name: String,
}

impl Caption {
    /// `None` when the event is no caption, or not shaped as the contract says.
    pub fn of(event: &Event) -> Option<Self> {
        if event.kind() != "transcript_update" {
            return None;
        }
        let update = Update::deserialize(event.data()).ok()?;
        Some(Self {
            received: event.received,
            participant_id: update.participant.id,
            speaker: update.participant.display_name,
            segment_id: update.segment_id,
            revision: update.revision,
            last: update.r#final,
            start_ms: update.start_ms,
            end_ms: update.end_ms,
            text: update.text,
            stable_chars: update.stable_chars.unwrap_or(0),
            words: update.words.unwrap_or_default(),
        })
    }

    /// The text that the server promised to keep, in UTF-16 units.
    pub fn stable(&self) -> Vec<u16> {
        self.text.encode_utf16().take(self.stable_chars).collect()
    }
}

impl Retracted {
    pub fn of(event: &Event) -> Option<Self> {
        if event.kind() != "transcript_retracted" {
            return None;
        }
        let data = event.data();
        Some(Self {
            received: event.received,
            segment_id: data["segmentId"].as_str()?.into(),
            reason: data["reason"].as_str().unwrap_or_default().into(),
        })
    }
}

/// Each way in which what one socket of a meeting received is not what the contract promises.
/// `whole`: the meeting ended while the socket was there, so that every segment must have ended,
/// too.
pub fn violations(events: &[Event], whole: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seq: Option<i64> = None;
    let mut segments: BTreeMap<String, Segment> = BTreeMap::new();
    for event in events {
        if let Some(number) = event.seq()
            && event.kind() != "joined"
        {
            if let Some(before) = seq.filter(|before| number != before + 1) {
                wrong.push(format!(
                    "durable event {number} ({}) after {before}",
                    event.kind()
                ));
            }
            seq = Some(number);
        }
        match event.kind() {
            "transcript_update" => match Caption::of(event) {
                Some(caption) => {
                    if caption.last != event.seq().is_some() {
                        wrong.push(format!(
                            "segment {}: a final has a seq, a partial none",
                            caption.segment_id
                        ));
                    }
                    segments
                        .entry(caption.segment_id.clone())
                        .or_default()
                        .update(&caption, &mut wrong);
                }
                None => wrong.push(format!(
                    "a transcript_update without its fields: {}",
                    event.data()
                )),
            },
            "transcript_retracted" => match Retracted::of(event) {
                Some(retracted) => {
                    let segment = segments.entry(retracted.segment_id.clone()).or_default();
                    if std::mem::replace(&mut segment.ended, true) {
                        wrong.push(format!(
                            "segment {} was retracted after its end",
                            retracted.segment_id
                        ));
                    }
                }
                None => wrong.push(format!(
                    "a transcript_retracted without its fields: {}",
                    event.data()
                )),
            },
            "not_json" => wrong.push("a message that is not JSON".into()),
            _ => {}
        }
    }
    if whole {
        let open = segments.iter().filter(|(_, segment)| !segment.ended);
        wrong.extend(
            open.map(|(id, _)| format!("segment {id} has neither a final nor a retraction")),
        );
    }
    wrong
}

/// How many finals do not begin with the stable part of the partial before them.
pub fn restated(captions: &[Caption]) -> usize {
    let mut stable: HashMap<&str, Vec<u16>> = HashMap::new();
    let mut count = 0;
    for caption in captions {
        if !caption.last {
            stable.insert(&caption.segment_id, caption.stable());
        } else if let Some(stable) = stable.get(caption.segment_id.as_str()) {
            count += usize::from(
                !caption
                    .text
                    .encode_utf16()
                    .collect::<Vec<_>>()
                    .starts_with(stable),
            );
        }
    }
    count
}

#[derive(Default)]
struct Segment {
    revision: Option<i64>,
    stable: Vec<u16>,
    ended: bool,
}

impl Segment {
    fn update(&mut self, caption: &Caption, wrong: &mut Vec<String>) {
        let id = &caption.segment_id;
        if self.ended {
            wrong.push(format!(
                "segment {id}: revision {} after its end",
                caption.revision
            ));
        }
        if self
            .revision
            .is_some_and(|before| caption.revision <= before)
        {
            wrong.push(format!(
                "segment {id}: revision {} after {:?}",
                caption.revision, self.revision
            ));
        }
        self.revision = Some(caption.revision);
        if caption.last {
            self.ended = true;
            if caption.words.is_empty() || caption.text.trim().is_empty() {
                wrong.push(format!("segment {id}: a final without words"));
            }
            return;
        }
        let text: Vec<u16> = caption.text.encode_utf16().collect();
        let stable = caption.stable();
        if caption.stable_chars > text.len() || !stable.starts_with(&self.stable) {
            wrong.push(format!(
                "segment {id}: the stable prefix changed in revision {}",
                caption.revision
            ));
        }
        self.stable = stable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn update(segment: &str, revision: i64, text: &str, stable: usize, seq: Option<i64>) -> Event {
        let words = json!([{"text": text, "startMs": 0, "endMs": 1, "confidence": 0.5}]);
        Event {
            received: Instant::now(),
            value: json!({"type": "transcript_update", "seq": seq, "data": {
                "segmentId": segment, "revision": revision, "final": seq.is_some(),
                "participant": {"id": "p", "displayName": "Ana"}, "startMs": 0, "endMs": 1,
                "text": text, "stableChars": stable, "words": words,
            }}),
        }
    }

    #[test]
    fn what_the_contract_forbids_is_found() {
        let fine = [
            update("a", 1, "so the", 2, None),
            update("b", 1, "ja", 0, None),
            update("a", 2, "so they go", 7, None),
            update("a", 3, "So they go.", 0, Some(4)),
            Event {
                received: Instant::now(),
                value: json!({"type": "transcript_retracted", "seq": 5, "data": {"segmentId": "b", "reason": "empty"}}),
            },
        ];
        assert_eq!(violations(&fine, true), [] as [&str; 0]);
        let captions: Vec<Caption> = fine.iter().filter_map(Caption::of).collect();
        assert_eq!((captions.len(), restated(&captions)), (4, 1));
        for (events, count) in [
            (
                vec![
                    update("a", 1, "x", 0, Some(1)),
                    update("a", 2, "x", 0, None),
                ],
                1,
            ),
            (
                vec![
                    update("a", 2, "x", 0, None),
                    update("a", 2, "x", 0, Some(1)),
                ],
                1,
            ),
            (
                vec![
                    update("a", 1, "x", 0, Some(1)),
                    update("b", 1, "x", 0, Some(3)),
                ],
                1,
            ),
            (
                vec![
                    update("a", 1, "so the", 6, None),
                    update("a", 2, "so they", 2, None),
                ],
                1,
            ),
            (
                vec![
                    update("a", 1, "so the", 6, None),
                    update("a", 2, "to them", 7, None),
                ],
                1,
            ),
            (vec![update("a", 1, "x", 2, None)], 1),
            (vec![update("a", 1, "", 0, Some(1))], 1),
        ] {
            assert_eq!(
                violations(&events, false).len(),
                count,
                "{events:?}: {:?}",
                violations(&events, false)
            );
        }
        assert_eq!(violations(&[update("a", 1, "x", 0, None)], true).len(), 1);
    }
}
