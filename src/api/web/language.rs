//! The texts of the few pages that are made here for people with scripts, too, in the first of
//! their browser's languages that there is. The bundle has its own (`web/src/text`).

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use std::convert::Infallible;

/// What these pages say.
pub(super) struct Texts {
    /// As `lang` names it.
    pub code: &'static str,
    pub your_meetings: &'static str,
    pub opens_once: &'static str,
    pub open: &'static str,
    pub used: &'static str,
    pub ask_anew: &'static str,
    pub welcome: &'static str,
    pub what_it_is: &'static str,
    pub invited: &'static str,
    pub hosting: &'static str,
    pub once_signed_in: &'static str,
    pub building: &'static str,
    pub interface: &'static str,
    pub as_document: &'static str,
    /// Of a page that cannot be shown, title and text.
    pub signed_out: (&'static str, &'static str),
    pub not_yours: (&'static str, &'static str),
    pub not_found: (&'static str, &'static str),
    pub not_now: (&'static str, &'static str),
    pub failed: (&'static str, &'static str),
}

pub(super) const ENGLISH: Texts = Texts {
    code: "en",
    your_meetings: "Your meetings",
    opens_once: "This link opens them in this browser, once.",
    open: "Open my meetings",
    used: "This link was used or has expired",
    ask_anew: "Ask your application for a new one.",
    welcome: "Welcome",
    what_it_is: "This server records meetings and transcribes them live, and keeps nothing of anybody who has not agreed.",
    invited: "You were invited to a meeting? Open the link that you were sent.",
    hosting: "You host meetings?",
    once_signed_in: "once your application has signed you in.",
    building: "You build on it?",
    interface: "The interface",
    as_document: "also as",
    signed_out: (
        "Not signed in",
        "Your session has ended. Open a new link from your application.",
    ),
    not_yours: ("Not yours", "This is not one of your meetings."),
    not_found: ("Not found", "There is no such page."),
    not_now: ("Not possible now", "Try again in a moment."),
    failed: ("Something went wrong", "It was written to the log."),
};

const GERMAN: Texts = Texts {
    code: "de",
    your_meetings: "Deine Besprechungen",
    opens_once: "Dieser Link öffnet sie in diesem Browser, ein Mal.",
    open: "Meine Besprechungen öffnen",
    used: "Dieser Link wurde benutzt oder ist abgelaufen",
    ask_anew: "Hole dir in deiner Anwendung einen neuen.",
    welcome: "Willkommen",
    what_it_is: "Dieser Server nimmt Besprechungen auf und schreibt sie mit, und bewahrt nichts von denen auf, die nicht zugestimmt haben.",
    invited: "Du wurdest zu einer Besprechung eingeladen? Öffne den Link, den du bekommen hast.",
    hosting: "Du leitest Besprechungen?",
    once_signed_in: "sobald deine Anwendung dich angemeldet hat.",
    building: "Du baust darauf auf?",
    interface: "Die Schnittstelle",
    as_document: "auch als",
    signed_out: (
        "Nicht angemeldet",
        "Deine Sitzung ist abgelaufen. Öffne einen neuen Link aus deiner Anwendung.",
    ),
    not_yours: ("Nicht deine", "Das ist keine von deinen Besprechungen."),
    not_found: ("Nicht gefunden", "Diese Seite gibt es nicht."),
    not_now: ("Gerade nicht möglich", "Versuche es gleich noch einmal."),
    failed: (
        "Etwas ist schiefgegangen",
        "Es steht im Protokoll des Servers.",
    ),
};

/// The texts for whoever asks.
pub(super) struct Language(pub &'static Texts);

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let wanted = parts.headers.get(header::ACCEPT_LANGUAGE);
        let wanted = wanted.and_then(|wanted| wanted.to_str().ok());
        Ok(Self(preferred(wanted.unwrap_or_default())))
    }
}

/// Of a header `Accept-Language` (RFC 9110, 12.5.4).
fn preferred(wanted: &str) -> &'static Texts {
    let known = wanted.split(',').filter_map(|range| {
        let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = parameter.trim().strip_prefix("q=")?.parse().ok()?;
        let language = tag.trim().split('-').next()?;
        let texts = [&ENGLISH, &GERMAN]
            .into_iter()
            .find(|texts| language.eq_ignore_ascii_case(texts.code))?;
        (weight > 0.0).then_some((weight, texts))
    });
    // Of the same weight the first.
    let best = known.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(&ENGLISH, |(_, texts)| texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_language_of_the_highest_weight_counts() {
        for (wanted, code) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fr-FR, DE;q=0.7, en;q=0.3", "de"),
            ("en-GB,de", "en"),
            ("de;q=0.2, en;q=0.9", "en"),
            ("de;q=0", "en"),
            ("de;q=x, *", "en"),
            ("fr", "en"),
        ] {
            assert_eq!(preferred(wanted).code, code, "{wanted}");
        }
    }
}
