//! One state of the decoder, and the passes that an utterance takes in it.

use super::{reading, tokens};
use crate::domain::{
    schedule::Effort,
    time::Micros,
    transcript::{Hypothesis, Window, again, is_better, language, said_once, tokens_max},
};
use crate::speech::protocol::{Decode, Done, Tell};
use anyhow::anyhow;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Instant,
};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperState};

/// Zeros behind the audio: decoders like an end that is silent.
const TAIL_SAMPLES: usize = 6_400;
/// Whisper's feature code reads out of bounds below 201 samples, and official models dislike less
/// than a second.
const SAMPLES_MIN: usize = 17_600;
/// Encoder positions per second of audio.
const POSITIONS_PER_SECOND: u32 = 50;
/// Encoder positions of a second pass.
const WIDE_CTX: u32 = 768;
/// Beams of a decode without any hurry, as whisper.cpp's command line has them.
const BEAMS: i32 = 5;
/// A time stamp this near to the end of the audio, or later, ends the text: what decoders say
/// behind it they say a second time. (whisper.cpp stops 100 ms before the duration that it is
/// given; the last voice is about 190 ms before the end of the audio.)
const END_BEFORE: Micros = Micros::from_ms(250);
/// And the least duration that it takes.
const HEARD_MIN: Micros = Micros::from_ms(200);
/// Tokens that are no text: time stamps, and the end.
const TOKENS_BESIDE_TEXT: u32 = 8;

/// Aborts asked for; jobs leave the list when they are answered.
pub type Aborts = Arc<Mutex<HashSet<u64>>>;

/// What the abort callback looks at and leaves behind.
#[derive(Default)]
struct Watch {
    job: AtomicU64,
    /// Microseconds from the pass's start to the first poll, which comes right after the encoder.
    encoded_us: AtomicU64,
    polled: AtomicBool,
    started: Mutex<Option<Instant>>,
}

pub struct Worker {
    context: Arc<WhisperContext>,
    state: WhisperState,
    aborts: Aborts,
    watch: Arc<Watch>,
    /// Parameters by language and number of beams. Setting a language or a callback leaks, so each
    /// set is made once and cloned.
    params: HashMap<(String, i32), FullParams<'static, 'static>>,
}

/// One run over the audio.
struct Pass<'a> {
    language: String,
    translate: bool,
    /// 0 is the full window.
    audio_ctx: i32,
    beams: i32,
    temperature: f32,
    time_stamps: bool,
    tokens_max: u32,
    prompt: &'a [i32],
}

impl<'a> Pass<'a> {
    /// The same in another language. The prompt is in the first one.
    fn in_language(&self, language: &str, audio: Micros) -> Pass<'a> {
        Pass {
            tokens_max: tokens_max(language, audio, false),
            language: language.to_owned(),
            prompt: &[],
            ..*self
        }
    }

    /// Another try in that window, with more room for tokens. Prompts lead to loops, so it has none.
    fn again(&self, window: Window, wide: i32, audio: Micros) -> Pass<'a> {
        let (audio_ctx, temperature) = match window {
            Window::Full => (0, 0.2),
            Window::Short | Window::Wide => (wide, 0.0),
        };
        Pass {
            tokens_max: tokens_max(&self.language, audio, true),
            language: self.language.clone(),
            audio_ctx,
            temperature,
            prompt: &[],
            ..*self
        }
    }
}

impl Worker {
    pub fn new(context: Arc<WhisperContext>, state: WhisperState, aborts: Aborts) -> Self {
        Self {
            context,
            state,
            aborts,
            watch: Arc::default(),
            params: HashMap::new(),
        }
    }

    pub fn run(mut self, jobs: &Mutex<mpsc::Receiver<(Decode, Vec<f32>)>>) {
        loop {
            let Ok((decode, pcm)) = jobs.lock().recv() else {
                return;
            };
            let job = decode.job;
            let answer = if self.is_aborted(job) {
                Ok(None)
            } else {
                self.decode(&decode, pcm)
            };
            self.aborts.lock().remove(&job);
            let answer = match answer {
                Ok(Some(done)) => Tell::Done(done),
                Ok(None) => Tell::Stopped { job, error: None },
                Err(error) => Tell::Stopped {
                    job,
                    error: Some(format!("{error:#}")),
                },
            };
            if super::tell(&answer).is_err() {
                return;
            }
        }
    }

    fn is_aborted(&self, job: u64) -> bool {
        let aborts = self.aborts.lock();
        aborts.contains(&job) || aborts.contains(&u64::MAX)
    }

