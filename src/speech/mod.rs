//! Speech to captions, for every meeting of the process.
//!
//! [`Speech::start`] starts the decoder's child process and one task ([`task`]) that owns every
//! stream. A meeting takes a [`Meeting`] and the receiver of its [`Caption`]s; each of its streams
//! is a [`Stream`] that takes sound admitted for transcription: there is no way to give it any
//! other. On the way: [`vad`] and `domain/endpoint` find utterances, `domain/schedule` orders
//! decodes, [`decoder`] and [`child`] make words, `domain/transcript` makes captions.
//!
//! Time is told, never read: a stream's by its sound and gaps, a meeting's by [`Meeting::tick`],
//! which matters only while somebody speaks and should then come every 50 ms or so.

pub mod bench;
pub mod child;
pub mod decoder;
mod dispatch;
mod evidence;
pub mod fetch;
pub mod measured;
pub mod model;
pub mod offline;
pub mod protocol;
mod segmenter;
mod task;
pub mod vad;
mod voice;

use crate::domain::{
    endpoint, event,
    gate::{Admitted, Gate, Pass, Transcription},
    id::{ParticipantId, SegmentId, StreamId},
    schedule::{Cost, Schedule, Step},
    stream::MediaSource,
    time::{MeetingTime, Micros, Span},
    transcript::{RetractionReason, Word},
};
use decoder::{Decoder, DecoderConfig, Speed, Status};
use dispatch::Finish;
use model::Model;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use task::{Load, Message, SpeechTask};
use tokio::sync::{mpsc, oneshot, watch};

/// Messages to the task: seconds of sound of hundreds of streams.
const INBOX_MAX: usize = 16_384;
/// Room in the inbox that sound leaves to everything else.
const INBOX_RESERVE: usize = 2_048;
/// Captions waiting for a meeting's loop.
const CAPTIONS_MAX: usize = 1_024;
/// All that Whisper translates into.
pub const TRANSLATED_TO: &str = "en";
/// Longest glossary text that is worth giving to the decoder, which takes 40 tokens of it.
const PROMPT_CHARS_MAX: usize = 400;

#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// The program to start as decoder, ours.
    pub program: PathBuf,
    pub model: Model,
    pub model_path: PathBuf,
    /// Decodes at the same time; one core each.
    pub states: usize,
    /// The longest that a decode may be out before the child counts as hanging; a slow model gets
    /// more.
    pub hang_after: Duration,
    /// Decode on the first GPU: for builds with `cuda`, `vulkan` or `metal`.
    pub gpu: bool,
}

impl SpeechConfig {
    /// One state per core, and a limit that even an official model in its full window stays under.
    pub fn new(model: Model, model_path: PathBuf, gpu: bool) -> anyhow::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            model,
            model_path,
            states: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            hang_after: Duration::from_secs(30),
            gpu,
        })
    }
}

impl From<&SpeechConfig> for DecoderConfig {
    fn from(config: &SpeechConfig) -> Self {
        Self {
            program: config.program.clone(),
            model: config.model.clone(),
            model_path: config.model_path.clone(),
            states: config.states,
            hang_after: config.hang_after,
            gpu: config.gpu,
        }
    }
}

/// A stream to listen to.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    pub participant: ParticipantId,
    pub stream: StreamId,
    pub source: MediaSource,
    /// ISO 639-1; `None` lets a multilingual model find out,
    pub language: Option<String>,
    /// among these; empty: among all that it knows.
    pub languages: Vec<String>,
    /// Words that this meeting uses; only models trained with prompts take them.
    pub glossary: Vec<String>,
    /// Each final is translated into English as well; only multilingual models can.
    pub translate: bool,
    /// Nobody waits for its words: it comes from a file, after everything that is said now, without
    /// partials.
    pub late: bool,
}

/// As much of a glossary as a decoder takes, as a line of text.
pub fn glossary_prompt(glossary: &[String]) -> Option<String> {
    let mut prompt = String::new();
    for word in glossary {
        if prompt.len() + word.len() + 2 > PROMPT_CHARS_MAX {
            break;
        }
        if !prompt.is_empty() {
            prompt.push_str(", ");
        }
        prompt.push_str(word);
    }
    (!prompt.is_empty()).then(|| prompt + ".")
}

/// What was said, so far or for good.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    pub segment: SegmentId,
    /// Rises with every caption of the segment.
    pub revision: u32,
    pub participant: ParticipantId,
    pub stream: StreamId,
    pub source: MediaSource,
    /// From the first voice to the last.
    pub span: Span,
    pub text: String,
    /// UTF-16 units of `text` that later partials will not change; all of a final.
    pub stable_chars: u32,
    pub words: Vec<Word>,
    pub language: Option<String>,
    /// Whose audio it was decoded from, and the consent entry that allowed it: ask [`Gate::still`]
    /// before storing or sending.
    pub pass: Pass,
}

