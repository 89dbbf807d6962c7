//! What voice and words say about an utterance: where it really is, and whether it sounds finished.

use crate::domain::{
    endpoint::Hint,
    time::Span,
    transcript::{Hypothesis, Word},
};

/// From the first voice to the last.
pub fn hull(voiced: &[Span], within: Span) -> Span {
    match (voiced.first(), voiced.last()) {
        (Some(first), Some(last)) => {
            Span::new(first.start.max(within.start), last.end.min(within.end))
        }
        _ => within,
    }
}

/// From the utterance's beginning to the end of its last word.
pub fn words_span(words: &[Word], whole: Span) -> Span {
    Span::new(
        whole.start,
        words.last().map_or(whole.end, |word| word.span.end),
    )
}

/// What the words so far sound like: a sentence that ended, or one that goes on.
pub fn hint(hypothesis: &Hypothesis, voiced: &[Span]) -> Option<Hint> {
    const GOES_ON: [&str; 14] = [
        "and", "but", "or", "so", "because", "the", "a", "an", "to", "of", "for", "with", "that",
        "if",
    ];
    let last = hypothesis.words.last()?;
    let bare = last
        .text
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase();
    let voiced: i64 = voiced.iter().map(|span| span.length().0).sum();
    if last
        .text
        .ends_with(['.', '?', '!', '。', '？', '！', '।', '؟'])
    {
        (last.confidence > 0.5).then_some(Hint::Complete)
    } else if last.text.ends_with([',', '、', '，', ';', ':', '-', '…'])
        || GOES_ON.contains(&bare.as_str())
    {
        Some(Hint::Open)
    } else {
        (voiced < 2_000_000).then_some(Hint::Open)
    }
}