    /// `None`: aborted.
    fn decode(&mut self, ask: &Decode, mut pcm: Vec<f32>) -> anyhow::Result<Option<Done>> {
        let started = Instant::now();
        let audio = Micros(pcm.len() as i64 * 1_000_000 / 16_000);
        let voiced = Micros::from_ms(ask.voiced_ms);
        let full = self.context.n_audio_ctx();
        let window = |floor, margin| audio_ctx(audio, floor, margin, full);
        pcm.resize((pcm.len() + TAIL_SAMPLES).max(SAMPLES_MIN), 0.0);
        let (glossary, before) = (ask.glossary.as_deref(), ask.before.as_deref());
        let prompt = tokens::prompt(&self.context, glossary, before);
        let first = ask.language.first(&ask.among);
        let mut pass = Pass {
            tokens_max: tokens_max(first, audio, false),
            language: first.to_owned(),
            translate: ask.translate && self.context.is_multilingual(),
            audio_ctx: match ask.effort {
                Effort::Offline => 0,
                _ => window(ask.ctx_floor, ask.ctx_margin),
            },
            beams: match ask.effort {
                Effort::Quick | Effort::Firm | Effort::Thorough => 1,
                Effort::Beams => ask.beams as i32,
                Effort::Offline => BEAMS,
            },
            temperature: 0.0,
            time_stamps: ask.time_stamps,
            prompt: &prompt,
        };
        let Some(mut best) = self.pass(ask, &pass, &pcm, audio)? else {
            return Ok(None);
        };
        let encode_us = self.watch.encoded_us.load(Ordering::Relaxed);
        let mut passes = 1;
        // The encoder's output does not depend on the language, so the first pass tells it for
        // free. A text that may still change does without another pass: the next one begins in the
        // right language.
        if ask.effort != Effort::Quick
            && ask.language.may_change()
            && let Some(other) = language::instead(
                &pass.language,
                best.sounds.as_ref(),
                ask.language.is_known(),
                voiced,
                (best.log_prob, best.no_speech),
            )
        {
            let other = pass.in_language(other, audio);
            let Some(again) = self.pass(ask, &other, &pcm, audio)? else {
                return Ok(None);
            };
            passes += 1;
            let sure = best
                .sounds
                .as_ref()
                .is_some_and(|(_, p)| *p >= language::SURE);
            if sure || again.log_prob > best.log_prob {
                (best, pass) = (again, other);
            }
        }
        let thorough = ask.effort >= Effort::Thorough;
        let wide = window(WIDE_CTX.min(full.unsigned_abs()), ask.ctx_margin);
        let before = passes - 1;
        let mut tried = match pass.audio_ctx {
            1.. if pass.audio_ctx < wide => Window::Short,
            _ => Window::Wide,
        };
        while ask.effort != Effort::Quick
            && let Some(next) = again(
                &Hypothesis::from(&best),
                voiced,
                (tried, passes - before),
                thorough,
            )
        {
            tried = next;
            let retry = pass.again(next, wide, audio);
            let Some(again) = self.pass(ask, &retry, &pcm, audio)? else {
                return Ok(None);
            };
            passes += 1;
            if is_better(&Hypothesis::from(&best), &Hypothesis::from(&again), voiced) {
                best = again;
            }
        }
        best.job = ask.job;
        best.took_us = started.elapsed().as_micros() as u64;
        (best.encode_us, best.passes) = (encode_us, passes);
        Ok(Some(best))
    }

    fn params(&mut self, language: &str, beams: i32) -> FullParams<'static, 'static> {
        let key = (language.to_owned(), beams);
        if let Some(params) = self.params.get(&key) {
            return params.clone();
        }
        // One that Whisper does not know would abort the process.
        let known = whisper_rs::get_lang_id(language)
            .and_then(whisper_rs::get_lang_str)
            .unwrap_or("en");
        let mut params = FullParams::new(match beams {
            ..=1 => SamplingStrategy::Greedy { best_of: 1 },
            beam_size => SamplingStrategy::BeamSearch {
                beam_size,
                patience: -1.0,
            },
        });
        params.set_n_threads(1);
        params.set_language(Some(known));
        params.set_no_context(true);
        params.set_single_segment(true);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_temperature_inc(0.0);
        // Both gates use a probability that whisper.cpp 1.8.3 computes from the wrong row; ours is
        // asked for below.
        params.set_no_speech_thold(2.0);
        params.set_logprob_thold(-1e9);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_special(false);
        params.set_print_timestamps(false);
        let (watch, aborts) = (self.watch.clone(), self.aborts.clone());
        // The type of the closure must be the box itself, or the binding reads it as something else
        // (whisper-rs 0.16).
        params.set_abort_callback_safe::<_, Box<dyn FnMut() -> bool>>(Box::new(move || {
            if !watch.polled.swap(true, Ordering::Relaxed)
                && let Some(started) = *watch.started.lock()
            {
                watch
                    .encoded_us
                    .store(started.elapsed().as_micros() as u64, Ordering::Relaxed);
            }
            let aborts = aborts.lock();
            aborts.contains(&watch.job.load(Ordering::Relaxed)) || aborts.contains(&u64::MAX)
        })
            as Box<dyn FnMut() -> bool>);
        self.params.insert(key, params.clone());
        params
    }

