//! A meeting in miniature: frames go through the gate into the spool, and files come out.

use hansard::{
    domain::{
        codec::AudioCodec,
        consent::{ConsentStatus, Use},
        gate::{Entry, Gate, Recording},
        id::{ConsentId, MeetingId, ParticipantId, RecordingId},
        quota::Quota,
        recording::Track,
        stream::MediaSource,
        time::{MeetingTime, Span},
    },
    media::{
        frame::Frame,
        live::{
            disk::{Disk, OwnedFolder},
            segment::Sealed,
            spool::{Spool, SpoolEvent},
        },
        rendering::{
            join::{self, Finalised},
            mix::{self, Mixed, Source as MixSource},
            remux,
        },
    },
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use uuid::Uuid;

pub fn ms(ms: i64) -> MeetingTime {
    MeetingTime::from_ms(ms)
}

pub fn span(from_ms: i64, to_ms: i64) -> Span {
    Span::new(ms(from_ms), ms(to_ms))
}

/// A folder of the test's own, removed with all that is in it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hansard-media-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&path).expect("the temporary directory can be written to");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn who(n: u128) -> ParticipantId {
    ParticipantId(Uuid::from_u128(n))
}

pub fn said(entry: i64, who: ParticipantId, status: ConsentStatus, at_ms: i64) -> Entry {
    Entry {
        entry,
        id: ConsentId(Uuid::from_u128(1_000 + entry as u128)),
        participant: who,
        uses: vec![Use::Recording],
        status,
        at: ms(at_ms),
    }
}

/// What happens in a test's meeting, by time.
pub enum Event {
    Said(Entry),
    Hold,
    Release,
    Seal(ParticipantId),
}

/// One meeting: everybody's frames go through the gate into the spool in order of time, and the
/// files come out.
pub struct Meeting {
    pub folder: Folder,
    pub gate: Arc<Gate>,
    pub codec: AudioCodec,
}

pub struct Take {
    pub who: ParticipantId,
    pub segments: Vec<Sealed>,
    pub track: Option<(PathBuf, Finalised)>,
}

impl Meeting {
    pub fn new(codec: AudioCodec) -> Self {
        Self {
            folder: Folder::new(),
            gate: Arc::new(Gate::new(&Use::ALL)),
            codec,
        }
    }

    /// The spool's folder of epoch 1.
    pub fn owned(&self) -> Arc<OwnedFolder> {
        let disk = Disk::new(self.folder.0.join("spool"), Quota::default());
        Arc::new(disk.own(self.track(ParticipantId(Uuid::from_u128(1))).meeting, 1))
    }

    pub fn track(&self, who: ParticipantId) -> Track {
        Track {
            meeting: MeetingId(Uuid::from_u128(1)),
            recording: RecordingId(Uuid::from_u128(who.0.as_u128() + 100)),
            participant: who,
            source: MediaSource::Microphone,
            codec: self.codec,
        }
    }

    pub fn record(
        &self,
        voices: &[(ParticipantId, &[Frame])],
        events: Vec<(i64, Event)>,
    ) -> Vec<Take> {
        let (spool, mut told) =
            Spool::start(self.owned(), Arc::clone(&self.gate)).expect("a recorder");
        for (who, _) in voices {
            assert!(spool.open(self.track(*who)));
        }
        let mut frames: Vec<(ParticipantId, &Frame)> = voices
            .iter()
            .flat_map(|(who, frames)| frames.iter().map(|frame| (*who, frame)))
            .collect();
        frames.sort_by_key(|(_, frame)| frame.span.end);
        let mut events = events.into_iter().peekable();
        let mut sealed = Vec::new();
        let mut pushed = 0;
        for (who, frame) in frames {
            while let Some((at, event)) = events.next_if(|(at, _)| ms(*at) <= frame.span.end) {
                match event {
                    Event::Said(entry) => self.gate.apply(&entry, ms(at)),
                    Event::Hold => self.gate.hold(Use::Recording, ms(at)),
                    Event::Release => self.gate.release(Use::Recording, ms(at)),
                    Event::Seal(who) => assert!(spool.seal(self.track(who).recording)),
                }
            }
            if let Ok(frame) =
                self.gate
                    .admit::<Recording, _>(who, frame.span.end, frame.span, frame.clone())
            {
                assert!(spool.write(self.track(who).recording, frame));
                pushed += 1;
                // Faster than time, so the disk must be waited for.
                while pushed - spool.counts().written - spool.counts().refused > 1_000 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        spool.finish();
        while let Some(told) = told.blocking_recv() {
            match told {
                SpoolEvent::Sealed(segment) => sealed.push(segment),
                other => panic!("{other:?}"),
            }
        }
        voices
            .iter()
            .map(|(who, _)| self.take(*who, &sealed))
            .collect()
    }

    pub fn take(&self, who: ParticipantId, sealed: &[Sealed]) -> Take {
        let mut segments: Vec<Sealed> = sealed
            .iter()
            .filter(|segment| segment.track.participant == who)
            .filter_map(|segment| segment.clone().recheck(&self.gate).expect("trims"))
            .collect();
        segments.sort_by_key(|segment| segment.pass.span.start);
        for segment in &segments {
            let digested = remux::digest(&segment.path).expect("is there");
            assert_eq!(
                (digested.size, &digested.sha256),
                (segment.size, &segment.sha256)
            );
            let content = remux::inspect(&segment.path)
                .expect("reads")
                .expect("has frames");
            assert!((content.span.start - segment.pass.span.start).0.abs() <= 100);
            assert!((content.span.end - segment.pass.span.end).0.abs() <= 1_000);
        }
        let paths: Vec<PathBuf> = segments
            .iter()
            .map(|segment| segment.path.clone())
            .collect();
        let out = self.folder.0.join(format!("{who}.mka"));
        let allowed = self.gate.allowed(who, Use::Recording);
        let track = join::finalise_track(&paths, &allowed, &out)
            .expect("joins")
            .map(|track| (out, track));
        Take {
            who,
            segments,
            track,
        }
    }

    pub fn mix(&self, takes: &[Take]) -> Option<(PathBuf, Mixed)> {
        let tracks: Vec<MixSource> = takes
            .iter()
            .filter_map(|take| {
                let (path, track) = take.track.as_ref()?;
                Some(MixSource {
                    path: path.clone(),
                    start: MeetingTime::from_ms(track.start_ms),
                    allowed: self.gate.allowed(take.who, Use::Recording),
                    redacted: Vec::new(),
                })
            })
            .collect();
        let out = self.folder.0.join("mix.m4a");
        let mut last = 0.0;
        let mixed = mix::render(&tracks, &out, &mut |part| {
            assert!((last..=1.0).contains(&part), "{part} after {last}");
            last = part;
            Ok(())
        });
        let left: Vec<_> = std::fs::read_dir(&self.folder.0)
            .expect("lists")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(
            !left
                .iter()
                .any(|name| name.to_string_lossy().starts_with("mix.m4a.")),
            "{left:?}"
        );
        mixed.expect("renders").map(|mixed| (out, mixed))
    }
}

pub fn both(who: ParticipantId, entry: i64, from_ms: i64) -> (i64, Event) {
    (
        from_ms,
        Event::Said(said(entry, who, ConsentStatus::Accepted, from_ms)),
    )
}
