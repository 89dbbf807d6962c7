//! The durable events of a meeting: each with its wire name and its data. What is stored, published
//! and shown to clients is made from [`Event`] alone.

use crate::{
    consent::{ConsentStatus, ConsentType, Use},
    correction::TextSource,
    id::{ConsentId, MeetingId, ParticipantId, RecordingId, SegmentId},
    participant::Person,
    recording_state::{RecordingState, State, StateReason},
    transcript::{RetractionReason, Word},
    wire_time::{as_wire_time, wire_time_or_null},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The envelope's `type` of a durable event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    ConsentUpdated,
    RecordingState,
    TranscriptUpdate,
    TranscriptCorrected,
    TranscriptTranslated,
    TranscriptRetracted,
    ContentDeleted,
}

impl EventKind {
    pub const ALL: [Self; 10] = [
        Self::ParticipantJoined,
        Self::ParticipantLeft,
        Self::ParticipantUpdated,
        Self::ConsentUpdated,
        Self::RecordingState,
        Self::TranscriptUpdate,
        Self::TranscriptCorrected,
        Self::TranscriptTranslated,
        Self::TranscriptRetracted,
        Self::ContentDeleted,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParticipantJoined => "participant_joined",
            Self::ParticipantLeft => "participant_left",
            Self::ParticipantUpdated => "participant_updated",
            Self::ConsentUpdated => "consent_updated",
            Self::RecordingState => "recording_state",
            Self::TranscriptUpdate => "transcript_update",
            Self::TranscriptCorrected => "transcript_corrected",
            Self::TranscriptTranslated => "transcript_translated",
            Self::TranscriptRetracted => "transcript_retracted",
            Self::ContentDeleted => "content_deleted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A durable event of a meeting.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    ParticipantJoined(Person),
    ParticipantLeft(Person),
    /// Its consent, its streams or its removal changed.
    ParticipantUpdated(Person),
    ConsentUpdated(Consent),
    RecordingState(RecordingReport),
    /// The final of a segment. Its partials are the same object, and not durable.
    TranscriptUpdate(Caption),
    /// A final has a new version.
    TranscriptCorrected(Correction),
    /// What a final says in another language.
    TranscriptTranslated(Translation),
    TranscriptRetracted(Retraction),
    /// Somebody deleted something of the meeting.
    ContentDeleted(Deleted),
}

impl Event {
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::ParticipantJoined(_) => EventKind::ParticipantJoined,
            Self::ParticipantLeft(_) => EventKind::ParticipantLeft,
            Self::ParticipantUpdated(_) => EventKind::ParticipantUpdated,
            Self::ConsentUpdated(_) => EventKind::ConsentUpdated,
            Self::RecordingState(_) => EventKind::RecordingState,
            Self::TranscriptUpdate(_) => EventKind::TranscriptUpdate,
            Self::TranscriptCorrected(_) => EventKind::TranscriptCorrected,
            Self::TranscriptTranslated(_) => EventKind::TranscriptTranslated,
            Self::TranscriptRetracted(_) => EventKind::TranscriptRetracted,
            Self::ContentDeleted(_) => EventKind::ContentDeleted,
        }
    }

    /// The envelope's `data`.
    pub fn data(&self) -> Value {
        match self {
            Self::ParticipantJoined(person)
            | Self::ParticipantLeft(person)
            | Self::ParticipantUpdated(person) => data(person),
            Self::ConsentUpdated(consent) => data(consent),
            Self::RecordingState(recording) => data(recording),
            Self::TranscriptUpdate(caption) => data(caption),
            Self::TranscriptCorrected(correction) => data(correction),
            Self::TranscriptTranslated(translation) => data(translation),
            Self::TranscriptRetracted(retraction) => data(retraction),
            Self::ContentDeleted(deleted) => data(deleted),
        }
    }
}

/// Any of the structs below as the envelope's `data`.
pub fn data(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("structs with names as keys always serialise")
}

/// The data of `consent_updated`. The statement is for those who may read the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    pub id: ConsentId,
    pub meeting_id: MeetingId,
    pub participant_id: ParticipantId,
    pub consent_type: ConsentType,
    pub purposes: Vec<Use>,
    pub status: ConsentStatus,
    pub accepted: bool,
    #[serde(serialize_with = "as_wire_time")]
    pub timestamp: DateTime<Utc>,
    /// `None` while it acts and is not written yet.
    #[serde(flatten)]
    pub logged: Option<Logged>,
}

/// The place of an entry in the ConsentLog.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Logged {
    pub entry: i64,
    pub hash: String,
    pub prev_hash: String,
}

/// The data of `content_deleted`: what is gone from now on, whoever still has copies of it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    pub recordings: Vec<RecordingId>,
    pub transcript: bool,
    /// All of the meeting but its ConsentLog.
    pub meeting: bool,
}