    /// One run of encoder and decoder; `None` when aborted.
    fn pass(
        &mut self,
        ask: &Decode,
        pass: &Pass<'_>,
        pcm: &[f32],
        audio: Micros,
    ) -> anyhow::Result<Option<Done>> {
        let mut params: FullParams<'_, '_> = self.params(&pass.language, pass.beams);
        params.set_audio_ctx(pass.audio_ctx);
        params.set_temperature(pass.temperature);
        params.set_translate(pass.translate);
        params.set_no_timestamps(!pass.time_stamps);
        if pass.time_stamps {
            let heard = audio.as_ms() - END_BEFORE.as_ms();
            params.set_duration_ms(heard.max(HEARD_MIN.as_ms()) as i32);
        }
        params.set_max_tokens((pass.tokens_max + TOKENS_BESIDE_TEXT) as i32);
        if !pass.prompt.is_empty() {
            params.set_tokens(pass.prompt);
        }
        self.watch.job.store(ask.job, Ordering::Relaxed);
        self.watch.polled.store(false, Ordering::Relaxed);
        *self.watch.started.lock() = Some(Instant::now());
        if let Err(error) = self.state.full(params, pcm) {
            return if self.is_aborted(ask.job) {
                Ok(None)
            } else {
                Err(anyhow!("whisper.cpp: {error}"))
            };
        }
        let mut done = reading::words(&self.context, &self.state, pass.tokens_max);
        let texts: Vec<&str> = done.words.iter().map(|word| word.t.as_str()).collect();
        let once = said_once(&texts, Micros::from_ms(ask.voiced_ms));
        if once < done.words.len() {
            // The limit of tokens may have ended the loop, which is out now.
            done.words.truncate(once);
            done.truncated = false;
        }
        done.language = pass.language.clone();
        done.audio_us = audio.0;
        (done.no_speech, done.sounds) = reading::probe(&self.context, &mut self.state, &ask.among)?;
        Ok(Some(done))
    }
}

/// Encoder positions for so much audio: never fewer than it has (the tail would be lost without a
/// word), and some more.
fn audio_ctx(audio: Micros, floor: u32, margin: u32, full: i32) -> i32 {
    let audio = audio.0.max(0).unsigned_abs();
    let frames = (audio * u64::from(POSITIONS_PER_SECOND)).div_ceil(1_000_000) as u32;
    let wanted = (frames + margin).max(floor).next_multiple_of(8) as i32;
    if wanted >= full { 0 } else { wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_audio_and_never_cuts_it() {
        for (ms, floor, margin, expected) in [
            (300, 64, 16, 64),
            (2_000, 64, 16, 120),
            (12_000, 64, 16, 616),
            (2_000, 384, 128, 384),
            (29_000, 384, 128, 0),
        ] {
            let ctx = audio_ctx(Micros::from_ms(ms), floor, margin, 1_500);
            assert_eq!(ctx, expected, "{ms} ms");
            assert!(ctx == 0 || i64::from(ctx) * 20 >= ms);
        }
    }

    #[test]
    fn a_second_pass_has_no_prompt_and_more_room() {
        let audio = Micros::from_secs(4);
        let first = Pass {
            language: "en".into(),
            translate: false,
            audio_ctx: 256,
            beams: 3,
            temperature: 0.0,
            time_stamps: true,
            tokens_max: tokens_max("en", audio, false),
            prompt: &[1, 2, 3],
        };
        for (window, expected) in [(Window::Wide, (768, 0.0)), (Window::Full, (0, 0.2))] {
            let again = first.again(window, 768, audio);
            assert_eq!((again.audio_ctx, again.temperature), expected);
            assert!(again.prompt.is_empty() && again.tokens_max > first.tokens_max);
            assert_eq!((&again.language[..], again.beams), ("en", 3));
        }
        let other = first.in_language("th", audio);
        assert!(other.prompt.is_empty() && other.tokens_max > first.tokens_max);
        assert_eq!((&other.language[..], other.audio_ctx), ("th", 256));
    }
}
