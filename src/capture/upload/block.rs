//! Stored segments on their way into blocks (`domain/recording/block`), from the files that still
//! lie in the spool: one block of a meeting at a time, behind everything that is live.
//!
//! The block is stored and verified first; then the rows of its segments name it, all of them or
//! none; then their own objects and files are deleted. What is cut meanwhile is stored by itself
//! again, and the block is written once more without it. Whoever dies on the way leaves segments
//! that are read as they were, and objects that no row names, which the cleaning job finds.

use super::{Keeper, Meanwhile};
use crate::{
    capture::{
        commit::Write,
        uploader::{Unstored, Uploader},
    },
    domain::{
        consent,
        gate::{Gate, Recording, Verdict},
        id::RecordingId,
        inventory::ObjectKind,
        object_key::LiveBlock,
        recording::block::{self, Member, Terms},
        time::Micros,
    },
    objects::Stored,
    store::{
        block::{Block, Placed},
        inventory::Object,
    },
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::PathBuf,
};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, warn};

/// A segment of a block that is being made.
#[derive(Clone)]
struct Piece {
    id: u64,
    /// How often it had been cut.
    cuts: u32,
    path: PathBuf,
    placed: Placed,
    object_key: String,
}

struct Making {
    pieces: Vec<Piece>,
    block: Block,
    /// The block that it stands for, of which something was cut.
    before: Option<String>,
}

enum Step {
    Stored(Result<Stored, Unstored>),
    /// Whether its rows are committed; `None` when they never will be.
    Committed(Option<bool>),
}

/// The block that is being made, if one is.
#[derive(Default)]
pub(super) struct Blocks {
    making: Option<Making>,
    steps: JoinSet<Step>,
    made: u32,
    /// Blocks of which something was cut, with what stays in them.
    cut: VecDeque<(Vec<Piece>, String)>,
    /// Segments that stay by themselves.
    apart: BTreeSet<u64>,
}

impl Blocks {
    /// Whether a segment's file is needed for a block, or will be.
    pub fn wants(&self, id: u64) -> bool {
        !self.apart.contains(&id)
    }

    pub fn is_making(&self, id: u64) -> bool {
        let making = self.making.iter().flat_map(|making| &making.pieces);
        let mut all = making.chain(self.cut.iter().flat_map(|(pieces, _)| pieces));
        all.any(|piece| piece.id == id)
    }

    pub fn forget(&mut self, id: u64) {
        self.apart.remove(&id);
    }

    /// What came of the step that runs; `None` when none does.
    pub async fn next(&mut self) -> Option<Stepped> {
        self.steps.join_next().await.map(Stepped)
    }
}

/// For the keeper to go on with.
pub(super) struct Stepped(Result<Step, tokio::task::JoinError>);

