//! The decoder's own process: `hansard decoder --model PATH --states N`.
//!
//! ggml aborts the process on what it does not like, so it lives apart. One context, `states`
//! lifelong states with a thread each and `n_threads = 1`: two threads in one decode collapse on a
//! busy machine. Work and results go over stdin and stdout (see [`super::protocol`]); everything
//! else goes to stderr. The end of stdin, also by the parent's death, ends it.
//!
//! Nothing of one job may reach another, since states serve all meetings: `no_context` always, and
//! no flash attention (with a reduced `audio_ctx` its unmasked padding shows another job's
//! leftovers).

use super::protocol::{self, Ask, Decode, Done, Tell, WireWord};
use crate::domain::{
    time::Micros,
    transcript::{Hypothesis, doubt},
};
use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState,
};

/// Zeros behind the audio: decoders like an end that is silent.
const TAIL_SAMPLES: usize = 6_400;
/// Whisper's feature code reads out of bounds below 201 samples, and official models dislike less
/// than a second.
const SAMPLES_MIN: usize = 17_600;
/// Tokens of the glossary that a prompt may have.
const PROMPT_TOKENS_MAX: usize = 40;
/// Messages waiting for a worker; the parent never has more than `states` out.
const WAITING_MAX: usize = 256;

/// Aborts asked for; jobs leave the list when they are answered.
type Aborts = Arc<Mutex<HashSet<u64>>>;

/// Serves the parent on stdin and stdout until stdin ends. Fails with 1 when the model cannot be
/// used.
pub fn main(model: &Path, states: usize, gpu: bool) -> ExitCode {
    whisper_rs::install_logging_hooks();
    // A worker that panics would leave its job unanswered: better the whole process, which the
    // parent starts again.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    match serve(model, states.max(1), gpu) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = tell(&Tell::Unusable {
                error: format!("{error:#}"),
            });
            let _ = writeln!(io::stderr(), "decoder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(tell: &Tell) -> io::Result<()> {
    protocol::write_tell(&mut io::stdout().lock(), tell)
}

