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

mod reading;
mod tokens;
mod worker;

use super::protocol::{self, Ask, Decode, Tell};
use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use whisper_rs::{WhisperContext, WhisperContextParameters};
use worker::{Aborts, Worker};

/// Messages waiting for a worker; the parent never has more than `states` out.
const WAITING_MAX: usize = 256;

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
