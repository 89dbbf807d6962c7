//! The speech model of a process: which one, and fetched first where it is asked for by name and
//! not there.

use crate::{
    config::Settings,
    health::{self, Reason},
    speech::{
        fetch::{self, BASE_URL, Progress},
        model::{Model, Registry},
    },
};
use anyhow::Context;
use std::path::PathBuf;
use tracing::info;

/// The models that a process may use: those of its data folder, and, for the demo, those of
/// `serve`'s.
pub fn registry(settings: &Settings) -> anyhow::Result<Registry> {
    let registry = Registry::new(&settings.data)?;
    match &settings.models_beside {
        Some(data) => registry.beside(data),
        None => Ok(registry),
    }
}

/// The name of the model to use, which may not be there.
pub fn name(settings: &Settings, registry: &Registry) -> String {
    match &settings.model {
        Some(name) => name.clone(),
        None if settings.models_beside.is_some() => registry.best_here(),
        None => registry.default_name(),
    }
}

/// The model to use and its file. Fetches one that was asked for by name and is not whole; nothing
/// is fetched that nobody named.
///
/// # Errors
/// Says what to do.
pub async fn provide(settings: &Settings) -> anyhow::Result<(Model, PathBuf)> {
    let registry = registry(settings)?;
    let name = name(settings, &registry);
    let error = match registry.find(&name) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    if settings.model.is_none() || !error.is_mended_by_fetching() {
        return Err(error.into());
    }
    info!(model = name, "the speech model is not there; fetching it");
    let mut said = None;
    let fetched = fetch::obtain(
        &registry,
        &name,
        settings.models_url.as_deref(),
        |progress| {
            let Progress { bytes, of_bytes } = progress;
            let percent = bytes * 100 / of_bytes.max(1);
            if said != Some(percent) {
                let mib = |bytes: u64| bytes >> 20;
                health::degrade(
                    Reason::Model,
                    format!("fetching {name}: {} of {} MiB", mib(bytes), mib(of_bytes)),
                );
                if said.is_none_or(|said| said / 10 < percent / 10) {
                    info!(model = name, percent, "fetching the speech model");
                }
                said = Some(percent);
            }
        },
    );
    let model = registry.model(&name)?.clone();
    let path = fetched.await.with_context(|| {
        format!(
            "the model {name} cannot be fetched from {}: try again, name a mirror with --models-url, or put {} ({} \
             bytes) into {} yourself",
            settings.models_url.as_deref().unwrap_or(BASE_URL),
            model.file,
            model.size_bytes,
            settings.data.join("models").display()
        )
    })?;
    health::restore(Reason::Model);
    info!(model = name, "the speech model is fetched");
    Ok((model, path))
}