fn serve(model: &Path, states: usize, gpu: bool) -> anyhow::Result<()> {
    let mut parameters = WhisperContextParameters::default();
    // All states on the first device; with a GPU they take turns there.
    parameters.use_gpu(gpu).gpu_device(0).flash_attn(false);
    let context = WhisperContext::new_with_params(model, parameters).map_err(|error| {
        anyhow!(
            "{} is no model that whisper.cpp can load ({error})",
            model.display()
        )
    })?;
    let context = Arc::new(context);
    let aborts = Aborts::default();
    let (work, jobs) = mpsc::sync_channel::<(Decode, Vec<f32>)>(WAITING_MAX);
    let jobs = Arc::new(Mutex::new(jobs));
    let mut workers = Vec::new();
    for n in 0..states {
        let state = context
            .create_state()
            .map_err(|error| anyhow!("no room for a decoder state: {error}"))?;
        let (context, jobs, aborts) = (context.clone(), jobs.clone(), aborts.clone());
        let worker = move || Worker::new(context, state, aborts).run(&jobs);
        workers.push(
            thread::Builder::new()
                .name(format!("decode-{n}"))
                .spawn(worker)
                .context("no thread")?,
        );
    }
    tell(&Tell::Ready {
        multilingual: context.is_multilingual(),
    })?;
    let mut stdin = io::BufReader::with_capacity(1 << 16, io::stdin().lock());
    while let Some((ask, pcm)) = protocol::read_ask(&mut stdin)? {
        match ask {
            Ask::Decode(decode) => work
                .send((decode, pcm))
                .map_err(|_| anyhow!("no worker is left"))?,
            Ask::Abort { job } => drop(aborts.lock().insert(job)),
        }
    }
    // The parent is gone: nobody wants the results, but leave ggml's threads in order before the
    // process tears down.
    drop(work);
    aborts.lock().insert(u64::MAX);
    let patience = Instant::now() + Duration::from_secs(1);
    while Instant::now() < patience && workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What the abort callback looks at and leaves behind.
#[derive(Default)]
struct Watch {
    job: AtomicU64,
    /// Microseconds from the pass's start to the first poll, which comes right after the encoder.
    encoded_us: AtomicU64,
    polled: AtomicBool,
    started: Mutex<Option<Instant>>,
}

struct Worker {
    context: Arc<WhisperContext>,
    state: WhisperState,
    aborts: Aborts,
    watch: Arc<Watch>,
    /// Parameters by language. Setting a language or a callback leaks, so each set is made once and
    /// cloned.
    params: HashMap<String, FullParams<'static, 'static>>,
}

impl Worker {
    fn new(context: Arc<WhisperContext>, state: WhisperState, aborts: Aborts) -> Self {
        Self {
            context,
            state,
            aborts,
            watch: Arc::default(),
            params: HashMap::new(),
        }
    }

    fn run(mut self, jobs: &Mutex<mpsc::Receiver<(Decode, Vec<f32>)>>) {
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
            if tell(&answer).is_err() {
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
        let samples = pcm.len();
        pcm.resize((samples + TAIL_SAMPLES).max(SAMPLES_MIN), 0.0);
        let seconds = samples as f32 / 16_000.0;
        let voiced = Micros::from_ms(ask.voiced_ms);
        let prompt = self.prompt(ask.prompt.as_deref());
        let mut pass = Pass {
            language: ask.language.clone().unwrap_or_else(|| "en".into()),
            audio_ctx: audio_ctx(
                samples,
                ask.ctx_floor,
                ask.ctx_margin,
                self.context.n_audio_ctx(),
            ),
            temperature: 0.0,
            tokens_max: 12 + (seconds * 7.0).ceil() as i32,
            prompt: &prompt,
        };
        let Some(mut best) = self.pass(ask.job, &pass, &pcm)? else {
            return Ok(None);
        };
        let encode_us = self.watch.encoded_us.load(Ordering::Relaxed);
        let mut passes = 1;
        // The encoder's output does not depend on the language, so the first pass tells it for
        // free.
        if let (None, Some((language, sure))) = (&ask.language, &best.language)
            && *language != pass.language
            && *sure > 0.5
        {
            pass.language = language.clone();
            let Some(again) = self.pass(ask.job, &pass, &pcm)? else {
                return Ok(None);
            };
            (best, passes) = (again, passes + 1);
        }
        let suspicious = |done: &Done| {
            doubt(&Hypothesis::from(done), voiced).is_some_and(|doubt| !doubt.is_empty())
        };
        if ask.thorough && suspicious(&best) {
            // Whisper's own way out: its full window, a little chance, no prompt.
            let retry = Pass {
                audio_ctx: 0,
                temperature: 0.2,
                prompt: &[],
                ..pass
            };
            let Some(again) = self.pass(ask.job, &retry, &pcm)? else {
                return Ok(None);
            };
            passes += 1;
            if !suspicious(&again) || again.log_prob > best.log_prob && !again.truncated {
                best = again;
            }
        }
        best.job = ask.job;
        best.took_us = started.elapsed().as_micros() as u64;
        (best.encode_us, best.passes) = (encode_us, passes);
        Ok(Some(best))
    }

    fn prompt(&self, text: Option<&str>) -> Vec<i32> {
        let Some(text) = text.filter(|text| !text.trim().is_empty() && !text.contains('\0')) else {
            return Vec::new();
        };
        let mut tokens = self
            .context
            .tokenize(&format!(" {}", text.trim()), 1_024)
            .unwrap_or_default();
        tokens.truncate(PROMPT_TOKENS_MAX);
        tokens
    }

    fn params(&mut self, language: &str) -> FullParams<'static, 'static> {
        if let Some(params) = self.params.get(language) {
            return params.clone();
        }
        // One that Whisper does not know would abort the process.
        let known = whisper_rs::get_lang_id(language)
            .and_then(whisper_rs::get_lang_str)
            .unwrap_or("en");
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(1);
        params.set_language(Some(known));
        params.set_no_context(true);
        params.set_single_segment(true);
        params.set_no_timestamps(true);
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
        self.params.insert(language.to_owned(), params.clone());
        params
    }

    /// One run of encoder and decoder; `None` when aborted.
    fn pass(&mut self, job: u64, pass: &Pass<'_>, pcm: &[f32]) -> anyhow::Result<Option<Done>> {
        let mut params: FullParams<'_, '_> = self.params(&pass.language);
        params.set_audio_ctx(pass.audio_ctx);
        params.set_temperature(pass.temperature);
        params.set_max_tokens(pass.tokens_max);
        if !pass.prompt.is_empty() {
            params.set_tokens(pass.prompt);
        }
        self.watch.job.store(job, Ordering::Relaxed);
        self.watch.polled.store(false, Ordering::Relaxed);
        *self.watch.started.lock() = Some(Instant::now());
        if let Err(error) = self.state.full(params, pcm) {
            return if self.is_aborted(job) {
                Ok(None)
            } else {
                Err(anyhow!("whisper.cpp: {error}"))
            };
        }
        let mut done = self.read(pass.tokens_max);
        (done.no_speech, done.language) = self.probe()?;
        Ok(Some(done))
    }

    /// The text of the last pass as words.
    fn read(&self, tokens_max: i32) -> Done {
        let end = self.context.token_eot();
        let mut words: Vec<(Vec<u8>, bool, f32, u32)> = Vec::new();
        let (mut tokens, mut log_prob) = (0u32, 0.0);
        for segment in self.state.as_iter() {
            for n in 0..segment.n_tokens() {
                let Some(token) = segment.get_token(n) else {
                    continue;
                };
                let data = token.token_data();
                tokens += 1;
                log_prob += data.plog;
                if token.token_id() >= end {
                    continue;
                }
                let Ok(bytes) = token.to_bytes() else {
                    continue;
                };
                let spaced = bytes.first() == Some(&b' ');
                let own = std::str::from_utf8(bytes)
                    .is_ok_and(|text| text.chars().next().is_some_and(is_unspaced));
                match words.last_mut() {
                    Some(word) if !spaced && !own => {
                        word.0.extend_from_slice(bytes);
                        word.2 += data.p;
                        word.3 += 1;
                    }
                    _ => words.push((bytes.to_vec(), spaced, data.p, 1)),
                }
            }
        }
        Done {
            job: 0,
            words: words
                .into_iter()
                .map(|(bytes, spaced, p, n)| WireWord {
                    t: String::from_utf8_lossy(&bytes).trim().to_owned(),
                    s: spaced,
                    p: (p / n as f32).clamp(0.0, 1.0),
                })
                .filter(|word| !word.t.is_empty())
                .collect(),
            no_speech: 0.0,
            log_prob: log_prob / tokens.max(1) as f32,
            truncated: tokens as i32 > tokens_max,
            language: None,
            tokens,
            took_us: 0,
            encode_us: 0,
            passes: 0,
        }
    }

    /// The true no-speech probability and the language: one decoder step on start-of-transcript
    /// alone. (What whisper.cpp 1.8.3 reports is computed from a row of logits that was never
    /// filled.)
    fn probe(&mut self) -> anyhow::Result<(f32, Option<(String, f32)>)> {
        self.state
            .decode(&[self.context.token_sot()], 0, 1)
            .map_err(|error| anyhow!("whisper.cpp: {error}"))?;
        let logits = self
            .state
            .get_logits()
            .map_err(|error| anyhow!("whisper.cpp: {error}"))?;
        let no_speech = softmax(logits, self.context.token_nosp() as usize, 0..logits.len());
        if !self.context.is_multilingual() {
            return Ok((no_speech, None));
        }
        let first = self.context.token_lang(0) as usize;
        let all = first..first + whisper_rs::get_lang_max_id() as usize + 1;
        let best = all
            .clone()
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap_or(first);
        let name = whisper_rs::get_lang_str((best - first) as i32)
            .unwrap_or("en")
            .to_owned();
        Ok((no_speech, Some((name, softmax(logits, best, all)))))
    }
}

struct Pass<'a> {
    language: String,
    /// 0 is the full window.
    audio_ctx: i32,
    temperature: f32,
    tokens_max: i32,
    prompt: &'a [i32],
}

/// Encoder positions for so much audio: never fewer than it has (the tail would be lost without a
/// word), and some more.
fn audio_ctx(samples: usize, floor: u32, margin: u32, full: i32) -> i32 {
    let frames = samples.div_ceil(320) as u32;
    let wanted = (frames + margin).max(floor).next_multiple_of(8) as i32;
    if wanted >= full { 0 } else { wanted }
}

fn softmax(logits: &[f32], index: usize, among: std::ops::Range<usize>) -> f32 {
    let Some(among) = logits.get(among) else {
        return 0.0;
    };
    let Some(logit) = logits.get(index) else {
        return 0.0;
    };
    let max = among.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (logit - max).exp() / among.iter().map(|other| (other - max).exp()).sum::<f32>()
}

/// Letters of scripts that put no space between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_audio_and_never_cuts_it() {
        for (seconds, floor, margin, expected) in [
            (0.3, 64, 16, 64),
            (2.0, 64, 16, 120),
            (12.0, 64, 16, 616),
            (2.0, 384, 128, 384),
            (29.0, 384, 128, 0),
        ] {
            let samples = (seconds * 16_000.0) as usize;
            let ctx = audio_ctx(samples, floor, margin, 1_500);
            assert_eq!(ctx, expected, "{seconds} s");
            assert!(ctx == 0 || ctx as usize * 320 >= samples);
        }
    }
}
