//! The one task that owns every stream's speech: it hears, asks the decoder, and tells the
//! meetings.

use super::{
    Caption, StreamOptions,
    decoder::Outcome,
    dispatch::{CaptionSink, Dispatch, Finish},
    voice::Voice,
};
use crate::domain::{
    endpoint::Thresholds,
    gate::{Admitted, Gate, Transcription},
    schedule::Step,
    time::{MeetingTime, Span},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// How often the load is looked at while there is any.
const TICK: Duration = Duration::from_millis(100);

/// From the handles. Streams and meetings are known by keys of this process.
pub enum Message {
    Meet {
        meeting: u64,
        captions: mpsc::Sender<Caption>,
        open: Arc<AtomicBool>,
    },
    Open {
        meeting: u64,
        stream: u64,
        options: StreamOptions,
        gate: Arc<Gate>,
    },
    Sound {
        stream: u64,
        sound: Admitted<Transcription, Vec<f32>>,
        start: MeetingTime,
    },
    Gap {
        stream: u64,
        span: Span,
    },
    Close {
        stream: u64,
    },
    Tick {
        meeting: u64,
        now: MeetingTime,
    },
    Withdrawn {
        meeting: u64,
    },
    Finish {
        meeting: u64,
        finish: Finish,
    },
    Abandon {
        meeting: u64,
    },
}

/// What others may look at.
#[derive(Default)]
pub struct Load {
    step: AtomicU8,
}

impl Load {
    pub fn step(&self) -> Step {
        Step::of(self.step.load(Ordering::Relaxed))
    }
}

pub struct SpeechTask {
    pub inbox: mpsc::Receiver<Message>,
    pub outcomes: mpsc::Receiver<(u64, Outcome)>,
    pub dispatch: Dispatch,
    pub endpoint: Thresholds,
    pub load: Arc<Load>,
    voices: BTreeMap<u64, Voice>,
    /// Whether a meeting has an utterance open, so that its ticks matter.
    open: BTreeMap<u64, Arc<AtomicBool>>,
}

impl SpeechTask {
    pub fn new(
        inbox: mpsc::Receiver<Message>,
        outcomes: mpsc::Receiver<(u64, Outcome)>,
        dispatch: Dispatch,
        endpoint: Thresholds,
        load: Arc<Load>,
    ) -> Self {
        Self {
            inbox,
            outcomes,
            dispatch,
            endpoint,
            load,
            voices: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// Runs until the last handle is gone.
    pub async fn run(mut self) {
        let mut look = Instant::now() + TICK;
        loop {
            let wake = if self.dispatch.is_idle() {
                Instant::now() + Duration::from_secs(3_600)
            } else {
                look
            };
            tokio::select! {
                biased;
                outcome = self.outcomes.recv() => match outcome {
                    Some((id, outcome)) => self.outcome(id, outcome),
                    None => return,
                },
                message = self.inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = sleep_until(wake) => {}
            }
            for stream in self.dispatch.pump() {
                self.with(stream, |voice, dispatch| voice.check(dispatch));
            }
            if Instant::now() >= look {
                self.dispatch.tick();
                self.load
                    .step
                    .store(self.dispatch.schedule().step() as u8, Ordering::Relaxed);
                look = Instant::now() + TICK;
                let sinks: Vec<u64> = self.dispatch.sinks.keys().copied().collect();
                sinks.into_iter().for_each(|meeting| self.settle(meeting));
            }
        }
    }

    fn outcome(&mut self, id: u64, outcome: Outcome) {
        if let Outcome::Failed(error) = &outcome {
            tracing::warn!(%error, "an utterance could not be decoded");
        }
        let Some(task) = self.dispatch.done(id, &outcome) else {
            return;
        };
        let (stream, meeting) = (task.stream, task.meeting);
        if task.translates.is_some() {
            self.dispatch.translated(task, outcome);
            return self.settle(meeting);
        }
        self.with(stream, |voice, dispatch| {
            voice.outcome(id, task, outcome, dispatch)
        });
        self.settle(meeting);
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Meet {
                meeting,
                captions,
                open,
            } => {
                self.dispatch
                    .sinks
                    .insert(meeting, CaptionSink::new(captions));
                self.open.insert(meeting, open);
            }
            Message::Open {
                meeting,
                stream,
                options,
                gate,
            } => {
                self.voices.insert(
                    stream,
                    Voice::new(stream, meeting, options, gate, self.endpoint),
                );
            }
            Message::Sound {
                stream,
                sound,
                start,
            } => {
                self.with(stream, |voice, dispatch| {
                    voice.sound(sound, start, dispatch)
                });
            }
            Message::Gap { stream, span } => {
                self.with(stream, |voice, dispatch| voice.gap(span, dispatch))
            }
            Message::Close { stream } => self.with(stream, Voice::close),
            Message::Tick { meeting, now } => {
                self.each(meeting, |voice, dispatch| voice.tick(now, dispatch))
            }
            Message::Withdrawn { meeting } => self.each(meeting, Voice::check),
            Message::Finish { meeting, finish } => {
                self.each(meeting, Voice::close);
                if let Some(sink) = self.dispatch.sinks.get_mut(&meeting) {
                    sink.finish = Some(finish);
                }
                self.settle(meeting);
            }
            Message::Abandon { meeting } => {
                self.each(meeting, Voice::abandon);
                self.dispatch.leave_untranslated(meeting);
                self.dispatch.sinks.remove(&meeting);
                self.open.remove(&meeting);
            }
        }
    }

    /// Does something to a stream and keeps the books.
    fn with(&mut self, stream: u64, act: impl FnOnce(&mut Voice, &mut Dispatch)) {
        let Some(voice) = self.voices.get_mut(&stream) else {
            return;
        };
        act(voice, &mut self.dispatch);
        let (meeting, open, done) = (voice.meeting(), voice.is_open(), voice.is_done());
        if done {
            self.voices.remove(&stream);
        }
        if let Some(flag) = self.open.get(&meeting)
            && open != flag.load(Ordering::Relaxed)
        {
            let any = self
                .voices
                .values()
                .any(|voice| voice.meeting() == meeting && voice.is_open());
            flag.store(any, Ordering::Relaxed);
        }
    }

    fn each(&mut self, meeting: u64, act: impl Fn(&mut Voice, &mut Dispatch)) {
        let streams: Vec<u64> = self
            .voices
            .iter()
            .filter(|(_, voice)| voice.meeting() == meeting)
            .map(|(key, _)| *key)
            .collect();
        for stream in streams {
            self.with(stream, |voice, dispatch| act(voice, dispatch));
        }
    }

    /// A meeting that is finishing and has nothing left to say is told so.
    fn settle(&mut self, meeting: u64) {
        if self.voices.values().any(|voice| voice.meeting() == meeting) {
            return;
        }
        let Some(sink) = self.dispatch.sinks.get(&meeting) else {
            return;
        };
        let Some(finish) = &sink.finish else {
            return;
        };
        if self.dispatch.is_translating(meeting) {
            let by = finish.translated_by;
            if by.is_none_or(|by| std::time::Instant::now() < by) {
                return;
            }
            self.dispatch.leave_untranslated(meeting);
        }
        let Some(sink) = self.dispatch.sinks.get_mut(&meeting) else {
            return;
        };
        if sink.is_flushed() {
            if let Some(finish) = sink.finish.take() {
                let _ = finish.done.send(());
            }
            self.dispatch.sinks.remove(&meeting);
            self.open.remove(&meeting);
        }
    }
}
