//! Segments of a track fetched many at a time, each by itself or in its block, and verified by
//! their rows. What is broken or missing is told apart from what is away, which is an error.

use crate::{
    domain::{
        codec::AudioCodec,
        consent,
        fault::Fault,
        time::{MeetingTime, Span},
    },
    media::rendering::join::Part,
    objects::{ObjectError, Objects},
    store::recording::Segment,
};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};
use tokio::sync::Semaphore;

/// Objects fetched at a time, of all tracks of a meeting: enough for a store 80 ms away to give an
/// hour of four tracks in seconds, few enough for its limits and for our descriptors.
pub(super) const FETCHES: usize = 48;
/// How often an object with the wrong checksum is fetched before it is taken for broken: it may
/// have been changed on its way.
const DAMAGED_TIMES: usize = 3;

/// A segment with what of it may be kept.
pub(super) type Allowed = (Segment, Vec<Span>);

pub(super) enum Got {
    Part(Part),
    /// Its object is there and not what was stored, or not what can be read.
    Broken(String),
    Missing,
}

/// What is fetched in one piece.
enum Wanted<'a> {
    Segment(&'a Allowed),
    Block(&'a str, Vec<&'a Allowed>),
}

/// Fetches the segments of one track.
pub(super) struct Fetch<'a> {
    pub objects: &'a Objects,
    /// [`FETCHES`], of all tracks.
    pub room: &'a Semaphore,
    /// What the segments must hold; `None`: whatever it is.
    pub codec: Option<AudioCodec>,
    /// Where their files go.
    pub folder: &'a Path,
}

impl Fetch<'_> {
    pub async fn all<'s>(
        &self,
        segments: impl Iterator<Item = &'s Allowed>,
    ) -> anyhow::Result<Vec<(&'s Segment, Got)>> {
        let mut wanted = Vec::new();
        let mut blocks: BTreeMap<&str, Vec<&Allowed>> = BTreeMap::new();
        for allowed in segments {
            match &allowed.0.place {
                Some(place) => blocks.entry(&place.block).or_default().push(allowed),
                None => wanted.push(Wanted::Segment(allowed)),
            }
        }
        wanted.extend(blocks.into_iter().map(|(key, of)| Wanted::Block(key, of)));
        let fetches: Vec<_> = wanted
            .into_iter()
            .enumerate()
            .map(|(n, wanted)| self.fetch(n, wanted))
            .collect();
        let fetched: Vec<Vec<_>> = stream::iter(fetches)
            .buffer_unordered(FETCHES)
            .try_collect()
            .await?;
        Ok(fetched.into_iter().flatten().collect())
    }

    async fn fetch<'s>(
        &self,
        n: usize,
        wanted: Wanted<'s>,
    ) -> anyhow::Result<Vec<(&'s Segment, Got)>> {
        let _room = self.room.acquire().await?;
        let path = self.folder.join(n.to_string());
        match wanted {
            Wanted::Segment((segment, allowed)) => {
                let got = match self.whole(segment, &path).await? {
                    None => {
                        let allowed = allowed.clone();
                        self.read(move || Part::of(&path, MeetingTime::ZERO, allowed))
                            .await?
                    }
                    Some(other) => other,
                };
                Ok(vec![(segment, got)])
            }
            Wanted::Block(key, segments) => self.block(key, segments, path).await,
        }
    }

    /// Fetches a segment's own object. `None`: it is what was stored.
    async fn whole(&self, segment: &Segment, path: &Path) -> anyhow::Result<Option<Got>> {
        let mut times = 0;
        loop {
            times += 1;
            let damage = match self.objects.get_file(&segment.object_key, path).await {
                Ok(stored) if stored.sha256 == segment.sha256 => return Ok(None),
                Ok(stored) => format!(
                    "its SHA-256 is {} instead of {}",
                    stored.sha256, segment.sha256
                ),
                Err(ObjectError::Missing(_)) => return Ok(Some(Got::Missing)),
                Err(error) if error.fault() == Fault::Theirs => error.to_string(),
                Err(error) => return Err(error).context("fetching a segment"),
            };
            if times == DAMAGED_TIMES {
                return Ok(Some(Got::Broken(damage)));
            }
        }
    }

    /// Fetches a block. What is broken in it costs the segments that it is in.
    async fn block<'s>(
        &self,
        key: &str,
        segments: Vec<&'s Allowed>,
        path: PathBuf,
    ) -> anyhow::Result<Vec<(&'s Segment, Got)>> {
        let pieces: Vec<(Range<u64>, String)> = segments
            .iter()
            .map(|(segment, _)| (bytes(segment), segment.sha256.clone()))
            .collect();
        let mut times = 0;
        let whole = loop {
            times += 1;
            match self.objects.get_file_as_it_is(key, &path).await {
                Ok(_) => {}
                Err(ObjectError::Missing(_)) => {
                    let missing = segments.iter().map(|(segment, _)| (segment, Got::Missing));
                    return Ok(missing.collect());
                }
                Err(error) => return Err(error).context("fetching a block of segments"),
            }
            let (path, pieces) = (path.clone(), pieces.clone());
            let whole = tokio::task::spawn_blocking(move || are_whole(&path, &pieces)).await??;
            if whole.iter().all(|whole| *whole) || times == DAMAGED_TIMES {
                break whole;
            }
        };
        let mut got = Vec::with_capacity(segments.len());
        for ((segment, allowed), whole) in segments.into_iter().zip(whole) {
            let (path, bytes, allowed) = (path.clone(), bytes(segment), allowed.clone());
            let one = if whole {
                self.read(move || Part::within(&path, bytes, allowed))
                    .await?
            } else {
                Got::Broken(format!("in {key} its SHA-256 is another"))
            };
            got.push((segment, one));
        }
        Ok(got)
    }

    /// What is in a file; the error is ours.
    async fn read(
        &self,
        read: impl FnOnce() -> anyhow::Result<Option<Part>> + Send + 'static,
    ) -> anyhow::Result<Got> {
        Ok(match tokio::task::spawn_blocking(read).await? {
            Ok(Some(part)) if self.codec.is_none_or(|codec| codec == part.codec) => Got::Part(part),
            Ok(Some(part)) => Got::Broken(format!("it holds {}", part.codec.as_str())),
            Ok(None) => Got::Broken("it holds no frame".to_owned()),
            Err(error) => Got::Broken(format!("it cannot be read: {error:#}")),
        })
    }
}

/// Where a segment lies in its block.
fn bytes(segment: &Segment) -> Range<u64> {
    let at = segment.place.as_ref().map_or(0, |place| place.at);
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    at..at.saturating_add(u64::try_from(segment.size_bytes).unwrap_or(0))
}

/// Which of these pieces of a file have this SHA-256.
fn are_whole(path: &Path, pieces: &[(Range<u64>, String)]) -> io::Result<Vec<bool>> {
    let mut file = File::open(path)?;
    let mut whole = Vec::with_capacity(pieces.len());
    for (bytes, sha256) in pieces {
        file.seek(SeekFrom::Start(bytes.start))?;
        let mut sha = Sha256::new();
        io::copy(&mut (&mut file).take(bytes.end - bytes.start), &mut sha)?;
        whole.push(consent::hex(&sha.finalize()) == *sha256);
    }
    Ok(whole)
}
