//! A tenant's ledger with its rows, in steps: processes die between object and rows, uploads arrive
//! late, storage is away, and the database is put back from a backup again and again. Whatever was
//! deleted in the bucket is deleted in every database that has caught up with it, and no number is
//! written twice.

use crate::dice::Dice;
use hansard_domain::{
    deletion::Deletable,
    id::{MeetingId, TenantId},
    ledger::{Act, Deletion, Draft, Entry, Head, follow},
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const STEPS: usize = 400;

#[derive(Clone)]
struct Rows {
    head: Head,
    /// Meetings that are deleted, and whether the ledger has that.
    deleted: BTreeMap<MeetingId, bool>,
}

struct World {
    bucket: BTreeMap<i64, Vec<u8>>,
    /// Uploads that were given up and may still arrive.
    late: Vec<(i64, Vec<u8>)>,
    rows: Rows,
    backups: Vec<Rows>,
    /// Meetings whose objects are gone.
    gone: BTreeSet<MeetingId>,
    meetings: u128,
    dice: Dice,
}

enum Put {
    Done,
    Taken,
    Away,
}

impl World {
    fn put(&mut self, n: i64, object: Vec<u8>) -> Put {
        if self.dice.chance(0.1) {
            return Put::Away;
        }
        if self.dice.chance(0.1) {
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

    fn draft(meeting: MeetingId) -> Draft {
        Draft {
            tenant: TENANT,
            meeting: Some(meeting),
            author: "api_key:1".to_owned(),
            reason: None,
            asked_at: "2026-11-22T16:17:01.230Z".to_owned(),
            act: Act::Deletion(Deletion {
                what: Deletable::Meeting,
                recordings: Vec::new(),
                objects: Vec::new(),
            }),
        }
    }

    /// Writes the entry and its row; `None`: this process died, or cannot now.
    fn append(&mut self, meeting: MeetingId) -> Option<()> {
        loop {
            let (entry, object) = Self::draft(meeting).behind(&self.rows.head);
            match self.put(entry.n, object.clone()) {
                Put::Away => return None,
                Put::Taken => self.catch_up(),
                Put::Done if self.dice.chance(0.15) => return None,
                Put::Done => {
                    self.rows.head = Head::of(entry.n, &object);
                    self.rows.deleted.insert(meeting, true);
                    return Some(());
                }
            }
        }
    }

    /// Somebody asks. With storage away the row alone is written.
    fn ask(&mut self) {
        self.meetings += 1;
        let meeting = MeetingId(Uuid::from_u128(self.meetings));
        if self.append(meeting).is_none() && self.dice.chance(0.7) {
            self.rows.deleted.entry(meeting).or_insert(false);
        }
    }

    /// The job: nothing is deleted before the ledger has it.
    fn work(&mut self) {
        let open: Vec<_> = self.rows.deleted.keys().copied().collect();
        for meeting in open {
            let written = self.rows.deleted.get(&meeting) == Some(&true);
            if written || self.append(meeting).is_some() {
                self.gone.insert(meeting);
            }
        }
    }

    fn catch_up(&mut self) {
        let after = self.rows.head.n + 1;
        let objects: Vec<_> = self.bucket.range(after..).collect();
        for (n, object) in objects {
            let (entry, head): (Entry, Head) =
                follow(&self.rows.head, TENANT, *n, object).expect("the chain holds");
            let meeting = entry.meeting.expect("a deletion names its meeting");
            self.rows.deleted.insert(meeting, true);
            self.rows.head = head;
        }
    }

    fn step(&mut self) {
        match self.dice.within(0, 10) {
            0..=3 => self.ask(),
            4..=5 => self.work(),
            6 => self.backups.push(self.rows.clone()),
            7 if !self.backups.is_empty() && self.dice.chance(0.3) => {
                let which = self.dice.within(0, self.backups.len() as i64) as usize;
                self.rows = self.backups[which].clone();
                // A process is not ready before it has.
                self.catch_up();
            }
            8 => self.catch_up(),
            _ => {
                if let Some((n, object)) = self.late.pop() {
                    self.bucket.entry(n).or_insert(object);
                }
            }
        }
    }
}

pub fn play(seed: u64) {
    let genesis = Rows {
        head: Head::genesis(TENANT),
        deleted: BTreeMap::new(),
    };
    let mut world = World {
        bucket: BTreeMap::new(),
        late: Vec::new(),
        rows: genesis.clone(),
        backups: Vec::new(),
        gone: BTreeSet::new(),
        meetings: 0,
        dice: Dice::new(seed),
    };
    for _ in 0..STEPS {
        world.step();
    }
    assert!(world.gone.len() > 10, "seed {seed}: {}", world.gone.len());
    // Whichever backup is put back, also an empty database.
    world.backups.push(genesis);
    for backup in world.backups.clone() {
        world.rows = backup;
        world.catch_up();
        for meeting in &world.gone {
            assert_eq!(
                world.rows.deleted.get(meeting),
                Some(&true),
                "seed {seed}: {meeting} came back"
            );
        }
        assert_eq!(world.rows.head.n, world.bucket.len() as i64, "seed {seed}");
    }
}
