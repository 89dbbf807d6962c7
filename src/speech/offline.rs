//! Sound decoded without any hurry, by a decoder process of its own that gives way to everything
//! else: utterance by utterance, with what was said before as context.

use super::{
    SpeechConfig,
    decoder::{self, Decoder, Outcome},
    evidence::hull,
    glossary_prompt,
    protocol::Language,
    segmenter::Segmenter,
};
use crate::domain::{
    endpoint::{Decision, Thresholds},
    gate::{Admitted, Pass, Transcription},
    id::ParticipantId,
    schedule::Effort,
    time::{Micros, Span, total},
    transcript::{Before, Spoken, Word, doubt, place, said, text},
};
use anyhow::{Context as _, bail};
use rustix::process::{Pid, setpriority_pgrp};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How the decoder's processes stand to all others: behind them.
const NICE: i32 = 19;

/// A model without anything live to do.
pub struct Offline {
    decoder: Decoder,
    outcomes: mpsc::Receiver<(u64, Outcome)>,
    endpoint: Thresholds,
    /// The language of a model that knows only one.
    language: Option<String>,
    takes_glossary: bool,
    takes_context: bool,
    next: u64,
    /// The process that was told to give way.
    background: Option<u32>,
}

/// What all utterances of a meeting are decoded with.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// ISO 639-1; `None` lets a multilingual model find out.
    pub language: Option<String>,
    /// Where that is `None`, the languages that it may be; empty: all that the model knows.
    pub languages: Vec<String>,
    pub glossary: Vec<String>,
}

/// What was heard of an utterance.
pub struct Heard {
    /// `None`: it is doubtful.
    pub words: Option<Vec<Word>>,
    pub language: Option<String>,
}

impl Offline {
    /// Starts the process and loads the model.
    pub async fn start(settings: SpeechConfig) -> anyhow::Result<Self> {
        let (decoder, outcomes) = Decoder::start((&settings).into()).await?;
        let model = settings.model;
        let endpoint = Thresholds::offline(model.longest());
        let (takes_glossary, takes_context) = (model.prompt, model.context);
        let language = model.only_language().map(str::to_owned);
        Ok(Self {
            decoder,
            outcomes,
            endpoint,
            language,
            takes_glossary,
            takes_context,
            next: 1,
            background: None,
        })
    }

    /// Finds utterances in sound as this model wants them.
    pub fn utterances(&self, participant: ParticipantId) -> Utterances {
        Utterances {
            segmenter: Segmenter::new(self.endpoint),
            participant,
            entry: 0,
        }
    }

    /// Decodes one utterance, and keeps what it says in what its speaker said last.
    pub async fn decode(
        &mut self,
        utterance: &Utterance,
        with: &Circumstances,
        spoken: &mut Spoken,
    ) -> anyhow::Result<Heard> {
        self.give_way();
        let voiced = total(&utterance.voiced);
        let id = self.next;
        self.next += 1;
        let fixed = self.language.clone().or_else(|| with.language.clone());
        let language = Language::of(fixed, spoken.language().map(str::to_owned));
        let of = utterance.pass;
        let before = spoken.before(of.entry, of.span.start, language.name());
        let job = decoder::Job {
            before: before.filter(|_| self.takes_context).map(str::to_owned),
            language,
            among: with.languages.clone(),
            glossary: glossary_prompt(&with.glossary).filter(|_| self.takes_glossary),
            effort: Effort::Offline,
            ..decoder::Job::new(id, utterance.pcm.clone(), voiced)
        };
        if !self.decoder.submit(job) {
            bail!("the decoder takes no work");
        }
        let hypothesis = loop {
            match self.outcomes.recv().await.context("the decoder is gone")? {
                (of, _) if of != id => {}
                (_, Outcome::Decoded { hypothesis, .. }) => break hypothesis,
                (_, Outcome::Failed(error)) => {
                    tracing::warn!(%error, "an utterance could not be decoded");
                    spoken.doubted();
                    return Ok(Heard {
                        words: None,
                        language: None,
                    });
                }
                (_, Outcome::Aborted) => bail!("the decoder was stopped"),
            }
        };
        let words = match doubt(&hypothesis, voiced) {
            Some(doubt) if doubt.is_empty() => Some(Vec::new()),
            Some(_) => None,
            None => Some(place(
                &said(&hypothesis.words),
                &utterance.voiced,
                hull(&utterance.voiced, utterance.pass.span),
            )),
        };
        match &words {
            None => spoken.doubted(),
            Some(words) if words.is_empty() => {}
            Some(words) => {
                let said = Before {
                    text: text(words),
                    is_sure: true,
                    language: hypothesis.used.clone(),
                    entry: of.entry,
                    end: of.span.end,
                };
                spoken.said(said, voiced);
            }
        }
        let language = hypothesis.sounds.is_some().then_some(hypothesis.used);
        Ok(Heard {
            words,
            language: self.language.clone().or(language),
        })
    }

    /// Each process that is started anew has to be told.
    fn give_way(&mut self) {
        let pid = self.decoder.status().pid;
        if pid.is_none() || pid == self.background {
            return;
        }
        self.background = pid;
        // Its group is its own, with all its threads.
        let group = pid
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Err(error) = setpriority_pgrp(group, NICE) {
            tracing::warn!(%error, "the decoder of the past does not give way to what is live");
        }
    }
}

/// Somebody's utterance, under one consent entry.
pub struct Utterance {
    pub pass: Pass,
    pub voiced: Vec<Span>,
    pcm: Arc<[f32]>,
}

/// Finds the utterances of one person. Sound of two consent entries is never in the same.
pub struct Utterances {
    segmenter: Segmenter,
    participant: ParticipantId,
    entry: i64,
}

impl Utterances {
    /// Takes sound that follows; answers with the utterances that ended.
    pub fn push(&mut self, sound: Admitted<Transcription, Vec<f32>>) -> Vec<Utterance> {
        let (pcm, pass) = sound.into_parts();
        let mut ended = Vec::new();
        if self.entry != pass.entry {
            let cut = self.segmenter.cut(pass.span.start);
            ended.extend(self.ended(cut));
            self.entry = pass.entry;
        }
        let heard = self.segmenter.push(pcm, pass.span.start);
        ended.extend(self.ended(heard));
        ended
    }

    /// The sound is over.
    pub fn finish(&mut self) -> Vec<Utterance> {
        let cut = self.segmenter.cut(self.segmenter.heard_until());
        self.ended(cut)
    }

    fn ended(&self, heard: Vec<(Decision, Vec<f32>)>) -> Vec<Utterance> {
        let ended = |(decision, pcm): (Decision, Vec<f32>)| match decision {
            Decision::Ended { span, voiced, .. } => Some(Utterance {
                pass: Pass {
                    participant: self.participant,
                    span,
                    entry: self.entry,
                    late: Micros(0),
                },
                voiced,
                pcm: pcm.into(),
            }),
            _ => None,
        };
        heard.into_iter().filter_map(ended).collect()
    }
}
