//! A tenant's ledger with its rows and files, in steps: processes die between object and rows,
//! uploads arrive late, storage is away, and the database is put back from a backup again and
//! again. In every database that has caught up with the bucket whatever was deleted is deleted,
//! whoever was taken out is taken out, and the files that it names are there; and no number is
//! written twice.

use crate::random::Random;
use hansard_domain::{
    consent::Use,
    deletion::Deletable,
    id::{MeetingId, ParticipantId, RecordingId, TenantId},
    inventory::ObjectKind,
    ledger::{
        Act, Deletion, Draft, Entry, GoneObject, GoneRecording, Head, Known, MadeFile, Redacted,
        Redaction, Replaced, follow,
    },
    recording::RecordingKind,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const STEPS: usize = 600;

/// A meeting with one file.
#[derive(Clone, Default)]
struct Meeting {
    /// The file's revision; 0: there is none yet.
    revision: i32,
    deleted: Option<Asked>,
    redactions: BTreeMap<Uuid, Asked>,
    /// Files that are to go.
    going: BTreeSet<i32>,
}

impl Meeting {
    /// Whether the file has all that was asked for taken out of it.
    fn is_redacted(&self) -> bool {
        self.redactions.values().all(|one| one.made)
    }
}

/// What somebody asked for.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// The ledger has it.
    written: bool,
    /// The file is without them.
    made: bool,
}

#[derive(Clone)]
struct Rows {
    head: Head,
    meetings: BTreeMap<MeetingId, Meeting>,
}

struct World {
    bucket: BTreeMap<i64, Vec<u8>>,
    /// The files that are there, each with the redactions that it is without.
    files: BTreeMap<(MeetingId, i32), BTreeSet<Uuid>>,
    /// Uploads that were given up and may still arrive.
    late: Vec<(i64, Vec<u8>)>,
    rows: Rows,
    backups: Vec<Rows>,
    /// Meetings of which an object was deleted because somebody asked for that.
    gone: BTreeSet<MeetingId>,
    /// Redactions of which a file of before was deleted.
    redacted: BTreeMap<Uuid, MeetingId>,
    numbers: u128,
    random: Random,
}

enum Put {
    Done,
    Taken,
    Away,
}

fn key(meeting: MeetingId, revision: i32) -> String {
    format!("{meeting}-{revision}")
}

fn gone(meeting: MeetingId, revision: i32) -> GoneObject {
    GoneObject {
        key: key(meeting, revision),
        recording: RecordingId(meeting.0),
        kind: ObjectKind::Track,
        sha256: None,
        version: None,
    }
}

fn file(meeting: MeetingId, revision: i32) -> MadeFile {
    MadeFile {
        recording: GoneRecording {
            id: RecordingId(meeting.0),
            kind: RecordingKind::Track,
            participant: None,
            source: None,
            codec: None,
            media_type: "audio/webm".to_owned(),
            start_ms: 0,
            revision,
            sha256: None,
        },
        key: key(meeting, revision),
        version: None,
        size_bytes: 1,
        duration_ms: 1,
        gaps: serde_json::Value::Null,
        made_of: Vec::new(),
        gain_db: None,
    }
}

fn revision_of(object: &GoneObject) -> i32 {
    let revision = object.key.rsplit('-').next();
    revision
        .and_then(|text| text.parse().ok())
        .expect("a key of ours")
}

impl World {
    fn put(&mut self, n: i64, object: Vec<u8>) -> Put {
        if self.random.chance(0.1) {
            return Put::Away;
        }
        if self.random.chance(0.1) {
            self.late.push((n, object));
            return Put::Away;
        }
        // Also our own, whose answer was lost.
        let there = self.bucket.entry(n).or_insert_with(|| object.clone());
        if *there == object {
            Put::Done
        } else {
            Put::Taken
        }
    }

    fn draft(meeting: MeetingId, act: Act) -> Draft {
        Draft {
            tenant: TENANT,
            meeting: Some(meeting),
            author: "api_key:1".to_owned(),
            reason: None,
            asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
            act,
        }
    }

    /// Writes the entry and its rows; `None`: this process died, or cannot now, or what it was
    /// about is not so any more.
    fn append(
        &mut self,
        meeting: MeetingId,
        act: impl Fn(&Meeting) -> Option<Act>,
        rows: impl Fn(&mut Meeting),
    ) -> Option<()> {
        loop {
            let of = self.rows.meetings.get(&meeting)?;
            let draft = Self::draft(meeting, act(of)?);
            let (entry, object) = draft.behind(&self.rows.head);
            match self.put(entry.n, object.clone()) {
                Put::Away => return None,
                Put::Taken => self.catch_up(),
                Put::Done if self.random.chance(0.15) => return None,
                Put::Done => {
                    self.rows.head = Head::of(entry.n, &object);
                    rows(self.rows.meetings.get_mut(&meeting)?);
                    return Some(());
                }
            }
        }
    }

