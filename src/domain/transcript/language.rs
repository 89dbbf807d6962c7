//! Which language an utterance is decoded in.
//!
//! A multilingual decoder tells with each pass what the audio sounds like. An utterance begins in
//! what its speaker spoke last, takes the language that its own partials sounded like, and is
//! decoded again only where the sound clearly disagrees. A change of language is followed; a short
//! word is no evidence of one.

use crate::time::Micros;

/// From this probability on an utterance has a language of its own.
pub const LIKELY: f32 = 0.5;
/// From this on, a pass in another language is done again in this one.
pub const SURE: f32 = 0.8;
/// Less voice than this says too little to change a speaker's language.
pub const SHORT: Micros = Micros::from_secs(1);
/// Mean log probability above which a pass in the speaker's last language is believed although the
/// sound could be of several.
pub const FITS: f32 = -1.0;
/// No-speech probability from which on most likely nobody spoke.
const NOBODY: f32 = 0.5;
/// The most languages that a meeting may name.
pub const LANGUAGES_MAX: usize = 8;

/// What audio sounds like: ISO 639-1, and the probability among the languages that it may be.
pub type Sounds = (String, f32);

/// The likeliest of the languages that a meeting allows (all, where it names none), from their
/// probabilities among all languages.
pub fn sounds_like<'a>(
    all: impl IntoIterator<Item = (&'a str, f32)>,
    among: &[String],
) -> Option<Sounds> {
    let mut whole = 0.0;
    let mut best: Option<(&str, f32)> = None;
    for (language, p) in all {
        if !among.is_empty() && among.iter().all(|one| one != language) {
            continue;
        }
        whole += p;
        if best.is_none_or(|(_, most)| p > most) {
            best = Some((language, p));
        }
    }
    let (language, p) = best?;
    Some((
        language.to_owned(),
        if whole > 0.0 { p / whole } else { 0.0 },
    ))
}

/// The language that a pass should have been in, where it is worth another pass. `known`: that the
/// language used is the speaker's, and not a first guess. Text that fits badly is only worth
/// another language where somebody spoke: music is of none, and is decoded to anything.
pub fn instead<'a>(
    used: &str,
    sounds: Option<&'a Sounds>,
    known: bool,
    voiced: Micros,
    (log_prob, no_speech): (f32, f32),
) -> Option<&'a str> {
    let (language, p) = sounds?;
    let other = language != used;
    let misfit = log_prob <= FITS && no_speech < NOBODY;
    let worth = match known {
        false => *p >= LIKELY || misfit,
        true if voiced < SHORT => false,
        true => *p >= SURE || misfit,
    };
    (other && worth).then_some(language.as_str())
}

/// Whether a text that may still change may be shown: not while its language is in doubt.
pub fn is_settled(used: &str, sounds: Option<&Sounds>) -> bool {
    sounds.is_none_or(|(language, p)| language == used && *p >= LIKELY)
}

/// The language that an utterance shows itself to be in, given its speaker's last.
pub fn evident<'a>(
    sounds: Option<&'a Sounds>,
    last: Option<&str>,
    voiced: Micros,
) -> Option<&'a str> {
    let (language, p) = sounds?;
    let enough = changes(last, voiced) || last == Some(language);
    (*p >= LIKELY && enough).then_some(language.as_str())
}

/// Whether an utterance of so much voice says what its speaker speaks, given their last.
pub fn changes(last: Option<&str>, voiced: Micros) -> bool {
    voiced >= SHORT || last.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds(language: &str, p: f32) -> Option<Sounds> {
        Some((language.to_owned(), p))
    }

    const LONG: Micros = Micros::from_secs(3);
    const WORD: Micros = Micros::from_ms(400);

    #[test]
    fn the_likeliest_is_taken_among_those_that_may_be() {
        let all = [("en", 0.3), ("de", 0.1), ("nl", 0.5)];
        assert_eq!(sounds_like(all, &[]), sounds("nl", 0.5 / 0.9));
        let among = ["de".to_owned(), "en".to_owned()];
        let (language, p) = sounds_like(all, &among).expect("some");
        assert_eq!(language, "en");
        assert!((p - 0.75).abs() < 1e-6);
        assert_eq!(sounds_like([("en", 1.0)], &["fr".to_owned()]), None);
    }

    #[test]
    fn another_pass_only_for_a_sure_change_and_never_for_a_short_word() {
        let heard = |p, known, voiced, text| {
            instead("en", sounds("de", p).as_ref(), known, voiced, text).is_some()
        };
        let of = |p, known, voiced, log_prob| heard(p, known, voiced, (log_prob, 0.1));
        assert!(of(0.9, true, LONG, -0.2));
        assert!(!of(0.6, true, LONG, -0.2), "the speaker's last fits");
        assert!(of(0.4, true, LONG, -1.3), "it does not fit");
        assert!(!heard(0.4, true, LONG, (-1.3, 0.6)), "nobody spoke");
        assert!(!heard(0.2, false, LONG, (-1.1, 0.6)), "nobody spoke");
        assert!(!of(0.99, true, WORD, -1.3));
        assert!(of(0.6, false, WORD, -0.2), "nothing is known yet");
        assert_eq!(
            instead("de", sounds("de", 0.9).as_ref(), true, LONG, (-2.0, 0.1)),
            None
        );
        assert_eq!(instead("en", None, false, LONG, (-2.0, 0.1)), None);
    }

    #[test]
    fn nothing_is_shown_in_a_doubtful_language_and_a_change_is_followed() {
        assert!(is_settled("en", None));
        assert!(is_settled("en", sounds("en", 0.7).as_ref()));
        assert!(!is_settled("en", sounds("en", 0.4).as_ref()));
        assert!(!is_settled("en", sounds("de", 0.9).as_ref()));
        let de = sounds("de", 0.9);
        assert_eq!(evident(de.as_ref(), Some("en"), LONG), Some("de"));
        assert_eq!(evident(de.as_ref(), Some("en"), WORD), None);
        assert_eq!(evident(de.as_ref(), None, WORD), Some("de"));
        assert_eq!(evident(sounds("de", 0.4).as_ref(), None, LONG), None);
    }
}
