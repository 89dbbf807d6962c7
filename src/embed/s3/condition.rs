//! Conditional requests (RFC 9110, section 13), as S3 has them. Decisions without IO.

use super::refusal::Refusal;
use chrono::{DateTime, Timelike, Utc};

/// `*` or an entity tag without its quotes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tag {
    Any,
    Is(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    pub if_match: Option<Tag>,
    pub if_none_match: Option<Tag>,
    pub if_modified_since: Option<DateTime<Utc>>,
    pub if_unmodified_since: Option<DateTime<Utc>>,
}

impl Tag {
    fn fits(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(tag) => tag == etag,
        }
    }
}

impl Conditions {
    /// Whether an object may be read. Tags come before dates.
    pub fn of_read(&self, etag: &str, written: DateTime<Utc>) -> Result<(), Refusal> {
        // Headers have whole seconds.
        let written = written.with_nanosecond(0).unwrap_or(written);
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tag), _) if !tag.fits(etag) => return Err(Refusal::Precondition),
            (None, Some(since)) if written > since => return Err(Refusal::Precondition),
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tag), _) if tag.fits(etag) => Err(Refusal::NotModified),
            (None, Some(since)) if written <= since => Err(Refusal::NotModified),
            _ => Ok(()),
        }
    }

    /// The same for the source of a copy, which has no 304.
    pub fn of_copy(&self, etag: &str, written: DateTime<Utc>) -> Result<(), Refusal> {
        self.of_read(etag, written)
            .map_err(|_| Refusal::Precondition)
    }

    /// Whether an object may be written, over the one that is there.
    pub fn of_write(&self, there: Option<&str>) -> Result<(), Refusal> {
        match (&self.if_match, there) {
            (Some(_), None) => return Err(Refusal::NoKey),
            (Some(tag), Some(etag)) if !tag.fits(etag) => return Err(Refusal::Precondition),
            _ => {}
        }
        match (&self.if_none_match, there) {
            (Some(tag), Some(etag)) if tag.fits(etag) => Err(Refusal::Precondition),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(tag: &str) -> Option<Tag> {
        Some(Tag::Is(tag.to_owned()))
    }

    #[test]
    fn reading_follows_tags_before_dates() {
        let written: DateTime<Utc> = "2026-03-01T10:00:00.5Z".parse().expect("a time");
        let said = written.with_nanosecond(0);
        let read = |conditions: Conditions| conditions.of_read("a", written);
        assert!(read(Conditions::default()).is_ok());
        let none = Conditions::default;
        assert!(
            read(Conditions {
                if_match: is("a"),
                ..none()
            })
            .is_ok()
        );
        assert!(matches!(
            read(Conditions {
                if_match: is("b"),
                ..none()
            }),
            Err(Refusal::Precondition)
        ));
        assert!(matches!(
            read(Conditions {
                if_none_match: is("a"),
                ..none()
            }),
            Err(Refusal::NotModified)
        ));
        assert!(matches!(
            read(Conditions {
                if_modified_since: said,
                ..none()
            }),
            Err(Refusal::NotModified)
        ));
        assert!(
            read(Conditions {
                if_unmodified_since: said,
                ..none()
            })
            .is_ok()
        );
        // The tag says more than the date.
        assert!(
            read(Conditions {
                if_none_match: is("b"),
                if_modified_since: said,
                ..none()
            })
            .is_ok()
        );
        let copied = Conditions {
            if_none_match: is("a"),
            ..none()
        }
        .of_copy("a", written);
        assert!(matches!(copied, Err(Refusal::Precondition)));
    }

    #[test]
    fn writing_over_something_can_be_ruled_out() {
        let new = Conditions {
            if_none_match: Some(Tag::Any),
            ..Conditions::default()
        };
        assert!(new.of_write(None).is_ok());
        assert!(matches!(
            new.of_write(Some("a")),
            Err(Refusal::Precondition)
        ));
        let same = Conditions {
            if_match: is("a"),
            ..Conditions::default()
        };
        assert!(same.of_write(Some("a")).is_ok());
        assert!(matches!(
            same.of_write(Some("b")),
            Err(Refusal::Precondition)
        ));
        assert!(matches!(same.of_write(None), Err(Refusal::NoKey)));
    }
}