    fn id(&mut self) -> Uuid {
        self.numbers += 1;
        Uuid::from_u128(self.numbers)
    }

    fn any(&mut self) -> Option<MeetingId> {
        let known: Vec<MeetingId> = self.rows.meetings.keys().copied().collect();
        if known.is_empty() {
            return None;
        }
        let which = self.random.within(0, known.len() as i64) as usize;
        known.get(which).copied()
    }

    fn write_deletion(&mut self, meeting: MeetingId) -> Option<()> {
        let act = |of: &Meeting| {
            Some(Act::Deletion(Deletion {
                what: Deletable::Meeting,
                recordings: Vec::new(),
                objects: (1..=of.revision).map(|n| gone(meeting, n)).collect(),
            }))
        };
        let written = Asked {
            written: true,
            made: false,
        };
        self.append(meeting, act, |of| of.deleted = Some(written))
    }

    fn write_redaction(&mut self, meeting: MeetingId, id: Uuid) -> Option<()> {
        let act = |_: &Meeting| {
            Some(Act::Redaction(Redaction {
                id,
                participant: ParticipantId(id),
                purposes: Use::ALL.to_vec(),
                from_ms: None,
                to_ms: None,
                decided_by: None,
                erasure: None,
            }))
        };
        self.append(meeting, act, |of| {
            of.redactions.entry(id).or_default().written = true;
        })
    }

    /// Somebody asks. With storage away the row alone is written.
    fn ask(&mut self) {
        let Some(meeting) = self.any() else { return };
        if self.random.chance(0.4) {
            if self.write_deletion(meeting).is_none()
                && self.random.chance(0.7)
                && let Some(of) = self.rows.meetings.get_mut(&meeting)
            {
                of.deleted.get_or_insert_default();
            }
            return;
        }
        let id = self.id();
        if self.write_redaction(meeting, id).is_none()
            && self.random.chance(0.7)
            && let Some(of) = self.rows.meetings.get_mut(&meeting)
        {
            of.redactions.entry(id).or_default();
        }
    }

    /// The file is made anew, for a redaction or for any other reason.
    fn make(&mut self, meeting: MeetingId) {
        let Some(of) = self.rows.meetings.get_mut(&meeting) else {
            return;
        };
        if of.deleted.is_some() {
            return;
        }
        if of.revision > 0 {
            of.going.insert(of.revision);
        }
        of.revision += 1;
        let without = of.redactions.keys().copied().collect();
        for one in of.redactions.values_mut() {
            one.made = true;
        }
        self.files.insert((meeting, of.revision), without);
    }

    /// The jobs: nothing is deleted before the ledger has what stands for it.
    fn work(&mut self, meeting: MeetingId) {
        let Some(of) = self.rows.meetings.get(&meeting).cloned() else {
            return;
        };
        if let Some(asked) = of.deleted {
            if asked.written || self.write_deletion(meeting).is_some() {
                self.gone.insert(meeting);
                self.files.retain(|(of, _), _| *of != meeting);
            }
            return;
        }
        for (id, _) in of.redactions.iter().filter(|(_, asked)| !asked.written) {
            if self.write_redaction(meeting, *id).is_none() {
                return;
            }
        }
        if !of.is_redacted() {
            self.make(meeting);
        }
        self.replace(meeting);
    }

    /// Tells the ledger of the file that there is, and deletes those before it.
    fn replace(&mut self, meeting: MeetingId) {
        let act = |of: &Meeting| {
            let files = vec![file(meeting, of.revision)];
            let objects = of.going.iter().map(|n| gone(meeting, *n)).collect();
            let is_due = of.deleted.is_none() && !of.going.is_empty() && of.is_redacted();
            is_due.then(|| match of.redactions.keys().next_back() {
                Some(id) => Act::Redacted(Redacted {
                    id: *id,
                    files,
                    objects,
                }),
                None => Act::Replaced(Replaced { files, objects }),
            })
        };
        if self.append(meeting, act, |_| ()).is_none() {
            return;
        }
        // It may have caught up meanwhile.
        let Some(of) = self.rows.meetings.get_mut(&meeting) else {
            return;
        };
        for revision in std::mem::take(&mut of.going) {
            self.files.remove(&(meeting, revision));
        }
        for id in of.redactions.keys() {
            self.redacted.insert(*id, meeting);
        }
    }

