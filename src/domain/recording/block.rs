//! Which of a track's stored segments go together into one object: an hour of sound is 900 of them,
//! and whoever reads it waits for each.
//!
//! A block holds whole segments, byte for byte, of one epoch and one consent entry, so that each
//! keeps its row, its hash and its proof. It is made when nothing is likely to cut them any more.

use crate::time::{Micros, Span};
use std::ops::Range;

/// A block is held in memory while it is stored.
pub const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// How long blocks are, and when they are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// From the first segment's begin to the last one's end, at most.
    pub length: Micros,
    /// So long after they were stored.
    pub after: Micros,
}

impl Terms {
    /// Late withdrawals are heard of within a minute.
    pub const LIVE: Self = Self {
        length: Micros::from_secs(300),
        after: Micros::from_secs(60),
    };
}

/// A segment, as far as this looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    pub epoch: i64,
    pub n: u32,
    pub entry: i64,
    pub span: Span,
    pub size_bytes: u64,
    /// Since its row was committed; `None`: it is not stored yet, or is stored anew.
    pub stored_for: Option<Micros>,
}

impl Member {
    /// Whether a block that begins with this one may reach to the end of that one.
    fn goes_with(&self, last: &Self, length: Micros) -> bool {
        (self.epoch, self.entry) == (last.epoch, last.entry)
            && last.span.end - self.span.start <= length
    }
}

/// The blocks that are to be made now, of a recording's segments in the order of epoch and number.
/// One that ends where another segment follows, or where none came for the length of a block. A
/// range of one segment needs no block.
pub fn due(segments: &[Member], terms: Terms) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while from < segments.len() {
        let (first, mut size, mut to) = (segments[from], segments[from].size_bytes, from + 1);
        while let Some(next) = segments.get(to) {
            size += next.size_bytes;
            if !first.goes_with(next, terms.length) || size > BLOCK_BYTES_MAX {
                break;
            }
            to += 1;
        }
        let for_at_least = |least: Micros| {
            let mut members = segments[from..to].iter();
            members.all(|one| one.stored_for.is_some_and(|by| by >= least))
        };
        let is_followed = to < segments.len();
        let least = if is_followed {
            terms.after
        } else {
            terms.after.max(terms.length)
        };
        if for_at_least(least) {
            blocks.push(from..to);
        }
        from = to;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MeetingTime;

    const LIVE: Terms = Terms::LIVE;

    fn ranges(segments: &[Member]) -> Vec<(usize, usize)> {
        let due = due(segments, LIVE);
        due.iter().map(|block| (block.start, block.end)).collect()
    }

    /// Four seconds each, stored for so many seconds.
    fn segments(stored_for: impl Iterator<Item = i64>) -> Vec<Member> {
        stored_for
            .enumerate()
            .map(|(n, seconds)| Member {
                epoch: 1,
                n: n as u32,
                entry: 1,
                span: Span::of(
                    MeetingTime::from_ms(4_000 * n as i64),
                    Micros::from_ms(4_000),
                ),
                size_bytes: 16_000,
                stored_for: (seconds >= 0).then_some(Micros::from_secs(seconds)),
            })
            .collect()
    }

    #[test]
    fn a_block_is_five_minutes_that_were_stored_a_minute_ago() {
        // As they come: each was stored when it ended.
        let at = |now: i64| segments((0..now / 4).map(|n| now - 4 * (n + 1)));
        for (now, blocks) in [
            (300, vec![]),
            (352, vec![]),
            (356, vec![]),
            (360, vec![(0, 75)]),
            (656, vec![(0, 75)]),
            (660, vec![(0, 75), (75, 150)]),
        ] {
            assert_eq!(ranges(&at(now)), blocks, "after {now} s");
        }
    }

    #[test]
    fn what_is_on_its_way_keeps_its_block_waiting_and_no_other() {
        let mut all = segments((0..160).map(|_| 1_000));
        all[30].stored_for = None;
        assert_eq!(ranges(&all), [(75, 150), (150, 160)]);
        all[150].stored_for = Some(LIVE.after);
        assert_eq!(ranges(&all), [(75, 150)], "others may follow");
    }

    #[test]
    fn a_block_ends_with_its_entry_its_epoch_and_its_bytes() {
        let mut all = segments((0..12).map(|_| 90));
        for one in &mut all[3..] {
            one.entry = 4;
        }
        for one in &mut all[7..] {
            (one.epoch, one.n) = (2, one.n - 7);
        }
        assert_eq!(ranges(&all), [(0, 3), (3, 7)]);
        all[8].size_bytes = BLOCK_BYTES_MAX;
        assert_eq!(ranges(&all), [(0, 3), (3, 7), (7, 8), (8, 9)]);
    }

    #[test]
    fn what_nothing_follows_is_made_later() {
        let mut all = segments((0..12).map(|_| 299));
        assert_eq!(ranges(&all), []);
        for one in &mut all {
            one.stored_for = Some(LIVE.length);
        }
        assert_eq!(ranges(&all), [(0, 12)]);
        assert_eq!(ranges(&[]), []);
        // After a silence of minutes.
        all[11].span = Span::of(MeetingTime::from_ms(400_000), Micros::from_ms(4_000));
        assert_eq!(ranges(&all), [(0, 11), (11, 12)]);
    }
}
