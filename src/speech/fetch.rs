//! `hansard models fetch NAME` and `--model NAME`: download, resume, check, put in place.
//!
//! A download grows in `NAME.part` and is renamed only when its checksum is right, so a file under
//! a model's name is whole. A broken connection is taken up again where it broke, here and by the
//! next call.

use super::model::{Model, ModelError, Registry, checksum};
use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_RANGE, RANGE},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::AsyncWriteExt as _;

/// Where the official files lie.
pub const BASE_URL: &str = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main/";
/// Connections that may break in one call without a byte gained.
const TRIES: u32 = 5;
/// A server that says nothing for so long counts as broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How far a download is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    pub bytes: u64,
    pub of_bytes: u64,
}

/// Fetches a model and makes it the default; gives its path.
///
/// # Errors
/// As [`obtain`].
pub async fn fetch(
    registry: &Registry,
    name: &str,
    base_url: Option<&str>,
    progress: impl FnMut(Progress),
) -> anyhow::Result<PathBuf> {
    let place = obtain(registry, name, base_url, progress).await?;
    registry
        .set_default(name)
        .context("cannot make it the default")?;
    Ok(place)
}

/// Fetches a model's file; gives its path. A whole file already there is only checked, and so is
/// one that is not fetched but comes with the program or from the operator.
///
/// # Errors
/// An unknown model, no connection, a wrong checksum (then the download is deleted), a full disk.
pub async fn obtain(
    registry: &Registry,
    name: &str,
    base_url: Option<&str>,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<PathBuf> {
    let model = registry.model(name)?.clone();
    let Some(file) = &model.url else {
        return Ok(registry.verify(name)?.1);
    };
    let place = registry.place(&model);
    let whole = place.is_file() && matches!(sum_of(&place).await, Ok(sum) if sum == model.sha256);
    if !whole {
        let base = base_url.unwrap_or(BASE_URL);
        let url = format!("{}/{file}", base.trim_end_matches('/'));
        let part = place.with_extension("part");
        let folder = place.parent().context("a model's place has a folder")?;
        tokio::fs::create_dir_all(folder)
            .await
            .with_context(|| format!("cannot make {}", folder.display()))?;
        download(&model, &url, &part, &mut progress).await?;
        let found = sum_of(&part).await?;
        if found != model.sha256 {
            tokio::fs::remove_file(&part).await.ok();
            let why = format!("what {url} gave has sha256 {found}, not {}", model.sha256);
            return Err(ModelError::Wrong {
                name: model.name,
                path: part,
                why,
            }
            .into());
        }
        tokio::fs::rename(&part, &place)
            .await
            .with_context(|| format!("cannot put {} in place", place.display()))?;
    }
    Ok(place)
}

async fn sum_of(path: &Path) -> anyhow::Result<String> {
    let path = path.to_owned();
    let sum = tokio::task::spawn_blocking(move || checksum(&path)).await?;
    sum.context("cannot read the download back")
}

/// Until `part` has all bytes, over as many connections as it takes.
async fn download(
    model: &Model,
    url: &str,
    part: &Path,
    progress: &mut impl FnMut(Progress),
) -> anyhow::Result<()> {
    let client = Client::builder()
        .connect_timeout(SILENCE_MAX)
        .read_timeout(SILENCE_MAX)
        .build()?;
    let mut tries = 0;
    loop {
        let have = tokio::fs::metadata(part).await.map_or(0, |file| file.len());
        if have == model.size_bytes {
            return Ok(());
        }
        match connection(&client, model, url, part, have, progress).await {
            Ok(()) => {}
            Err(Broken::Final(error)) => return Err(error),
            Err(Broken::Again(error)) => {
                let now = tokio::fs::metadata(part).await.map_or(0, |file| file.len());
                tries = if now > have { 0 } else { tries + 1 };
                if tries >= TRIES {
                    return Err(error.context(format!("no luck with {url} in {TRIES} tries")));
                }
                tracing::info!(%error, bytes = now, "the download broke off and goes on");
                tokio::time::sleep(Duration::from_millis(200 << tries)).await;
            }
        }
    }
}

enum Broken {
    /// The same request may work.
    Again(anyhow::Error),
    Final(anyhow::Error),
}

/// One connection: from `have` bytes on.
async fn connection(
    client: &Client,
    model: &Model,
    url: &str,
    part: &Path,
    have: u64,
    progress: &mut impl FnMut(Progress),
) -> Result<(), Broken> {
    let last = |error: std::io::Error| {
        Broken::Final(anyhow::Error::new(error).context("cannot write the download"))
    };
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request
        .send()
        .await
        .map_err(|error| Broken::Again(error.into()))?;
    let resumes = response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    let mut at = match response.status() {
        StatusCode::PARTIAL_CONTENT if resumes => have,
        // It does not resume: from the beginning.
        StatusCode::OK => 0,
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
            tokio::fs::remove_file(part).await.map_err(last)?;
            return Err(Broken::Again(anyhow!(
                "the server has another file than the one begun"
            )));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Broken::Again(anyhow!("{url} answers {status}")));
        }
        status => return Err(Broken::Final(anyhow!("{url} answers {status}"))),
    };
    let mut file = tokio::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(at == 0)
        .append(at > 0)
        .open(part)
        .await
        .map_err(last)?;
    let mut body = response.bytes_stream();
    let mut broke = None;
    while let Some(chunk) = body.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                broke = Some(error);
                break;
            }
        };
        at += chunk.len() as u64;
        if at > model.size_bytes {
            drop(file);
            tokio::fs::remove_file(part).await.map_err(last)?;
            let error = anyhow!(
                "{url} is longer than the {} bytes of {}",
                model.size_bytes,
                model.name
            );
            return Err(Broken::Final(error));
        }
        file.write_all(&chunk).await.map_err(last)?;
        progress(Progress {
            bytes: at,
            of_bytes: model.size_bytes,
        });
    }
    file.flush().await.map_err(last)?;
    file.sync_all().await.map_err(last)?;
    match broke {
        Some(error) => Err(Broken::Again(error.into())),
        None if at < model.size_bytes => {
            Err(Broken::Again(anyhow!("{url} ended after {at} bytes")))
        }
        None => Ok(()),
    }
}