/// A segment that was shown is taken back (or one was lost unseen).
#[derive(Clone, PartialEq, Debug)]
pub struct Retraction {
    pub segment: SegmentId,
    pub revision: u32,
    pub participant: ParticipantId,
    pub stream: StreamId,
    pub span: Span,
    pub reason: RetractionReason,
}

/// What a final says in another language. Comes after it, when there is time for it, or not at all.
#[derive(Clone, PartialEq, Debug)]
pub struct Translation {
    pub segment: SegmentId,
    /// Of the final.
    pub revision: u32,
    pub language: String,
    pub text: String,
    /// As its final's.
    pub pass: Pass,
}

impl Translation {
    /// As it is told.
    pub fn told(&self) -> event::Translation {
        event::Translation {
            segment_id: self.segment,
            revision: self.revision,
            language: self.language.clone(),
            text: self.text.clone(),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Caption {
    Partial(Line),
    Final(Line),
    Translated(Translation),
    Retracted(Retraction),
}

impl Caption {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Partial(_) => "partial",
            Self::Final(_) => "final",
            Self::Translated(_) => "translated",
            Self::Retracted(_) => "retracted",
        }
    }
}

/// The process's speech; ends with its last clone and the last meeting.
#[derive(Clone)]
pub struct Speech {
    inbox: mpsc::Sender<Message>,
    decoder: Decoder,
    load: Arc<Load>,
    keys: Arc<AtomicU64>,
    prompts: bool,
    states: usize,
    model: event::LiveModel,
}

impl Speech {
    /// Starts the decoder, loads its model and measures its speed: seconds for a large one.
    pub async fn start(settings: SpeechConfig) -> anyhow::Result<Self> {
        let (decoder, outcomes) = Decoder::start((&settings).into()).await?;
        let model = settings.model;
        let speed = decoder.speed();
        tracing::info!(
            model = model.name,
            ?speed,
            states = settings.states,
            "speech is ready"
        );
        let schedule = Schedule::new(settings.states, Cost::new(speed.fixed, speed.per_second));
        let dispatch = dispatch::Dispatch::new(
            decoder.clone(),
            schedule,
            model.only_language().map(str::to_owned),
            model.context,
        );
        let (inbox, messages) = mpsc::channel(INBOX_MAX);
        let load = Arc::new(Load::default());
        let endpoint = endpoint::Thresholds::new(model.longest());
        tokio::spawn(SpeechTask::new(messages, outcomes, dispatch, endpoint, load.clone()).run());
        Ok(Self {
            inbox,
            decoder,
            load,
            keys: Arc::default(),
            prompts: model.prompt,
            states: settings.states,
            model: event::LiveModel {
                name: model.name.clone(),
                bundled: model.bundled,
            },
        })
    }

    /// A meeting to transcribe, behind its gate. Captions come until [`Meeting::finish`] or the
    /// handle is dropped.
    pub fn meeting(&self, gate: Arc<Gate>) -> (Meeting, mpsc::Receiver<Caption>) {
        let (captions, receiver) = mpsc::channel(CAPTIONS_MAX);
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let open = Arc::new(AtomicBool::new(false));
        let meeting = Meeting {
            key,
            inbox: self.inbox.clone(),
            gate,
            open: open.clone(),
            keys: self.keys.clone(),
            prompts: self.prompts,
            translates: self.translates(),
        };
        meeting.tell(Message::Meet {
            meeting: key,
            captions,
            open,
        });
        (meeting, receiver)
    }

    /// How far the decoding has degraded; [`Step::Full`] means: take no new meetings.
    pub fn step(&self) -> Step {
        self.load.step()
    }

    /// Whether the model can translate.
    pub fn translates(&self) -> bool {
        self.decoder.status().multilingual
    }

    /// What it decodes by.
    pub fn model(&self) -> &event::LiveModel {
        &self.model
    }

    pub fn speed(&self) -> Speed {
        self.decoder.speed()
    }

    /// The decoder child: its process id, what it has in flight, how often it was started again.
    pub fn status(&self) -> Status {
        self.decoder.status()
    }

    /// Whether sound may be pushed. Without room it is better left where it is, as Opus, than
    /// pushed and lost.
    pub fn has_room(&self) -> bool {
        has_room(&self.inbox)
    }

    pub fn watch(&self) -> watch::Receiver<Status> {
        self.decoder.watch()
    }

