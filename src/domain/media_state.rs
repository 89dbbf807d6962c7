//! Whether a stream's media comes, and when people are told that it does not.
//!
//! A pure state machine: told what was taken and what was refused, it says how the stream stands
//! ([`Watch::state`]) and what is news ([`Watch::poll`]). A stall is told [`STALLED`] after the
//! last packet and at most once in [`REPORTED_EVERY`]; that media comes again is told at once after
//! a stall that was reported.

use crate::{
    stream::{MediaReason, StreamMedia},
    time::{MeetingTime, Micros},
};

/// Without a packet for this long a stream is stalled.
pub const STALLED: Micros = Micros::from_secs(10);
/// Between two stalls that are reported.
pub const REPORTED_EVERY: Micros = Micros::from_secs(30);

/// How a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Media {
    /// Nothing was taken yet.
    #[default]
    Waiting,
    Receiving,
    Stalled(MediaReason),
}

impl Media {
    /// As it was written down.
    pub const fn new(media: StreamMedia, reason: Option<MediaReason>) -> Self {
        match (media, reason) {
            (StreamMedia::Waiting, _) => Self::Waiting,
            (StreamMedia::Receiving, _) => Self::Receiving,
            (StreamMedia::Stalled, Some(reason)) => Self::Stalled(reason),
            (StreamMedia::Stalled, None) => Self::Stalled(MediaReason::Silent),
        }
    }

    /// The contract's `media`.
    pub const fn word(self) -> StreamMedia {
        match self {
            Self::Waiting => StreamMedia::Waiting,
            Self::Receiving => StreamMedia::Receiving,
            Self::Stalled(_) => StreamMedia::Stalled,
        }
    }

    /// Its `mediaReason`.
    pub const fn reason(self) -> Option<MediaReason> {
        match self {
            Self::Stalled(why) => Some(why),
            _ => None,
        }
    }
}

/// One stream's media.
#[derive(Clone, Debug)]
pub struct Watch {
    /// When it was opened; nothing is a stall before [`STALLED`] after it.
    opened: MeetingTime,
    taken: Option<MeetingTime>,
    /// What was refused last, and when; not by strangers' packets, which are nothing to this
    /// stream.
    refused: Option<(MediaReason, MeetingTime)>,
    reported: Media,
    stall_reported: Option<MeetingTime>,
}

impl Watch {
    /// `told`: what people know, after a restart.
    pub fn new(reported: Media, now: MeetingTime) -> Self {
        Self {
            opened: now,
            taken: (reported != Media::Waiting).then_some(now),
            refused: None,
            reported,
            stall_reported: None,
        }
    }

    pub fn taken(&mut self, now: MeetingTime) {
        self.taken = Some(now);
    }

    pub fn refused(&mut self, why: MediaReason, now: MeetingTime) {
        self.refused = Some((why, now));
    }

    pub fn state(&self, now: MeetingTime) -> Media {
        let since = self.taken.unwrap_or(self.opened);
        if now - since < STALLED {
            return if self.taken.is_some() {
                Media::Receiving
            } else {
                Media::Waiting
            };
        }
        match self.refused {
            Some((why, at)) if now - at < STALLED => Media::Stalled(why),
            _ if self.taken.is_some() => Media::Stalled(MediaReason::Silent),
            // Its sender has not begun.
            _ => Media::Waiting,
        }
    }

    /// What is to be told now, if anything; it counts as reported.
    pub fn poll(&mut self, now: MeetingTime) -> Option<Media> {
        let state = self.state(now);
        if state == self.reported {
            return None;
        }
        if let Media::Stalled(_) = state {
            if self
                .stall_reported
                .is_some_and(|at| now - at < REPORTED_EVERY)
            {
                return None;
            }
            self.stall_reported = Some(now);
        } else if state == Media::Waiting {
            // Refused packets ceased: as before.
            return None;
        }
        self.reported = state;
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> MeetingTime {
        MeetingTime::from_ms(seconds * 1_000)
    }

    /// Plays seconds: `+` a packet is taken, `a` one is refused for its address, `u` for its tag,
    /// ` ` nothing. Gives what is told, and in which second.
    fn play(script: &str) -> Vec<(i64, Media)> {
        let mut watch = Watch::new(Media::Waiting, s(0));
        let mut reported = Vec::new();
        for (second, what) in script.chars().enumerate() {
            let now = s(second as i64);
            match what {
                '+' => watch.taken(now),
                'a' => watch.refused(MediaReason::OtherSource, now),
                'u' => watch.refused(MediaReason::Unauthentic, now),
                _ => {}
            }
            reported.extend(watch.poll(now).map(|media| (second as i64, media)));
        }
        reported
    }

    #[test]
    fn a_stall_is_told_after_ten_seconds_and_its_end_at_once() {
        use Media::{Receiving, Stalled};
        let quiet = " ".repeat(9);
        for (script, expect) in [
            (" ".repeat(100), vec![]),
            ("  +++".to_owned(), vec![(2, Receiving)]),
            (format!("+{quiet}+{quiet}+"), vec![(0, Receiving)]),
            (
                format!("+{quiet}  +"),
                vec![
                    (0, Receiving),
                    (10, Stalled(MediaReason::Silent)),
                    (12, Receiving),
                ],
            ),
            (
                "+aaaaaaaaaaaa".to_owned(),
                vec![(0, Receiving), (10, Stalled(MediaReason::OtherSource))],
            ),
            (
                "uuuuuuuuuuuu".to_owned(),
                vec![(10, Stalled(MediaReason::Unauthentic))],
            ),
            // Somebody else's noise beside a good stream is no stall.
            ("+u".repeat(40), vec![(0, Receiving)]),
        ] {
            assert_eq!(play(&script), expect, "{script}");
        }
    }

    #[test]
    fn stalls_are_told_at_most_twice_a_minute() {
        let flapping = format!("+{}", " ".repeat(10)).repeat(20);
        let reported = play(&flapping);
        let stalls: Vec<i64> = reported
            .iter()
            .filter(|(_, media)| matches!(media, Media::Stalled(_)))
            .map(|(at, _)| *at)
            .collect();
        assert!(stalls.len() >= 5, "{reported:?}");
        assert!(
            stalls.windows(2).all(|pair| pair[1] - pair[0] >= 30),
            "{stalls:?}"
        );
        assert!(
            reported.windows(2).all(|pair| pair[0].1 != pair[1].1),
            "{reported:?}"
        );
    }

    #[test]
    fn the_reason_may_change_and_a_restart_tells_nothing_again() {
        let script = format!("+{}{}", " ".repeat(12), "a".repeat(40));
        let reported = play(&script);
        assert_eq!(
            reported[1..],
            [
                (10, Media::Stalled(MediaReason::Silent)),
                (40, Media::Stalled(MediaReason::OtherSource))
            ]
        );
        let mut watch = Watch::new(Media::Receiving, s(100));
        assert_eq!(watch.poll(s(105)), None);
        assert_eq!(
            watch.poll(s(110)),
            Some(Media::Stalled(MediaReason::Silent))
        );
        let mut watch = Watch::new(Media::Stalled(MediaReason::Silent), s(100));
        assert_eq!(watch.poll(s(100)), Some(Media::Receiving));
    }
}
