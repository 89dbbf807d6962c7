//! A meeting's stored `settings`, as the live loop needs them.

use crate::domain::{
    consent::Use,
    meeting::{ConsentPolicy, Settings},
    time::Micros,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stored {
    ai_enabled: bool,
    recording: String,
    consent_policy: ConsentPolicy,
    language: Option<String>,
    glossary: Vec<String>,
    end_when_empty_seconds: i64,
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            ai_enabled: true,
            recording: "audio".into(),
            consent_policy: ConsentPolicy::Exclude,
            language: None,
            glossary: Vec::new(),
            end_when_empty_seconds: 300,
        }
    }
}

/// What decoding speech must know.
#[derive(Clone, Debug)]
pub struct Speaking {
    pub language: Option<String>,
    pub glossary: Vec<String>,
}

/// Reads the column. What the API stored always parses; anything else is an error rather than a
/// guess about consent.
pub fn read(stored: &Value) -> serde_json::Result<(Settings, Speaking)> {
    let stored = Stored::deserialize(stored)?;
    let uses = [
        (Use::Recording, stored.recording != "off"),
        (Use::Transcription, stored.ai_enabled),
    ];
    let settings = Settings {
        uses: uses
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(purpose, _)| purpose)
            .collect(),
        policy: stored.consent_policy,
        end_when_empty: Micros::from_secs(stored.end_when_empty_seconds),
    };
    Ok((
        settings,
        Speaking {
            language: stored.language,
            glossary: stored.glossary,
        },
    ))
}

/// The same for a job that decodes what was recorded.
pub fn spoken(stored: &Value) -> serde_json::Result<(Settings, Option<String>, Vec<String>)> {
    let (settings, Speaking { language, glossary }) = read(stored)?;
    Ok((settings, language, glossary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_uses_and_policy_and_refuses_what_it_does_not_know() {
        let (settings, speaking) = read(&json!({
            "aiEnabled": false, "recording": "audio", "consentPolicy": "all", "language": "en", "endWhenEmptySeconds": 10
        }))
        .expect("parses");
        assert_eq!(settings.uses, [Use::Recording]);
        assert_eq!(settings.policy, ConsentPolicy::All);
        assert_eq!(settings.end_when_empty, Micros::from_secs(10));
        assert_eq!(speaking.language.as_deref(), Some("en"));
        let (settings, _) = read(&json!({"recording": "off"})).expect("parses");
        assert_eq!(settings.uses, [Use::Transcription]);
        assert!(read(&json!({"consentPolicy": "whatever"})).is_err());
    }
}
