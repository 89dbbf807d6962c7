//! An utterance on its way to its final.

use crate::{
    domain::{
        id::SegmentId,
        time::{MeetingTime, Span},
        transcript::{Hypothesis, Segment},
    },
    speech::dispatch::Dispatch,
};
use std::{sync::Arc, time::Instant};

/// An utterance from its onset until its final is told.
pub(super) struct Utterance {
    pub segment: Segment,
    /// Made when there is something to show.
    pub id: Option<SegmentId>,
    /// What its partials sounded like.
    pub language: Option<String>,
    /// The consent entry that allowed its audio.
    pub entry: i64,
    pub span: Span,
    pub voiced: Vec<Span>,
    /// The partial waiting or running.
    pub partial: Option<u64>,
    /// How far into the voice the last partial asked for went.
    pub asked_until: MeetingTime,
    /// How far the last one shown went.
    pub shown_until: MeetingTime,
    pub guess: Option<Guess>,
    pub ended: Option<Ended>,
    pub withdrawn: bool,
}

pub(super) struct Guess {
    pub job: u64,
    pub span: Span,
    pub result: Option<Result<Hypothesis, ()>>,
}

pub(super) struct Ended {
    pub job: Option<u64>,
    pub pcm: Arc<[f32]>,
    pub at: Instant,
}

impl Utterance {
    pub fn drop_partial(&mut self, dispatch: &mut Dispatch) {
        if let Some(job) = self.partial.take() {
            dispatch.cancel(job);
        }
    }

    /// Every job that is out for it is of no more use.
    pub fn stop_all(&mut self, dispatch: &mut Dispatch) {
        self.drop_partial(dispatch);
        if let Some(guess) = self.guess.take() {
            dispatch.cancel(guess.job);
        }
        if let Some(job) = self.ended.as_mut().and_then(|ended| ended.job.take()) {
            dispatch.cancel(job);
        }
    }

    pub fn stop(mut self, dispatch: &mut Dispatch) {
        self.stop_all(dispatch);
    }
}
