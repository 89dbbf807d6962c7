//! Whether the media of one stream comes, from what its socket counted since the last look.

use crate::{
    domain::{
        media_state::{Media, Watch},
        stream::MediaReason,
        time::MeetingTime,
    },
    ingest::{Counts, Reason},
};

/// Looks at a stream's counts now and then, and says what is news.
#[derive(Debug)]
pub struct MediaWatch {
    watch: Watch,
    taken: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl MediaWatch {
    /// `told`: as people were told last.
    pub fn new(told: Media, now: MeetingTime) -> Self {
        Self {
            watch: Watch::new(told, now),
            taken: 0,
            dropped: [0; Reason::ALL.len()],
        }
    }

    /// Answers with what is to be told.
    pub fn look(&mut self, counts: &Counts, now: MeetingTime) -> Option<Media> {
        let taken = counts.taken();
        if taken > self.taken {
            self.taken = taken;
            self.watch.taken(now);
        }
        let mut most = None;
        for (before, reason) in self.dropped.iter_mut().zip(Reason::ALL) {
            let count = counts.dropped(reason);
            let more = count - std::mem::replace(before, count);
            most = most.max(
                reason
                    .why()
                    .filter(|_| more > 0)
                    .map(|why| (more, why as u8)),
            );
        }
        if let Some(why) = most.and_then(|(_, why)| {
            MediaReason::ALL
                .into_iter()
                .find(|known| *known as u8 == why)
        }) {
            self.watch.refused(why, now);
        }
        self.watch.poll(now)
    }

    pub fn state(&self, now: MeetingTime) -> Media {
        self.watch.state(now)
    }
}
