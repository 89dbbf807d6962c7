//! The prompt that goes before the audio, in tokens: `set_initial_prompt` leaks, so they are made
//! here.

use whisper_rs::WhisperContext;

/// Tokens of the glossary that a prompt may have.
const GLOSSARY_TOKENS_MAX: usize = 40;
/// And of what the speaker said before.
const CONTEXT_TOKENS_MAX: usize = 60;

/// What goes before the audio: the first tokens of the glossary, whose words are in the order of
/// their weight, then the last ones of what was said before, of which the nearest words are worth
/// most.
pub fn prompt(context: &WhisperContext, glossary: Option<&str>, before: Option<&str>) -> Vec<i32> {
    let mut prompt = tokenize(context, glossary);
    prompt.truncate(GLOSSARY_TOKENS_MAX);
    let before = tokenize(context, before);
    prompt.extend_from_slice(&before[before.len().saturating_sub(CONTEXT_TOKENS_MAX)..]);
    prompt
}

fn tokenize(context: &WhisperContext, text: Option<&str>) -> Vec<i32> {
    let Some(text) = text.filter(|text| !text.trim().is_empty() && !text.contains('\0')) else {
        return Vec::new();
    };
    context
        .tokenize(&format!(" {}", text.trim()), 1_024)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use whisper_rs::WhisperContextParameters;

    #[test]
    fn a_prompt_is_the_glossarys_beginning_and_the_end_of_what_was_said() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let context = WhisperContext::new_with_params(
            models.join("ggml-hansard-test-en-q8_0.bin"),
            WhisperContextParameters::default(),
        )
        .expect("the bundled model");
        let tokens = |text: &str| tokenize(&context, Some(text));
        let both = prompt(&context, Some("Hansard, Erskine May."), Some("We begin."));
        assert_eq!(
            both,
            [tokens("Hansard, Erskine May."), tokens("We begin.")].concat()
        );
        assert!(prompt(&context, None, Some(" ")).is_empty());
        assert!(
            prompt(&context, Some("a\0b"), None).is_empty(),
            "no text of ours"
        );

        let names: Vec<String> = (1..=99).map(|n| format!("Name{n},")).collect();
        let said: Vec<String> = (1..=99).map(|n| format!("word{n}")).collect();
        let (glossary, before) = (names.join(" "), said.join(" "));
        let long = prompt(&context, Some(&glossary), Some(&before));
        let (first, last) = long.split_at(GLOSSARY_TOKENS_MAX);
        assert_eq!(last.len(), CONTEXT_TOKENS_MAX);
        assert!(tokens(&glossary).starts_with(first));
        assert!(tokens(&before).ends_with(last));
    }
}
