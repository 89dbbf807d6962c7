//! A meeting's settings and their defaults, for the API, the database and the running meeting
//! alike: consent hangs on them.

use crate::{consent::Use, retention::Retention, time::Micros, word::words};
use serde::{Deserialize, Serialize};

words! {
    /// What is recorded.
    pub enum RecordingMode("recording mode", schema "RecordingMode": "What is recorded.") {
        Off = "off",
        Audio = "audio",
        Video = "video",
    }
}

words! {
    /// What happens to those who agreed while somebody present has not.
    pub enum ConsentPolicy(
        "consent policy",
        schema "ConsentPolicy": "What happens while somebody present has not agreed."
    ) {
        /// Leave out those who have not agreed and go on.
        Exclude = "exclude",
        /// Pause each use for everybody while anyone present has not agreed to it.
        All = "all",
        /// Only who agreed to every use may be there.
        Required = "required",
    }
}

impl ConsentPolicy {
    /// Whether nobody is recorded or transcribed while anybody present has not agreed.
    pub const fn holds_everybody(self) -> bool {
        matches!(self, Self::All)
    }
}

/// A meeting's settings as its row keeps them. What a row leaves out has its default; a word that
/// is not known is an error and not a guess.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeetingSettings {
    /// Whether the meeting is transcribed.
    pub ai_enabled: bool,
    pub recording: RecordingMode,
    pub consent_policy: ConsentPolicy,
    /// What Whisper is told; `None`: it finds out.
    pub language: Option<String>,
    /// What it finds out among, where `language` is `None`; empty: all that its model knows.
    pub languages: Vec<String>,
    /// Into what finals are translated, too; `en` is all that Whisper can.
    pub translate_to: Option<String>,
    /// Words that Whisper is told to expect.
    pub glossary: Vec<String>,
    /// The model that transcribes it once more after the end; `None`: it stays as it was heard
    /// live.
    pub refine_model: Option<String>,
    /// The meeting ends this long after nobody is present.
    pub end_when_empty_seconds: u32,
    /// How long what was recorded of it is kept; `None`: as its tenant says.
    pub retention_days: Option<Retention>,
}

impl Default for MeetingSettings {
    fn default() -> Self {
        Self {
            ai_enabled: true,
            recording: RecordingMode::Audio,
            consent_policy: ConsentPolicy::Exclude,
            language: None,
            languages: Vec::new(),
            translate_to: None,
            glossary: Vec::new(),
            refine_model: None,
            end_when_empty_seconds: 300,
            retention_days: None,
        }
    }
}

impl MeetingSettings {
    /// The uses that this meeting makes of media, in the order recording, transcription.
    pub fn uses(&self) -> Vec<Use> {
        let recording = (self.recording != RecordingMode::Off).then_some(Use::Recording);
        recording
            .into_iter()
            .chain(self.ai_enabled.then_some(Use::Transcription))
            .collect()
    }

    /// Puts the tenant's glossary before the meeting's own. What both have stands once.
    pub fn expect_also(&mut self, tenants: Vec<String>) {
        let own = std::mem::replace(&mut self.glossary, tenants);
        for term in own {
            if !self.glossary.contains(&term) {
                self.glossary.push(term);
            }
        }
    }

    pub fn end_when_empty(&self) -> Micros {
        Micros::from_secs(self.end_when_empty_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: serde_json::Value) -> serde_json::Result<MeetingSettings> {
        MeetingSettings::deserialize(&row)
    }

    #[test]
    fn reads_uses_and_policy_and_refuses_what_it_does_not_know() {
        let settings = read(json!({
            "aiEnabled": false, "recording": "audio", "consentPolicy": "all", "language": "en",
            "endWhenEmptySeconds": 10
        }))
        .expect("parses");
        assert_eq!(settings.uses(), [Use::Recording]);
        assert_eq!(settings.consent_policy, ConsentPolicy::All);
        assert_eq!(settings.end_when_empty(), Micros::from_secs(10));
        assert_eq!(settings.language.as_deref(), Some("en"));
        let settings = read(json!({"recording": "off"})).expect("parses");
        assert_eq!(settings.uses(), [Use::Transcription]);
        assert!(read(json!({"consentPolicy": "whatever"})).is_err());
        assert!(read(json!({"recording": "everything"})).is_err());
    }

    #[test]
    fn the_tenants_glossary_comes_before_the_meetings() {
        let terms = |terms: &[&str]| terms.iter().map(|term| (*term).to_owned()).collect();
        let mut settings = MeetingSettings {
            glossary: terms(&["Hansard", "Ana"]),
            ..MeetingSettings::default()
        };
        settings.expect_also(terms(&["Erskine May", "Hansard"]));
        assert_eq!(settings.glossary, ["Erskine May", "Hansard", "Ana"]);
        settings.expect_also(Vec::new());
        assert_eq!(settings.glossary, ["Erskine May", "Hansard", "Ana"]);
    }

    #[test]
    fn what_is_left_out_has_the_contracts_default() {
        let written =
            serde_json::to_value(MeetingSettings::default()).expect("strings and numbers");
        assert_eq!(
            written,
            json!({
                "aiEnabled": true, "recording": "audio", "consentPolicy": "exclude",
                "language": null, "languages": [], "translateTo": null, "glossary": [],
                "refineModel": null, "endWhenEmptySeconds": 300, "retentionDays": null
            })
        );
        assert_eq!(read(json!({})).ok(), Some(MeetingSettings::default()));
        assert_eq!(read(written).ok(), Some(MeetingSettings::default()));
        assert_eq!(MeetingSettings::default().uses(), Use::ALL);
    }
}
