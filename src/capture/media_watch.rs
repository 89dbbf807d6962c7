//! Whether the media of one stream comes, from what its socket counted since the last look.

use crate::{
    domain::{
        media_state::{Media, Watch, Why},
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
    /// `media` and `reason`: as people were told last.
    pub fn new(media: &str, reason: Option<&str>, now: MeetingTime) -> Self {
        let why = Why::ALL
            .into_iter()
            .find(|why| Some(why.as_str()) == reason);
        let told = match (media, why) {
            ("receiving", _) => Media::Receiving,
            ("stalled", why) => Media::Stalled(why.unwrap_or(Why::Silent)),
            _ => Media::Waiting,
        };
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
        if let Some(why) =
            most.and_then(|(_, why)| Why::ALL.into_iter().find(|known| *known as u8 == why))
        {
            self.watch.refused(why, now);
        }
        self.watch.poll(now)
    }

    pub fn state(&self, now: MeetingTime) -> Media {
        self.watch.state(now)
    }
}
