//! The prompt that goes before the audio, in tokens: `set_initial_prompt` leaks, so they are made
//! here.

use whisper_rs::WhisperContext;

/// Tokens of the glossary that a prompt may have.
const GLOSSARY_TOKENS_MAX: usize = 40;
/// And of what the speaker said before.
const CONTEXT_TOKENS_MAX: usize = 60;

/// The glossary's first tokens: its words are in the order of their weight.
pub fn glossary_tokens(context: &WhisperContext, glossary: Option<&str>) -> Vec<i32> {
    let mut tokens = tokenize(context, glossary);
    tokens.truncate(GLOSSARY_TOKENS_MAX);
    tokens
}

/// The last tokens of what was said before: the nearest words are worth most.
pub fn context_tokens(context: &WhisperContext, before: Option<&str>) -> Vec<i32> {
    let tokens = tokenize(context, before);
    tokens[tokens.len().saturating_sub(CONTEXT_TOKENS_MAX)..].to_vec()
}

fn tokenize(context: &WhisperContext, text: Option<&str>) -> Vec<i32> {
    let Some(text) = text.filter(|text| !text.trim().is_empty() && !text.contains('\0')) else {
        return Vec::new();
    };
    context
        .tokenize(&format!(" {}", text.trim()), 1_024)
        .unwrap_or_default()
}