/// The data of `recording_state`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecordingReport {
    pub state: RecordingState,
    /// Since when; null before the meeting began.
    #[serde(serialize_with = "wire_time_or_null")]
    pub since: Option<DateTime<Utc>>,
    pub transcribing: bool,
    /// Null while it is not.
    #[serde(serialize_with = "wire_time_or_null")]
    pub transcribing_since: Option<DateTime<Utc>>,
    /// What decodes the words; null where nobody does.
    pub model: Option<LiveModel>,
    pub reason: Option<StateReason>,
    /// Whose consent is awaited under policy `all`.
    pub waiting_for: Vec<ParticipantId>,
    /// Who agreed and is lost all the same, because it cannot be written.
    pub unrecorded: Vec<ParticipantId>,
    /// Of the worker that says it; 0: none does.
    pub epoch: i64,
}

/// A speech model, as far as it matters to who reads its words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveModel {
    #[cfg_attr(feature = "openapi", schema(example = "base.en"))]
    pub name: String,
    /// It is the small one that comes along, for demo and tests: of real voices it makes nonsense.
    pub bundled: bool,
}

impl RecordingReport {
    /// While the meeting runs at the worker of this epoch, which decodes words by this model.
    pub fn live(state: &State, epoch: i64, model: Option<LiveModel>) -> Self {
        Self {
            state: state.recording,
            since: None,
            transcribing: state.transcribing,
            transcribing_since: None,
            model,
            reason: state.reason(),
            waiting_for: state.waiting_for.clone(),
            unrecorded: state.unrecorded.clone(),
            epoch,
        }
    }

    /// While nothing is captured: before the worker's first word, and after the end.
    pub fn idle(state: RecordingState, reason: Option<StateReason>, epoch: i64) -> Self {
        Self {
            state,
            since: None,
            transcribing: false,
            transcribing_since: None,
            model: None,
            reason,
            waiting_for: Vec::new(),
            unrecorded: Vec::new(),
            epoch,
        }
    }

    /// As it is told at this instant, after `before`: what it says as that did, it says since then.
    pub fn told(mut self, before: Option<&ToldBefore>, at: DateTime<Utc>) -> Self {
        let same = before.filter(|before| before.data.state == self.state);
        self.since = same.map(ToldBefore::since).or(Some(at));
        self.transcribing_since = self.transcribing.then(|| {
            let same = before.filter(|before| before.data.transcribing);
            same.map_or(at, ToldBefore::transcribing_since)
        });
        self
    }

    /// The word that is kept for the gaps of finished files: paused for want of consent is a gap of
    /// its own, what could not be written is noted apart.
    pub fn kept_as(&self) -> &'static str {
        if self.reason == Some(StateReason::Disk) {
            "unwritten"
        } else {
            self.state.as_str()
        }
    }
}

/// The `recording_state` that was told last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToldBefore {
    data: DataBefore,
    at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataBefore {
    state: RecordingState,
    transcribing: bool,
    since: Option<DateTime<Utc>>,
    transcribing_since: Option<DateTime<Utc>>,
}

impl ToldBefore {
    /// `None`: this is no such event's data.
    pub fn read(data: &Value, at: DateTime<Utc>) -> Option<Self> {
        let data = DataBefore::deserialize(data).ok()?;
        Some(Self { data, at })
    }

    /// Versions that did not tell of since when are taken to have begun it.
    fn since(&self) -> DateTime<Utc> {
        self.data.since.unwrap_or(self.at)
    }

    fn transcribing_since(&self) -> DateTime<Utc> {
        self.data.transcribing_since.unwrap_or(self.at)
    }
}

/// The data of `transcript_update`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Caption {
    pub segment_id: SegmentId,
    pub revision: u32,
    #[serde(rename = "final")]
    pub is_final: bool,
    pub participant: Speaker,
    /// Since the start of the meeting.
    pub start_ms: i64,
    pub end_ms: i64,
    #[serde(serialize_with = "wire_time_or_null")]
    pub start_at: Option<DateTime<Utc>>,
    pub language: Option<String>,
    pub text: String,
    /// UTF-16 units of `text` that will not change: all of a final.
    pub stable_chars: usize,
    /// As [`words`] makes them.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<CaptionWord>))]
    pub words: Value,
}

/// The data of `transcript_corrected`: the whole segment as it is now.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    #[serde(flatten)]
    pub caption: Caption,
    pub source: TextSource,
    /// Who edited it: `api_key:<id>` or `user:<id>`.
    pub author: Option<String>,
}

/// The data of `transcript_translated`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Translation {
    pub segment_id: SegmentId,
    /// Of the segment that was translated.
    pub revision: u32,
    /// Of the translation.
    pub language: String,
    pub text: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    pub id: ParticipantId,
    pub display_name: Option<String>,
}

/// A word with its time, in milliseconds since the start of the meeting.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CaptionWord {
    pub text: String,
    pub start_ms: i64,
    pub end_ms: i64,
    /// 0 to 1.
    pub confidence: f64,
}

/// Words as captions and transcripts have them.
pub fn words(words: &[Word]) -> Value {
    let word = |word: &Word| {
        data(&CaptionWord {
            text: word.text.clone(),
            start_ms: word.span.start.as_ms(),
            end_ms: word.span.end.as_ms(),
            confidence: (f64::from(word.confidence) * 1000.0).round() / 1000.0,
        })
    };
    words.iter().map(word).collect()
}

/// The data of `transcript_retracted`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Retraction {
    pub segment_id: SegmentId,
    pub reason: RetractionReason,
}
