//! What all streams share: the schedule, the jobs that are out, and where captions go.

use super::{Caption, Translation, decoder::Decoder};
use crate::domain::{
    gate::{Gate, Pass, Transcription, Verdict},
    id::SegmentId,
    schedule::{Answer, Job, Kind, Schedule},
    time::{Micros, Span, total},
    transcript::{Hypothesis, doubt, kept},
};
use crate::speech::{TRANSLATED_TO, decoder, protocol::Language};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

/// Finals and retractions kept for a meeting that does not take them: minutes of them. Beyond it
/// something is broken.
const STASH_MAX: usize = 4_096;

/// A translation that gave way so long after its final is not tried again.
const TRANSLATED_WITHIN: Duration = Duration::from_secs(60);

/// A decode asked for.
#[derive(Clone)]
pub struct Task {
    pub meeting: u64,
    pub stream: u64,
    pub utterance: u64,
    pub kind: Kind,
    /// Whether something of its utterance is on the screens.
    pub shown: bool,
    /// Whose, which audio, and the consent entry behind it.
    pub pass: Pass,
    pub gate: Arc<Gate>,
    pub voiced: Vec<Span>,
    pub pcm: Arc<[f32]>,
    pub language: Language,
    pub among: Vec<String>,
    pub glossary: Option<String>,
    /// What the speaker said before, allowed by the same consent entry.
    pub before: Option<String>,
    pub translates: Option<Translates>,
}

/// The final that is translated.
#[derive(Clone, Copy)]
pub struct Translates {
    pub segment: SegmentId,
    pub revision: u32,
    pub asked: Instant,
}

impl Task {
    fn may_go(&self) -> bool {
        self.gate.still::<Transcription>(&self.pass) == Verdict::Keep
    }
}

/// Where a meeting's captions go.
pub struct CaptionSink {
    pub captions: mpsc::Sender<Caption>,
    stash: VecDeque<Caption>,
    pub finish: Option<Finish>,
}

/// Somebody waits until everything was said.
pub struct Finish {
    pub done: oneshot::Sender<()>,
    /// Translations that are not there by then are left out.
    pub translated_by: Option<Instant>,
}

impl CaptionSink {
    pub fn new(captions: mpsc::Sender<Caption>) -> Self {
        Self {
            captions,
            stash: VecDeque::new(),
            finish: None,
        }
    }

    pub fn is_flushed(&self) -> bool {
        self.stash.is_empty()
    }

    /// Whether nobody waits for anything.
    fn is_settled(&self) -> bool {
        self.is_flushed() && self.finish.is_none()
    }

    fn flush(&mut self) {
        while let Some(caption) = self.stash.pop_front() {
            if let Err(TrySendError::Full(caption)) = self.captions.try_send(caption) {
                self.stash.push_front(caption);
                return;
            }
        }
    }
}

/// Hands the decodes of all meetings to the decoder in the schedule's order.
pub struct Dispatch {
    decoder: Decoder,
    schedule: Schedule,
    tasks: BTreeMap<u64, Task>,
    running: BTreeMap<u64, Instant>,
    next: u64,
    started: Instant,
    pub sinks: BTreeMap<u64, CaptionSink>,
    /// The language of a model that knows only one.
    language: Option<String>,
    /// Whether the model takes what was said before.
    context: bool,
}

