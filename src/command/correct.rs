//! Correcting finals: edits of people and refinements of jobs.

use crate::{
    domain::{
        correction::{
            Refusal, Replacing, TextSource, VERSIONS_MAX, decide, place_anew, words_from,
        },
        event::words,
        id::{MeetingId, SegmentId},
        time::{MeetingTime, Span},
        transcript::Word,
    },
    store::{
        Result, StoreError,
        correction::{self, Locked, NewVersion},
        effect::Effects,
        event,
    },
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What a segment shall say.
#[derive(Clone, Debug)]
pub struct Correction {
    pub segment: SegmentId,
    /// The revision that it was made from.
    pub base: i32,
    /// One line ([`crate::domain::correction::line`]).
    pub text: String,
    /// With their times, which must lie within the segment; `None`: placed anew over its span.
    pub words: Option<Vec<Word>>,
    /// `None`: as it was.
    pub language: Option<String>,
}

/// What became of one correction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is this revision.
    Corrected(i32),
    /// The newest version, of this revision, says so already.
    Unchanged(i32),
    Refused(Refusal),
    /// There is no final of this id: it is not final yet, or was withdrawn.
    Missing,
}

/// Corrects finals, each for itself: what is refused is left as it is, and its outcome says why.
/// The outcomes are in the order of the corrections. Whoever wants all or none looks at them and
/// rolls back.
///
/// # Errors
/// [`StoreError::TooMany`] when a segment has [`VERSIONS_MAX`] versions.
pub async fn correct(
    conn: &mut PgConnection,
    meeting: MeetingId,
    source: TextSource,
    author: Option<&str>,
    corrections: Vec<Correction>,
) -> Result<(Vec<Outcome>, Effects)> {
    event::lock(conn, meeting).await?;
    let ids: Vec<_> = corrections.iter().map(|it| it.segment.0).collect();
    let mut locked: BTreeMap<SegmentId, Locked> = correction::lock(conn, meeting, &ids)
        .await?
        .into_iter()
        .collect();
    let mut outcomes = Vec::with_capacity(corrections.len());
    let mut versions = Vec::new();
    for asked in corrections {
        // Each segment once: a second correction of it names a revision that is not stored yet.
        let Some(segment) = locked.remove(&asked.segment) else {
            outcomes.push(Outcome::Missing);
            continue;
        };
        let revision = segment.current.revision;
        outcomes.push(
            match decide(&segment.current, asked.base, source, author, &asked.text) {
                Ok(true) if segment.versions >= VERSIONS_MAX => {
                    return Err(StoreError::TooMany("versions of a segment"));
                }
                Ok(true) => {
                    versions.push(version(asked, &segment));
                    Outcome::Corrected(revision + 1)
                }
                Ok(false) => Outcome::Unchanged(revision),
                Err(refusal) => Outcome::Refused(refusal),
            },
        );
    }
    correction::add(conn, meeting, source, author, &versions).await?;
    let corrected: Vec<_> = versions.iter().map(|new| new.segment.0).collect();
    let events = event::append_corrected(conn, meeting, &corrected).await?;
    Ok((outcomes, events.into()))
}

fn version(asked: Correction, segment: &Locked) -> NewVersion {
    let span = Span::new(
        MeetingTime::from_ms(segment.start_ms),
        MeetingTime::from_ms(segment.end_ms),
    );
    let placed = asked
        .words
        .unwrap_or_else(|| place_anew(&asked.text, span, &words_from(&segment.words)));
    NewVersion {
        segment: asked.segment,
        text: asked.text,
        words: words(&placed),
        language: asked.language,
    }
}

/// What came of replacing.
#[derive(Clone, Debug)]
pub enum Replaced {
    /// Occurrences, and the segments that have a new revision, by time.
    Done(usize, Vec<(SegmentId, i32)>, Effects),
    /// More segments than one request may change; nothing is changed.
    TooMany(usize),
}

/// Replaces a text in all finals of a meeting, in one go: all of them or none. At most `max`
/// segments.
pub async fn replace(
    conn: &mut PgConnection,
    meeting: MeetingId,
    author: &str,
    replacing: &Replacing<'_>,
    max: usize,
) -> Result<Replaced> {
    event::lock(conn, meeting).await?;
    let mut count = 0;
    let mut corrections = Vec::new();
    for (segment, base, text) in correction::texts(conn, meeting).await? {
        let Some((replaced, times)) = replacing.apply(&text) else {
            continue;
        };
        if replaced == text {
            continue;
        }
        count += times;
        corrections.push(Correction {
            segment,
            base,
            text: replaced,
            words: None,
            language: None,
        });
    }
    if corrections.len() > max {
        return Ok(Replaced::TooMany(corrections.len()));
    }
    let segments: Vec<SegmentId> = corrections.iter().map(|it| it.segment).collect();
    let (outcomes, effects) =
        correct(conn, meeting, TextSource::Edit, Some(author), corrections).await?;
    let changed =
        segments
            .into_iter()
            .zip(outcomes)
            .filter_map(|(segment, outcome)| match outcome {
                Outcome::Corrected(revision) => Some((segment, revision)),
                _ => None,
            });
    Ok(Replaced::Done(count, changed.collect(), effects))
}