    fn catch_up(&mut self) {
        let after = self.rows.head.n + 1;
        let objects: Vec<_> = self.bucket.range(after..).collect();
        for (n, object) in objects {
            let (entry, head): (Entry, Head) =
                follow(&self.rows.head, TENANT, *n, object).expect("the chain holds");
            self.rows.head = head;
            let meeting = entry.meeting.expect("it names its meeting");
            // Of one that these rows do not know, only its deletion is noted.
            let of = self.rows.meetings.get_mut(&meeting);
            let adopts = |of: &mut Meeting, files: &[MadeFile], objects: &[GoneObject]| {
                for file in files {
                    let known = match of.revision {
                        _ if of.deleted.is_some() => Known::Deleted,
                        0 => Known::Nothing,
                        revision if revision == file.recording.revision => Known::This,
                        revision => Known::Other { revision },
                    };
                    if file.stands_in_for(known) {
                        of.revision = file.recording.revision;
                    }
                }
                let gone = objects.iter().map(revision_of);
                of.going.extend(gone.filter(|gone| *gone != of.revision));
            };
            match (entry.act, of) {
                (Act::Deletion(_), of) => {
                    let mut unknown = Meeting::default();
                    let of = of.unwrap_or(&mut unknown);
                    of.deleted.get_or_insert_default().written = true;
                }
                (Act::Redaction(asked), Some(of)) => {
                    of.redactions.entry(asked.id).or_default().written = true;
                }
                (Act::Redacted(made), Some(of)) => adopts(of, &made.files, &made.objects),
                (Act::Replaced(made), Some(of)) => adopts(of, &made.files, &made.objects),
                _ => {}
            }
        }
    }

    fn step(&mut self, seed: u64) {
        match self.random.within(0, 14) {
            0 => {
                let meeting = MeetingId(self.id());
                self.rows.meetings.insert(meeting, Meeting::default());
                self.make(meeting);
            }
            1..=2 => self.ask(),
            3 => {
                // A withdrawal that was heard of late.
                if let Some(meeting) = self.any() {
                    self.make(meeting);
                }
            }
            4..=9 => {
                if let Some(meeting) = self.any() {
                    self.work(meeting);
                }
            }
            10 => self.backups.push(self.rows.clone()),
            11 if !self.backups.is_empty() && self.random.chance(0.3) => {
                let which = self.random.within(0, self.backups.len() as i64) as usize;
                self.rows = self.backups[which].clone();
                // What was backed up later is of a past that did not happen.
                self.backups.truncate(which + 1);
                // A process is not ready before it has.
                self.catch_up();
                self.judge(seed);
            }
            12 => self.catch_up(),
            _ => {
                if let Some((n, object)) = self.late.pop() {
                    self.bucket.entry(n).or_insert(object);
                }
            }
        }
    }

    /// What has to be so of rows that have all of the ledger.
    fn judge(&self, seed: u64) {
        assert_eq!(self.rows.head.n, self.bucket.len() as i64, "seed {seed}");
        for (meeting, of) in &self.rows.meetings {
            if self.gone.contains(meeting) {
                assert!(of.deleted.is_some(), "seed {seed}: {meeting} came back");
            }
            if of.deleted.is_some() || of.revision == 0 {
                continue;
            }
            let named = self.files.get(&(*meeting, of.revision));
            let without = named.unwrap_or_else(|| {
                panic!(
                    "seed {seed}: {meeting} names {}, which is gone",
                    of.revision
                )
            });
            for (id, _) in self.redacted.iter().filter(|(_, of)| *of == meeting) {
                assert!(
                    of.redactions.contains_key(id),
                    "seed {seed}: {id} is forgotten in {meeting}"
                );
                assert!(
                    without.contains(id),
                    "seed {seed}: {id} came back in {meeting}"
                );
            }
        }
    }
}

/// Answers how many files were replaced for redactions, and how many meetings deleted.
pub fn play(seed: u64) -> (usize, usize) {
    let genesis = Rows {
        head: Head::genesis(TENANT),
        meetings: BTreeMap::new(),
    };
    let mut world = World {
        bucket: BTreeMap::new(),
        files: BTreeMap::new(),
        late: Vec::new(),
        rows: genesis.clone(),
        backups: Vec::new(),
        gone: BTreeSet::new(),
        redacted: BTreeMap::new(),
        numbers: 0,
        random: Random::new(seed),
    };
    for _ in 0..STEPS {
        world.step(seed);
    }
    // Whichever backup is put back, also an empty database.
    world.backups.push(genesis);
    for backup in world.backups.clone() {
        world.rows = backup;
        world.catch_up();
        world.judge(seed);
    }
    (world.redacted.len(), world.gone.len())
}