    /// How many people may speak at once before captions suffer, by the speed measured at start:
    /// with one utterance of 4 s, its partials and its final at a time, and a quarter of the cores
    /// left to everything else.
    pub fn capacity(&self) -> usize {
        let cost = |ms| self.speed().of(Micros::from_ms(ms)).0;
        let utterance: i64 = [900, 1_500, 2_100, 2_700, 3_300, 4_700]
            .into_iter()
            .map(cost)
            .sum();
        (self.states * 4_700_000 * 3 / 4 / usize::try_from(utterance.max(1)).unwrap_or(usize::MAX))
            .max(1)
    }
}

/// One meeting's speech. Dropping it without [`Meeting::finish`] forgets what is open without a
/// word.
pub struct Meeting {
    key: u64,
    inbox: mpsc::Sender<Message>,
    gate: Arc<Gate>,
    open: Arc<AtomicBool>,
    keys: Arc<AtomicU64>,
    prompts: bool,
    translates: bool,
}

impl Meeting {
    pub fn open(&self, mut options: StreamOptions) -> Stream {
        if !self.prompts {
            options.glossary.clear();
        }
        if options.translate && !self.translates {
            tracing::warn!(
                "a meeting asks for translations, and this worker's model cannot translate"
            );
            options.translate = false;
        }
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        self.tell(Message::Open {
            meeting: self.key,
            stream: key,
            options,
            gate: self.gate.clone(),
        });
        Stream {
            key,
            inbox: self.inbox.clone(),
        }
    }

    /// The meeting's time: utterances end by it where no audio comes (mute, DTX).
    pub fn tick(&self, now: MeetingTime) {
        self.ticker().tick(now);
    }

    /// Tells the time from elsewhere.
    pub fn ticker(&self) -> Ticker {
        Ticker {
            key: self.key,
            inbox: self.inbox.clone(),
            open: self.open.clone(),
        }
    }

    /// The gate closed for somebody: looks at everything inside again, at once.
    pub fn withdrawn(&self) {
        self.tell(Message::Withdrawn { meeting: self.key });
    }

    /// Ends every open utterance and waits until the last final or retraction is in the receiver.
    /// Translations that are not there by then are left out (`None`: it waits for all of them).
    /// Bound it: with a decoder that is being started again it may take a while.
    pub async fn finish(self, translated_by: Option<Instant>) {
        let (done, said) = oneshot::channel();
        self.tell(Message::Finish {
            meeting: self.key,
            finish: Finish {
                done,
                translated_by,
            },
        });
        let _ = said.await;
    }

    fn tell(&self, message: Message) {
        tell(&self.inbox, message);
    }
}

/// Tells a meeting's speech the time. After the meeting's end it tells nobody.
#[derive(Clone)]
pub struct Ticker {
    key: u64,
    inbox: mpsc::Sender<Message>,
    open: Arc<AtomicBool>,
}

impl Ticker {
    /// As [`Meeting::tick`].
    pub fn tick(&self, now: MeetingTime) {
        if self.open.load(Ordering::Relaxed) {
            let meeting = self.key;
            tell(&self.inbox, Message::Tick { meeting, now });
        }
    }
}

fn tell(inbox: &mpsc::Sender<Message>, message: Message) {
    if inbox.try_send(message).is_err() {
        metrics::counter!("hansard_speech_inbox_full_total").increment(1);
        tracing::error!("speech takes no messages");
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // After `finish` there is nothing left of it and this does nothing.
        let _ = self.inbox.try_send(Message::Abandon { meeting: self.key });
    }
}

fn has_room(inbox: &mpsc::Sender<Message>) -> bool {
    inbox.capacity() > INBOX_RESERVE
}

/// One stream's way into speech. Dropping it closes it: what is open is finalised.
pub struct Stream {
    key: u64,
    inbox: mpsc::Sender<Message>,
}

impl Stream {
    /// 16 kHz mono samples, −1 to 1, the first captured at `start`. `false`: there was no room, it
    /// is lost.
    pub fn push(&self, sound: Admitted<Transcription, Vec<f32>>, start: MeetingTime) -> bool {
        let sent = has_room(&self.inbox)
            && self
                .inbox
                .try_send(Message::Sound {
                    stream: self.key,
                    sound,
                    start,
                })
                .is_ok();
        if !sent {
            metrics::counter!("hansard_speech_inbox_full_total").increment(1);
        }
        sent
    }

    /// As [`Speech::has_room`].
    pub fn has_room(&self) -> bool {
        has_room(&self.inbox)
    }

    /// Sound of this span will not come: lost, muted, not admitted.
    pub fn gap(&self, span: Span) {
        let _ = self.inbox.try_send(Message::Gap {
            stream: self.key,
            span,
        });
    }

    /// Finalises what is open, now.
    pub fn close(self) {}
}

#[cfg(test)]
impl Stream {
    /// A stream into an inbox with room for so much sound, which nobody empties but the test.
    pub(crate) fn with_room(room: usize) -> (Self, mpsc::Receiver<Message>) {
        let (inbox, messages) = mpsc::channel(INBOX_RESERVE + room);
        (Self { key: 0, inbox }, messages)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.inbox.try_send(Message::Close { stream: self.key });
    }
}