impl Dispatch {
    pub fn new(
        decoder: Decoder,
        schedule: Schedule,
        language: Option<String>,
        context: bool,
    ) -> Self {
        Self {
            decoder,
            schedule,
            tasks: BTreeMap::new(),
            running: BTreeMap::new(),
            next: 0,
            started: Instant::now(),
            sinks: BTreeMap::new(),
            language,
            context,
        }
    }

    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
            && self.schedule.step() as usize == 0
            && self.sinks.values().all(CaptionSink::is_settled)
    }

    fn now(&self) -> Micros {
        Micros(self.started.elapsed().as_micros() as i64)
    }

    pub fn partial_after(&self, length: Micros, shown: bool) -> Option<Micros> {
        self.schedule.partial_after(length, shown)
    }

    pub fn is_running(&self, job: u64) -> bool {
        self.running.contains_key(&job)
    }

    /// Queues a decode; `None` when it is refused.
    pub fn offer(&mut self, mut task: Task) -> Option<u64> {
        let id = self.next;
        self.next += 1;
        if let Some(name) = self.language.clone() {
            task.language = Language::Fixed { name };
        }
        task.before = task.before.filter(|_| self.context);
        let audio = task.pass.span.length();
        let job = Job {
            id,
            meeting: task.meeting,
            stream: task.stream,
            kind: task.kind,
            audio,
            first: !task.shown,
        };
        match self.schedule.offer(job, self.now()) {
            Answer::Refused => {
                metrics::counter!("hansard_speech_refused_total", "kind" => task.kind.as_str())
                    .increment(1);
                None
            }
            Answer::Waits { instead_of } => {
                if let Some(earlier) = instead_of {
                    self.tasks.remove(&earlier);
                    metrics::counter!("hansard_speech_partials_dropped_total").increment(1);
                }
                self.tasks.insert(id, task);
                Some(id)
            }
        }
    }

    /// A guess is a final now; `false` when it is not here any more.
    pub fn promote(&mut self, job: u64) -> bool {
        if !self.schedule.promote(job) {
            return false;
        }
        if let Some(task) = self.tasks.get_mut(&job) {
            task.kind = Kind::Final;
        }
        true
    }

    /// The speaker went on after a guess: it is a partial now, or taken back (`false`).
    pub fn demote(&mut self, job: u64) -> bool {
        if !self.schedule.demote(job) {
            self.cancel(job);
            return false;
        }
        if let Some(task) = self.tasks.get_mut(&job) {
            task.kind = Kind::Partial;
        }
        true
    }

    /// Takes a job back, or asks to stop it.
    pub fn cancel(&mut self, job: u64) {
        if self.schedule.cancel(job) {
            self.tasks.remove(&job);
        } else if self.is_running(job) {
            self.decoder.abort(job);
        }
    }

    /// Takes what a speaker said before out of what waits, and stops what runs with it.
    pub fn drop_context(&mut self, stream: u64) {
        for (id, task) in &mut self.tasks {
            if task.stream == stream
                && task.before.take().is_some()
                && self.running.contains_key(id)
            {
                self.decoder.abort(*id);
            }
        }
    }

    /// Sends what may start now; gives the streams whose jobs the gate no longer lets out.
    pub fn pump(&mut self) -> Vec<u64> {
        let mut stopped = Vec::new();
        while let Some(job) = self.schedule.take(self.now()) {
            let Some(task) = self.tasks.get(&job.id) else {
                self.schedule.done(job.id, None, self.now());
                continue;
            };
            if !task.may_go() {
                stopped.push(task.stream);
                self.tasks.remove(&job.id);
                self.schedule.done(job.id, None, self.now());
                continue;
            }
            let sent = self.decoder.submit(decoder::Job {
                id: job.id,
                pcm: task.pcm.clone(),
                language: task.language.clone(),
                among: task.among.clone(),
                glossary: task.glossary.clone(),
                before: task.before.clone(),
                translate: task.translates.is_some(),
                voiced: total(&task.voiced),
                effort: self.schedule.effort(task.kind),
            });
            if sent {
                self.running.insert(job.id, Instant::now());
            } else {
                // Cannot be while the schedule counts workers; if it is, the job waits again.
                tracing::error!("the speech decoder takes no work");
                self.schedule.done(job.id, None, self.now());
                self.schedule.offer(job, self.now());
                break;
            }
        }
        for job in self.schedule.preempt(self.now()) {
            self.decoder.abort(job);
        }
        self.forget_dropped();
        stopped
    }

    /// A job came back: what it was.
    pub fn done(&mut self, id: u64, outcome: &decoder::Outcome) -> Option<Task> {
        let took = match outcome {
            decoder::Outcome::Decoded { work, .. } => Some(work.took),
            _ => None,
        };
        self.schedule.done(id, took, self.now());
        let sent = self.running.remove(&id)?;
        let task = self.tasks.remove(&id)?;
        if let decoder::Outcome::Decoded { work, .. } = outcome {
            tracing::debug!(
                kind = task.kind.as_str(),
                voiced_ms = total(&task.voiced).as_ms(),
                took_ms = work.took.as_ms(),
                passes = work.passes,
                "decoded"
            );
            metrics::histogram!("hansard_speech_decode_seconds", "kind" => task.kind.as_str())
                .record(sent.elapsed());
        }
        Some(task)
    }

    /// Whether a final of the meeting is still to be translated.
    pub fn is_translating(&self, meeting: u64) -> bool {
        let mut tasks = self.tasks.values();
        tasks.any(|task| task.translates.is_some() && task.meeting == meeting)
    }

    /// Gives up what is still to be translated of a meeting.
    pub fn leave_untranslated(&mut self, meeting: u64) {
        let of_meeting = |task: &Task| task.translates.is_some() && task.meeting == meeting;
        let left: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| of_meeting(task))
            .map(|(id, _)| *id)
            .collect();
        metrics::counter!("hansard_speech_untranslated_total").increment(left.len() as u64);
        for id in left {
            self.cancel(id);
            // What runs is not known any more when it comes back.
            self.tasks.remove(&id);
        }
    }

    /// A translation came back: it is told, if the gate still allows it.
    pub fn translated(&mut self, task: Task, outcome: decoder::Outcome) {
        let Some(Translates {
            segment,
            revision,
            asked,
        }) = task.translates
        else {
            return;
        };
        if !task.may_go() {
            return;
        }
        let text = match outcome {
            decoder::Outcome::Decoded { hypothesis, .. } => {
                translation(&hypothesis, total(&task.voiced))
            }
            // It gave way to others.
            decoder::Outcome::Aborted => {
                let again = task.kind == Kind::Late || asked.elapsed() < TRANSLATED_WITHIN;
                if again && self.offer(task.clone()).is_some() {
                    return;
                }
                None
            }
            decoder::Outcome::Failed(_) => None,
        };
        let Some(text) = text else {
            metrics::counter!("hansard_speech_untranslated_total").increment(1);
            return;
        };
        let meeting = task.meeting;
        let translation = Translation {
            segment,
            revision,
            language: TRANSLATED_TO.to_owned(),
            text,
            pass: task.pass,
        };
        self.tell(meeting, Caption::Translated(translation));
    }

    pub fn tick(&mut self) {
        let before = self.schedule.step();
        let step = self.schedule.tick(self.now());
        self.forget_dropped();
        if step != before {
            tracing::info!(from = ?before, to = ?step, "speech load step");
        }
        metrics::gauge!("hansard_speech_step").set(step as u8);
        metrics::gauge!("hansard_speech_busy_ratio").set(self.schedule.busy_share(self.now()));
        metrics::gauge!("hansard_speech_waiting_audio_seconds")
            .set(self.schedule.waiting_audio(None).0 as f64 / 1e6);
        for kind in Kind::ALL {
            metrics::gauge!("hansard_speech_waiting_jobs", "kind" => kind.as_str())
                .set(self.schedule.depth(kind) as f64);
        }
        for sink in self.sinks.values_mut() {
            sink.flush();
        }
    }

    fn forget_dropped(&mut self) {
        for id in self.schedule.dropped() {
            self.tasks.remove(&id);
            metrics::counter!("hansard_speech_partials_dropped_total").increment(1);
        }
    }

    /// Tells a meeting. A partial that finds no sink is dropped, the next one says more; finals and
    /// retractions wait.
    pub fn tell(&mut self, meeting: u64, caption: Caption) {
        let Some(sink) = self.sinks.get_mut(&meeting) else {
            return;
        };
        metrics::counter!("hansard_speech_captions_total", "kind" => caption.kind()).increment(1);
        sink.flush();
        let durable = !matches!(caption, Caption::Partial(_));
        if !sink.is_flushed() {
            if !durable {
                return;
            }
            if sink.stash.len() < STASH_MAX {
                sink.stash.push_back(caption);
            } else {
                tracing::error!("a meeting takes no captions; one is lost");
            }
            return;
        }
        if let Err(TrySendError::Full(caption)) = sink.captions.try_send(caption)
            && durable
        {
            sink.stash.push_back(caption);
        }
    }
}

/// What a translation says; `None` when it is not to be believed.
fn translation(hypothesis: &Hypothesis, voiced: Micros) -> Option<String> {
    let words = kept(&hypothesis.words, doubt(hypothesis, voiced));
    let text = words.iter().fold(String::new(), |mut text, word| {
        if word.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.text);
        text
    });
    (!text.is_empty()).then_some(text)
}
