//! What a worker has stored: sealed segments, and the blocks that they go into.

use super::Piece;
use hansard_domain::{
    gate::{Gate, Pass},
    id::StreamId,
    recording::{
        block::{self, Member, Terms},
        recut,
    },
    time::{MeetingTime, Micros, Span},
};

/// Blocks as short as these meetings.
const BLOCKS: Terms = Terms {
    length: Micros::from_secs(9),
    after: Micros(0),
};

/// A sealed segment, which is stored at once.
pub struct Segment {
    pub stream: StreamId,
    pub n: u32,
    pub pieces: Vec<Piece>,
    pub pass: Pass,
}

#[derive(Default)]
pub struct Stored {
    segments: Vec<Segment>,
    blocks: Vec<Vec<Segment>>,
    /// Blocks that it ever made.
    pub made: usize,
}

impl Stored {
    /// Stores of a segment what may stay.
    pub fn put(&mut self, gate: &Gate, segment: Segment) {
        self.segments.extend(kept(gate, segment));
    }

    /// The gate changed: everything is asked for again. What is cut of a block is stored by itself,
    /// and the block without it.
    pub fn recheck(&mut self, gate: &Gate) {
        for segment in std::mem::take(&mut self.segments) {
            self.put(gate, segment);
        }
        for block in std::mem::take(&mut self.blocks) {
            let (whole, cut): (Vec<Segment>, Vec<Segment>) = block
                .into_iter()
                .partition(|segment| recut::is_whole(gate, &segment.pass));
            for segment in cut {
                self.put(gate, segment);
            }
            self.blocks.extend((!whole.is_empty()).then_some(whole));
        }
    }

    /// Stored segments go into blocks; all of each is allowed by its one entry.
    pub fn merge(&mut self, now: MeetingTime) {
        self.segments
            .sort_by_key(|segment| (segment.stream, segment.n));
        let (mut rest, mut all) = (Vec::new(), std::mem::take(&mut self.segments));
        while let Some(stream) = all.first().map(|first| first.stream) {
            let of_stream = all.partition_point(|segment| segment.stream == stream);
            let later = all.split_off(of_stream);
            let members: Vec<Member> = all
                .iter()
                .map(|segment| Member {
                    epoch: 1,
                    n: segment.n,
                    entry: segment.pass.entry,
                    span: segment.pass.span,
                    size_bytes: 1,
                    stored_for: Some(now - segment.pass.span.end),
                })
                .collect();
            for due in block::due(&members, BLOCKS).into_iter().rev() {
                if due.len() < 2 {
                    continue;
                }
                let block: Vec<Segment> = all.drain(due).collect();
                let span = block[0].pass.span.cover(block[block.len() - 1].pass.span);
                assert!(span.length() <= BLOCKS.length, "{span:?}");
                for segment in &block {
                    assert_eq!(segment.pass.entry, block[0].pass.entry);
                    assert!(now - segment.pass.span.end >= BLOCKS.after);
                }
                self.made += 1;
                self.blocks.push(block);
            }
            rest.append(&mut all);
            all = later;
        }
        self.segments = rest;
    }

    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        let in_blocks = self.blocks.iter().flatten();
        self.segments
            .iter()
            .chain(in_blocks)
            .flat_map(|segment| &segment.pieces)
    }
}

/// What of a segment may stay.
fn kept(gate: &Gate, mut segment: Segment) -> Option<Segment> {
    if recut::is_whole(gate, &segment.pass) {
        return Some(segment);
    }
    let allowed = recut::allowed(gate, &segment.pass);
    segment
        .pieces
        .retain(|piece| recut::is_within(piece.placed, &allowed));
    let (first, last) = (segment.pieces.first()?, segment.pieces.last()?);
    let left = Span::new(first.placed.start, last.placed.end);
    segment.pass = recut::rest(gate, &segment.pass, left)?;
    Some(segment)
}