impl Keeper {
    /// Begins the next block that is due, unless one is made already or something live waits. One
    /// that something was cut of comes first.
    pub(super) fn gather(&mut self) {
        let is_busy = self.blocks.making.is_some() || !self.waiting.is_empty();
        if is_busy || self.uploader.blocked().is_some() {
            return;
        }
        if let Some((mut pieces, before)) = self.blocks.cut.pop_front() {
            pieces.retain(|piece| self.is_same(piece));
            let ids: Vec<u64> = pieces.iter().map(|piece| piece.id).collect();
            self.make(&ids, Some(before));
            return;
        }
        if self.owned.disk().is_scarce() {
            return;
        }
        let mut tracks: BTreeMap<RecordingId, Vec<(Member, u64)>> = BTreeMap::new();
        for (id, kept) in &self.kept {
            let is_stored = !kept.busy
                && kept.stored.is_some()
                && self.commits.is_committed(kept.written) == Some(true);
            let stored_for = kept
                .stored_at
                .filter(|_| is_stored)
                .map(|at| Micros(i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX)));
            if self.blocks.wants(*id) {
                let member = Member {
                    epoch: kept.sealed.epoch,
                    n: kept.sealed.name.n,
                    entry: kept.sealed.name.entry,
                    span: kept.sealed.pass.span,
                    size_bytes: kept.sealed.size,
                    stored_for,
                };
                let track = tracks.entry(kept.sealed.track.recording).or_default();
                track.push((member, *id));
            }
        }
        for (_, mut track) in tracks {
            track.sort_by_key(|(member, _)| (member.epoch, member.n));
            let members: Vec<Member> = track.iter().map(|(member, _)| *member).collect();
            for due in block::due(&members, Terms::LIVE) {
                let ids: Vec<u64> = track[due].iter().map(|(_, id)| *id).collect();
                if let [alone] = ids[..] {
                    self.blocks.apart.insert(alone);
                } else {
                    self.make(&ids, None);
                    return;
                }
            }
        }
    }

    /// Stores a block of these segments, which are stored by themselves.
    fn make(&mut self, ids: &[u64], before: Option<String>) {
        let (mut pieces, mut at) = (Vec::new(), 0);
        for id in ids {
            let Some((kept, stored)) = self
                .kept
                .get(id)
                .and_then(|kept| Some((kept, kept.stored.as_ref()?)))
            else {
                continue;
            };
            pieces.push(Piece {
                id: *id,
                cuts: kept.cuts,
                path: kept.sealed.path.clone(),
                placed: Placed {
                    n: stored.n,
                    sha256: stored.sha256.clone(),
                    at,
                },
                object_key: stored.object_key.clone(),
            });
            at += stored.size_bytes;
        }
        let track = |piece: &Piece| self.kept.get(&piece.id).map(|kept| &kept.sealed);
        let ends = pieces
            .first()
            .and_then(track)
            .zip(pieces.last().and_then(track));
        let Some((first, last)) = ends else {
            // Nothing stays in it.
            self.uploader
                .delete_all(self.holder.meeting, before.into_iter().collect());
            return;
        };
        let key = LiveBlock {
            tenant: self.holder.tenant,
            meeting: self.holder.meeting,
            epoch: first.epoch,
            recording: first.track.recording,
            first: first.name.n,
            last: last.name.n,
            entry: first.name.entry,
            made: self.blocks.made,
        }
        .to_string();
        let block = Block {
            recording: first.track.recording,
            epoch: first.epoch,
            key: key.clone(),
            segments: pieces.iter().map(|piece| piece.placed.clone()).collect(),
            size_bytes: 0,
            sha256: String::new(),
            version: None,
        };
        let object = Object {
            key,
            tenant: self.holder.tenant,
            meeting: self.holder.meeting,
            recording: first.track.recording,
            kind: ObjectKind::Block,
            participants: vec![first.track.participant],
        };
        self.blocks.made += 1;
        let (uploader, of) = (self.uploader.clone(), pieces.clone());
        self.blocks.steps.spawn(
            async move { Step::Stored(store(&uploader, &object, of).await) }.in_current_span(),
        );
        self.blocks.making = Some(Making {
            pieces,
            block,
            before,
        });
    }

    /// Goes on with the block that is being made.
    pub(super) fn stepped(&mut self, Stepped(step): Stepped) {
        let Some(making) = self.blocks.making.take() else {
            return;
        };
        match step {
            Ok(Step::Stored(Ok(stored))) => self.name(making, stored),
            Ok(Step::Stored(Err(Unstored::Deleted))) => self.give_up(making, true),
            Ok(Step::Stored(Err(error))) => {
                debug!(%error, "a block of segments waits");
                self.give_up(making, false);
                return;
            }
            Ok(Step::Committed(Some(true))) => self.named(making),
            Ok(Step::Committed(Some(false))) => self.give_up(making, true),
            // Somebody else holds the meeting.
            Ok(Step::Committed(None)) => {}
            Err(error) => {
                warn!(%error, "making a block of segments stopped unexpectedly");
                self.give_up(making, true);
            }
        }
        if self.blocks.making.is_none() {
            self.gather();
        }
    }

    /// It is in storage: its rows may name it, if all of it is as it was and may stay.
    fn name(&mut self, mut making: Making, stored: Stored) {
        making.block.size_bytes = i64::try_from(stored.size_bytes).unwrap_or(i64::MAX);
        making.block.sha256 = stored.sha256;
        making.block.version = stored.version;
        let is_same = making.pieces.iter().all(|piece| self.is_same(piece));
        let written = is_same
            .then(|| self.commits.write(Write::Block(making.block.clone())))
            .and_then(Result::ok);
        let Some(written) = written else {
            self.give_up(making, false);
            return;
        };
        let commits = self.commits.clone();
        self.blocks.steps.spawn(
            async move { Step::Committed(commits.committed(written).await) }.in_current_span(),
        );
        self.blocks.making = Some(making);
    }

    /// Its rows name it: what they named before goes. What was cut meanwhile has a row of its own,
    /// and must not stay in the block.
    fn named(&mut self, making: Making) {
        metrics::counter!("hansard_blocks_stored_total").increment(1);
        self.uploader
            .delete_all(self.holder.meeting, making.before.into_iter().collect());
        if !making.pieces.iter().all(|piece| self.is_same(piece)) {
            let cut = (making.pieces, making.block.key);
            self.blocks.cut.push_back(cut);
            return;
        }
        let mut files = Vec::new();
        let mut objects = Vec::new();
        for piece in making.pieces {
            self.kept.remove(&piece.id);
            files.push(piece.path);
            objects.push(piece.object_key);
        }
        self.uploader.delete_all(self.holder.meeting, objects);
        // One that stays is deleted when the folder is taken up.
        tokio::task::spawn_blocking(move || {
            for file in files {
                let _ = std::fs::remove_file(file);
            }
        });
    }

    /// Its segments stay by themselves, `for_good` or until the next try.
    fn give_up(&mut self, making: Making, for_good: bool) {
        // Nobody was told of it.
        self.uploader
            .delete_all(self.holder.meeting, vec![making.block.key]);
        if let Some(before) = making.before {
            self.blocks.cut.push_back((making.pieces, before));
        } else if for_good {
            let ids = making.pieces.iter().map(|piece| piece.id);
            self.blocks.apart.extend(ids);
        }
    }

    /// Whether a segment is what went into the block, and may stay.
    fn is_same(&self, piece: &Piece) -> bool {
        self.kept.get(&piece.id).is_some_and(|kept| {
            !kept.busy
                && kept.meanwhile == Meanwhile::Nothing
                && kept.cuts == piece.cuts
                && may_stay(&self.gate, kept)
        })
    }
}

fn may_stay(gate: &Gate, kept: &super::Kept) -> bool {
    gate.still::<Recording>(&kept.sealed.pass) == Verdict::Keep
}

/// Reads the segments' files one behind the other and stores them, if they are what their rows
/// say.
async fn store(
    uploader: &Uploader,
    object: &Object,
    pieces: Vec<Piece>,
) -> Result<Stored, Unstored> {
    let _room = uploader.room_for_blocks().await?;
    let read = tokio::task::spawn_blocking(move || bytes(&pieces)).await;
    let bytes = read
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| Unstored::Local(error.to_string()))?;
    uploader.store_block(object, bytes).await
}

fn bytes(pieces: &[Piece]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for piece in pieces {
        let segment = std::fs::read(&piece.path)?;
        if consent::hex(&Sha256::digest(&segment)) != piece.placed.sha256 {
            return Err(io::Error::other("a segment was cut meanwhile"));
        }
        all.extend(segment);
    }
    Ok(all)
}
